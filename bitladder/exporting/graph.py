"""An ONNX graph as it is put together: nodes that are the same are one, and so are constants.

What has constants alone for inputs is computed once, when ONNX Runtime loads the file (constant folding, on
unless somebody switches it off). So a weight's bits can stand in the file as they are in the packed one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET, IR_VERSION = 20, 10  # Gelu is of opset 20
CONTRIB = "com.microsoft"
_TYPES = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "int8": TensorProto.INT8}
_TYPES |= {"int64": TensorProto.INT64, "bool": TensorProto.BOOL, "uint8": TensorProto.UINT8}


def model_of(graph: GraphProto) -> ModelProto:
    """In the versions of operators that we write."""
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


class Graph:
    """Grows node by node; a tensor is known by its name."""

    def __init__(self) -> None:
        self._nodes: dict[Any, NodeProto] = {}
        self._constants: dict[Any, TensorProto] = {}
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def input(self, name: str, shape: list[str]) -> str:
        """Of int64."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, shape))
        return name

    def output(self, name: str, value: str, shape: list[str | int]) -> None:
        """Give a tensor of float32 out, under this name."""
        self._nodes["output", name] = helper.make_node("Identity", [value], [name])
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, array: NDArray[Any]) -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"c{len(self._constants)}"
            self._constants[key] = numpy_helper.from_array(np.array(array, order="C"), name)
        return self._constants[key].name

    def number(self, value: float | np.float32) -> str:
        return self.constant(np.array(value, np.float32))

    def byte(self, value: int) -> str:
        return self.constant(np.array(value, np.uint8))

    def whole(self, *values: int) -> str:
        """A shape, or axes."""
        return self.constant(np.array(values, np.int64))

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The output of a node; "" for an input that is left out."""
        key = (op, inputs, tuple(sorted(attributes.items())))
        if key not in self._nodes:
            name = f"t{len(self._nodes)}"
            node = helper.make_node(
                op, list(inputs), [name], name=f"{op}_{name}", domain=domain, **attributes
            )
            self._nodes[key] = node
        return str(self._nodes[key].output[0])

    def cast(self, value: str, to: str) -> str:
        return self.add("Cast", value, to=int(_TYPES[to]))

    def floats(self, array: NDArray[np.float32]) -> str:
        """Numbers in half precision where that holds them exactly, and in float32 for whoever reads them."""
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), array):
            return self.constant(array)
        return self.cast(self.constant(half), "float32")

    def reshape(self, value: str, *shape: int) -> str:
        """0 keeps what is there, -1 is what is left."""
        return self.add("Reshape", value, self.whole(*shape))

    def model(self, metadata: dict[str, str]) -> ModelProto:
        """The whole as onnx writes it."""
        nodes, constants = list(self._nodes.values()), list(self._constants.values())
        graph = helper.make_graph(nodes, "bitladder", self._inputs, self._outputs, constants)
        made = model_of(graph)
        made.producer_name = "bitladder"
        helper.set_model_props(made, metadata)
        return made
