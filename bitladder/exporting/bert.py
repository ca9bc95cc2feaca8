"""A packed BERT as an ONNX graph: docs/file-format.md, "What is computed", node by node.

Inputs `input_ids`, `attention_mask`, `token_type_ids`, int64 [B, S]. Outputs, as the field has them: `logits`
[B, L], of token classification [B, S, L]; of question answering `start_logits` and `end_logits` [B, S]; of a
sentence encoder `sentence_embedding` [B, E], of length 1.

Shapes: B sequences, S tokens, A heads of D features, I what a linear layer reads, E hidden size, L labels.
"""

import math

import numpy as np
from onnx import ModelProto

from bitladder.exporting import products, weights
from bitladder.exporting.graph import Graph
from bitladder.exporting.products import Form, Product
from bitladder.exporting.rounding import Rounded, Sort, rounded
from bitladder.packed import schema
from bitladder.packed.format import PackedConfig
from bitladder.packed.reading import Arrays
from bitladder.packed.schema import Matrix
from bitladder.quantizers.precision import FULL

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_HIDDEN = np.float32(-3.4e38)


class NotExpressedError(ValueError):
    """Something of a packed model has no operators."""

    exit_code = 2


def check(config: PackedConfig, form: Form) -> None:
    """Raises NotExpressedError naming what of a config.json cannot be said in ONNX Runtime's operators."""
    if found := problems(config, form):
        raise NotExpressedError(f"not to be exported: {'; '.join(found)}")


def problems(config: PackedConfig, form: Form) -> list[str]:
    """What `check` names."""
    precision, found = config.precision, list[str]()
    if precision.granularity == "group":
        found.append("granularity: 'group'; row and matrix can be exported")
    if form == "int8" and precision.weights == 8:
        found.append(
            "weights: 8 bits with --int8; on processors without VNNI its sums of 16 bits would overflow, so "
            "leave --int8 out"
        )
    if form == "int8" and precision.activations == FULL:
        found.append("activations: 32 bits with --int8; it multiplies whole numbers, so leave it out")
    return found


class Bert:
    """One model on its way into a graph.

    Attributes:
        asked: what MatMulNBits multiplies, in order.
    """

    def __init__(self, arrays: Arrays, form: Form) -> None:
        """Raises NotExpressedError as `check`."""
        check(arrays.config, form)
        self._arrays, self._config, self._form = arrays, arrays.config, form
        self._graph = Graph()
        self.asked: list[Product] = []

    def model(self, metadata: dict[str, str]) -> ModelProto:
        graph = self._graph
        ids, mask, segments = (graph.input(name, ["batch", "tokens"]) for name in INPUTS)
        is_token = graph.cast(mask, "bool")
        own = graph.add("Unsqueeze", is_token, graph.whole(1, 2))
        hidden = graph.add("Where", own, graph.number(0), graph.number(_HIDDEN))
        x = self._embeddings(ids, segments)
        for layer in range(self._config.num_hidden_layers):
            x = self._layer(layer, x, hidden)
        self._head(x, is_token)
        return graph.model(metadata)

    def _embeddings(self, ids: str, segments: str) -> str:
        graph = self._graph
        length = graph.add("Gather", graph.add("Shape", ids), graph.constant(np.array(1, np.int64)))
        start, step = (graph.constant(np.array(value, np.int64)) for value in (0, 1))
        positions = graph.add("Unsqueeze", graph.add("Range", start, length, step), graph.whole(0))
        word, position, segment = (
            weights.look_up(graph, self._arrays, table, which)
            for table, which in zip(schema.tables(self._config), (ids, positions, segments), strict=True)
        )
        x = graph.add("Add", graph.add("Add", word, segment), position)
        return self._norm(f"{schema.EMBEDDINGS}.LayerNorm", x)

    def _layer(self, layer: int, x: str, hidden: str) -> str:
        *of_heads, out, up, down = schema.linears(self._config, layer)
        after_attention, after_feed_forward = schema.norms(layer)
        context = self._attention(layer, of_heads, x, hidden)
        x = self._norm(after_attention, self._graph.add("Add", self._linear(out, context), x))
        inner = self._activated(self._config.hidden_act, self._linear(up, x))
        return self._norm(after_feed_forward, self._graph.add("Add", self._linear(down, inner), x))

    def _attention(self, layer: int, of_heads: list[Matrix], x: str, hidden: str) -> str:
        graph, is_bi = self._graph, self._config.precision.attention == "bi"
        query, key, value = (
            self._heads(layer, part, self._linear(matrix, x))
            for part, matrix in zip(schema.ATTENTION, of_heads, strict=True)
        )
        keys = graph.add("Transpose", key.values(graph), perm=(0, 1, 3, 2))
        scores = graph.add("MatMul", query.values(graph), keys)
        if is_bi:  # of whole numbers, so that a sum of 0 is 0
            is_one = graph.add("GreaterOrEqual", graph.add("Add", scores, hidden), graph.number(0))
            context = graph.add("MatMul", graph.cast(is_one, "float32"), value.values(graph))
        else:
            scaled = graph.add("Mul", scores, graph.number(1 / math.sqrt(self._config.head_size)))
            shares = graph.add("Softmax", graph.add("Add", scaled, hidden), axis=-1)
            read = self._rounded(f"{schema.products(layer)}.probabilities", shares, "from zero")
            product = graph.add("MatMul", read.whole(graph), value.values(graph))
            context = read.times_step(graph, product)
        return graph.reshape(graph.add("Transpose", context, perm=(0, 2, 1, 3)), 0, 0, -1)

    def _heads(self, layer: int, part: str, value: str) -> Rounded:
        """[B, A, S, D], rounded."""
        apart = self._graph.reshape(value, 0, 0, self._config.kept_heads, self._config.head_size)
        heads = self._graph.add("Transpose", apart, perm=(0, 2, 1, 3))
        if self._config.precision.attention == "bi" and part != "value":
            return rounded(self._graph, self._arrays, "", heads, kind="sign", bits=1, sort="centred")
        return self._rounded(f"{schema.products(layer)}.{part}", heads, "centred")

    def _linear(self, matrix: Matrix, x: str) -> str:
        is_relu = self._config.hidden_act == "relu"
        second: Sort = "from zero" if is_relu else "after GELU"
        sort: Sort = "centred" if matrix.signed else second
        read = self._rounded(f"{matrix.name}.activation", x, sort, is_second=not matrix.signed)
        return products.linear(self._graph, self._arrays, matrix, read, self._form, self.asked)

    def _rounded(self, name: str, value: str, sort: Sort, *, is_second: bool = False) -> Rounded:
        precision = self._config.precision
        kind = precision.quantizer_of_activations(is_second=is_second)
        bits = precision.bits_of_activations(is_second=is_second)
        return rounded(self._graph, self._arrays, name, value, kind=kind, bits=bits, sort=sort)

    def _norm(self, name: str, value: str) -> str:
        side = (self._graph.floats(self._arrays.floats(f"{name}.{part}")) for part in ("weight", "bias"))
        epsilon = self._config.layer_norm_eps
        return self._graph.add("LayerNormalization", value, *side, axis=-1, epsilon=epsilon)

    def _activated(self, function: str, value: str) -> str:
        match function:
            case "gelu":
                return self._graph.add("Gelu", value)
            case "gelu_new" | "gelu_pytorch_tanh":
                return self._graph.add("Gelu", value, approximate="tanh")
            case "silu":
                return self._graph.add("Mul", value, self._graph.add("Sigmoid", value))
            case "tanh":
                return self._graph.add("Tanh", value)
        return self._graph.add("Relu", value)

    def _head(self, x: str, is_token: str) -> None:
        graph, head, labels = self._graph, self._config.head, len(self._config.id2label)
        if head.reads == "mean":
            own = graph.add("Unsqueeze", is_token, graph.whole(2))
            total = graph.add(
                "ReduceSum", graph.add("Where", own, x, graph.number(0)), graph.whole(1), keepdims=0
            )
            length = graph.add("ReduceL2", total, graph.whole(1), keepdims=1)
            graph.output(
                "sentence_embedding", graph.add("Div", total, length), ["batch", self._config.hidden_size]
            )
            return
        for pooler in schema.pooler(self._config):
            first = graph.add("Slice", x, graph.whole(0), graph.whole(1), graph.whole(1))
            x = graph.reshape(
                self._activated(self._config.pooler_act or "tanh", self._linear(pooler, first)), 0, -1
            )
        weight_EL = graph.constant(self._arrays.floats(f"{head.layer}.weight").T.copy())
        bias_L = graph.constant(self._arrays.floats(f"{head.layer}.bias"))
        logits = graph.add("Add", graph.add("MatMul", x, weight_EL), bias_L)
        if self._config.answering is not None:
            for number, name in enumerate(("start_logits", "end_logits")):
                own = graph.add("Gather", logits, graph.constant(np.array(number, np.int64)), axis=2)
                graph.output(name, own, ["batch", "tokens"])
            return
        graph.output("logits", logits, ["batch", "tokens", labels] if head.per_token else ["batch", labels])
