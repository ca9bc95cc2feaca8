"""Which tensors a packed file holds, said by its config.json alone: names, dtypes, shapes, and what they are.

A file is checked by it when it is read and when it is written, sizes are counted by it, and the kernels find
by its names what they load. docs/file-format.md says the same in words.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from bitladder.modeling.share import TABLES
from bitladder.packed.codes import num_bytes
from bitladder.packed.format import ANSWERER, PackedConfig
from bitladder.packed.tensors import Entry
from bitladder.quantizers.precision import FULL

CODES, SCALE = ".codes", ".scale"
EMBEDDINGS, POOLER = "bert.embeddings", "bert.pooler.dense"
ATTENTION = ("query", "key", "value")
PRODUCTS = (*ATTENTION, "probabilities")
# Parts of a model, as sizes are counted.
TABLE_PARTS = dict(zip(TABLES, ("word table", "position table", "segment table"), strict=True))
ENCODER, POOLER_PART, HEAD, SIDE = "encoder", "pooler", "head", "norms and biases"
SCALES, ACTIVATION_STEPS = "scales", "activation steps"


@dataclass(frozen=True)
class Stored:
    """One tensor of the file.

    Attributes:
        part: of the model.
        bits: of one stored number.
        parameters: weights of the model that are stored here; scales and steps are none.
        whole_parameters: weights of the whole model, of full width and not split, that these stand for.
    """

    name: str
    entry: Entry
    part: str
    bits: float
    parameters: int = 0
    whole_parameters: int = 0


@dataclass(frozen=True)
class Matrix:
    """A matrix or table that is stored as codes and scales.

    Attributes:
        bits: of a code in the file.
        whole: its weights in the whole model; 0 of the second of two whose sum stands for one.
    """

    name: str
    rows: int
    columns: int
    bits: float
    part: str
    whole: int


@dataclass(frozen=True)
class Linear:
    """A linear layer of encoder or pooler.

    Attributes:
        whole_outputs, whole_inputs: of the whole model's.
        signed: what it reads is centred on zero; else it is what the activation function gave.
    """

    name: str
    num_outputs: int
    num_inputs: int
    whole_outputs: int
    whole_inputs: int
    signed: bool = True


def tensors(config: PackedConfig) -> dict[str, Stored]:
    """Every tensor of the file, by name."""
    layers = (_layer(config, number) for number in range(config.num_hidden_layers))
    pooled = (_linear(config, one) for one in pooler(config))
    found = chain(_tables(config), *layers, *pooled, _head(config))
    return {stored.name: stored for stored in found}


def matrices(config: PackedConfig) -> dict[str, Matrix]:
    """Everything that has codes, by name; with weight splitting both halves."""
    tables = [] if config.precision.embeddings == FULL else _table_matrices(config)
    layers = chain(*(linears(config, number) for number in range(config.num_hidden_layers)), pooler(config))
    found = chain(tables, *(_linear_matrices(config, one) for one in layers))
    return {matrix.name: matrix for matrix in found}


def table_rows(config: PackedConfig) -> dict[str, int]:
    """How many entries the word, position and segment tables have, by name."""
    return {f"{EMBEDDINGS}.{name}": int(getattr(config, key)) for name, key in TABLES.items()}


def linears(config: PackedConfig, layer: int) -> list[Linear]:
    """Query, key, value, what follows attention, and both of the feed-forward network, in this order."""
    name, hidden = f"bert.encoder.layer.{layer}", config.hidden_size
    heads, neurons = config.kept_heads * config.head_size, config.kept_neurons
    whole = config.intermediate_size
    return [
        *(Linear(f"{name}.attention.self.{one}", heads, hidden, hidden, hidden) for one in ATTENTION),
        Linear(f"{name}.attention.output.dense", hidden, heads, hidden, hidden),
        Linear(f"{name}.intermediate.dense", neurons, hidden, whole, hidden),
        Linear(f"{name}.output.dense", hidden, neurons, hidden, whole, signed=False),
    ]


def pooler(config: PackedConfig) -> list[Linear]:
    """One; of question answering none."""
    size = config.hidden_size
    return [] if answers_questions(config) else [Linear(POOLER, size, size, size, size)]


def norms(layer: int) -> list[str]:
    """Both LayerNorms of a layer."""
    return [f"bert.encoder.layer.{layer}.{part}.LayerNorm" for part in ("attention.output", "output")]


def products(layer: int) -> str:
    """What the quantizers of a layer's query, key, value and probabilities begin with."""
    return f"bert.encoder.layer.{layer}.attention.self.products"


def head(config: PackedConfig) -> str:
    return "qa_outputs" if answers_questions(config) else "classifier"


def answers_questions(config: PackedConfig) -> bool:
    return config.architectures == [ANSWERER]


_Tensors = Iterator[Stored]


def _tables(config: PackedConfig) -> _Tensors:
    if config.precision.embeddings == FULL:
        for name, rows in table_rows(config).items():
            entry, part = Entry("F32", (rows, config.hidden_size)), TABLE_PARTS[name.rpartition(".")[2]]
            yield Stored(f"{name}.weight", entry, part, FULL, *_twice(rows * config.hidden_size))
    else:
        for matrix in _table_matrices(config):
            yield from _matrix(config, matrix)
    yield from _norm(config, f"{EMBEDDINGS}.LayerNorm")


def _table_matrices(config: PackedConfig) -> Iterator[Matrix]:
    bits, columns = config.stored_bits(config.precision.embeddings), config.hidden_size
    for name, rows in table_rows(config).items():
        part = TABLE_PARTS[name.rpartition(".")[2]]
        for half, whole in _halves(config, name, rows * columns):
            yield Matrix(half, rows, columns, bits, part, whole)


def _linear_matrices(config: PackedConfig, linear: Linear) -> Iterator[Matrix]:
    bits = config.stored_bits(config.precision.weights)
    part = POOLER_PART if linear.name == POOLER else ENCODER
    for half, whole in _halves(config, linear.name, linear.whole_outputs * linear.whole_inputs):
        yield Matrix(half, linear.num_outputs, linear.num_inputs, bits, part, whole)


def _halves(config: PackedConfig, name: str, whole: int) -> list[tuple[str, int]]:
    """The names of the matrices that are stored for this one, and for how many whole weights each stands."""
    return [(f"{name}.first", whole), (f"{name}.second", 0)] if config.precision.split else [(name, whole)]


def _layer(config: PackedConfig, number: int) -> _Tensors:
    for linear in linears(config, number):
        yield from _linear(config, linear)
    for norm in norms(number):
        yield from _norm(config, norm)
    kind, is_bi = config.precision.quantizer_of_activations(), config.precision.attention == "bi"
    shift = (config.kept_heads, 1, config.head_size)
    for part in PRODUCTS:
        if is_bi and part != "value":
            continue  # signs of query and key, and nothing of probabilities
        place: _Place = "from zero" if part == "probabilities" else "centred"
        yield from _activation(f"{products(number)}.{part}", kind, place, shift)


def _linear(config: PackedConfig, linear: Linear) -> _Tensors:
    halves = list(_linear_matrices(config, linear))
    for matrix in halves:
        yield from _matrix(config, matrix)
    yield _side(f"{halves[0].name}.bias", linear.num_outputs, linear.whole_outputs)
    place: _Place = "centred"
    if not linear.signed:
        place = "from zero" if config.hidden_act == "relu" else "after GELU"
    kind = config.precision.quantizer_of_activations()
    yield from _activation(f"{linear.name}.activation", kind, place, (linear.num_inputs,))


def _matrix(config: PackedConfig, matrix: Matrix) -> _Tensors:
    codes = Entry("U8", (matrix.rows, num_bytes(matrix.columns, matrix.bits)))
    parameters = matrix.rows * matrix.columns
    yield Stored(f"{matrix.name}{CODES}", codes, matrix.part, matrix.bits, parameters, matrix.whole)
    size = config.precision.group_size
    groups = {"row": (matrix.rows,), "matrix": (1,), "group": (matrix.rows, matrix.columns // (size or 1))}
    scale = Entry("F16", groups[config.precision.granularity])
    yield Stored(f"{matrix.name}{SCALE}", scale, SCALES, 16)


def _norm(config: PackedConfig, name: str) -> _Tensors:
    for part in ("weight", "bias"):
        yield _side(f"{name}.{part}", config.hidden_size, config.hidden_size)


def _side(name: str, size: int, whole: int) -> Stored:
    return Stored(name, Entry("F16", (size,)), SIDE, 16, size, whole)


_Place = Literal["centred", "after GELU", "from zero"]


def _activation(name: str, kind: str, place: _Place, shift: tuple[int, ...]) -> _Tensors:
    """What an activation quantizer of this kind keeps at this place."""
    shapes: dict[str, tuple[int, ...]] = {}
    if kind == "min_max_ema":
        shapes["magnitude"] = ()
    if kind in ("lsq", "elastic"):
        shapes["log_step"] = ()
    if kind == "lsq" and place == "after GELU":
        shapes["offset"] = ()
    if kind == "elastic" and place != "from zero":
        shapes["shift"] = shift
    for part, shape in shapes.items():
        yield Stored(f"{name}.{part}", Entry("F16", shape), ACTIVATION_STEPS, 16)


def _head(config: PackedConfig) -> _Tensors:
    labels = len(config.id2label)
    for part, shape in (("weight", (labels, config.hidden_size)), ("bias", (labels,))):
        yield Stored(f"{head(config)}.{part}", Entry("F32", shape), HEAD, FULL, *_twice(math.prod(shape)))


def _twice(count: int) -> tuple[int, int]:
    return count, count
