"""Which tensors a packed file holds, said by its config.json alone: names, dtypes, shapes, and what they are.

A file is checked by it when it is read and when it is written, sizes are counted by it, and the kernels find
by its names what they load. docs/file-format.md says the same in words.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from bitladder.modeling.share import TABLES
from bitladder.packed.codes import num_bytes
from bitladder.packed.format import PackedConfig
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
        columns: of codes, how many are in a row: bytes alone do not tell it.
    """

    name: str
    entry: Entry
    part: str
    bits: float
    parameters: int = 0
    whole_parameters: int = 0
    columns: int = 0


@dataclass(frozen=True)
class Matrix:
    """A table, or the weight of a linear layer, of encoder or pooler: rows are entries, or outputs.

    Attributes:
        whole_rows, whole_columns: of the whole model's.
        signed: what a layer reads is centred on zero; else it is what the activation function gave.
    """

    name: str
    rows: int
    columns: int
    whole_rows: int
    whole_columns: int
    part: str = ENCODER
    signed: bool = True


def tensors(config: PackedConfig) -> dict[str, Stored]:
    """Every tensor of the file, by name."""
    found = chain(
        *(_matrix(config, table) for table in tables(config)),
        _norm(config, f"{EMBEDDINGS}.LayerNorm"),
        *(_layer(config, number) for number in range(config.num_hidden_layers)),
        *(_linear(config, linear) for linear in pooler(config)),
        _head(config),
    )
    return {stored.name: stored for stored in found}


def tables(config: PackedConfig) -> list[Matrix]:
    """The word, position and segment tables."""
    size, found = config.hidden_size, []
    for name, key in TABLES.items():
        rows = int(getattr(config, key))
        found.append(Matrix(f"{EMBEDDINGS}.{name}", rows, size, rows, size, TABLE_PARTS[name]))
    return found


def linears(config: PackedConfig, layer: int) -> list[Matrix]:
    """Query, key, value, what follows attention, and both of the feed-forward network, in this order."""
    name, hidden, whole = f"bert.encoder.layer.{layer}", config.hidden_size, config.intermediate_size
    heads, neurons = config.kept_heads * config.head_size, config.kept_neurons
    return [
        *(Matrix(f"{name}.attention.self.{one}", heads, hidden, hidden, hidden) for one in ATTENTION),
        Matrix(f"{name}.attention.output.dense", hidden, heads, hidden, hidden),
        Matrix(f"{name}.intermediate.dense", neurons, hidden, whole, hidden),
        Matrix(f"{name}.output.dense", hidden, neurons, hidden, whole, signed=False),
    ]


def pooler(config: PackedConfig) -> list[Matrix]:
    """One where the head reads the first token, else none."""
    size = config.hidden_size
    return [] if not config.head.has_pooler else [Matrix(POOLER, size, size, size, size, POOLER_PART)]


def norms(layer: int) -> list[str]:
    """Both LayerNorms of a layer."""
    return [f"bert.encoder.layer.{layer}.{part}.LayerNorm" for part in ("attention.output", "output")]


def products(layer: int) -> str:
    """What the quantizers of a layer's query, key, value and probabilities begin with."""
    return f"bert.encoder.layer.{layer}.attention.self.products"


def _layer(config: PackedConfig, number: int) -> Iterator[Stored]:
    for linear in linears(config, number):
        yield from _linear(config, linear)
    for norm in norms(number):
        yield from _norm(config, norm)
    # Bi-Attention takes signs of query and key, and nothing of probabilities.
    quantized = ("value",) if config.precision.attention == "bi" else PRODUCTS
    shift = (config.kept_heads, 1, config.head_size)
    for part in quantized:
        from_zero = part == "probabilities"
        yield from _activation(config, f"{products(number)}.{part}", shift, from_zero=from_zero)


def _linear(config: PackedConfig, linear: Matrix) -> Iterator[Stored]:
    weights = list(_matrix(config, linear))
    yield from weights
    yield _side(f"{weights[0].name.removesuffix(CODES)}.bias", linear.rows, linear.whole_rows)
    is_relu = config.hidden_act == "relu"
    yield from _activation(
        config,
        f"{linear.name}.activation",
        (linear.columns,),
        from_zero=is_relu and not linear.signed,
        after_gelu=not is_relu and not linear.signed,
        is_second=not linear.signed,
    )


def _matrix(config: PackedConfig, matrix: Matrix) -> Iterator[Stored]:
    """Codes and scales; with weight splitting those of two, of which the first stands for the whole."""
    precision, (rows, columns) = config.precision, (matrix.rows, matrix.columns)
    bits = precision.embeddings if matrix.part in TABLE_PARTS.values() else precision.weights
    whole = matrix.whole_rows * matrix.whole_columns
    if bits == FULL:
        entry = Entry("F32", (rows, columns))
        yield Stored(f"{matrix.name}.weight", entry, matrix.part, FULL, rows * columns, whole)
        return
    stored_bits = config.stored_bits(bits)
    codes = Entry("U8", (rows, num_bytes(columns, stored_bits)))
    groups = {"row": (rows,), "matrix": (1,), "group": (rows, columns // (precision.group_size or 1))}
    for half, stands_for in ((".first", whole), (".second", 0)) if precision.split else (("", whole),):
        name = f"{matrix.name}{half}"
        count = rows * columns
        yield Stored(f"{name}{CODES}", codes, matrix.part, stored_bits, count, stands_for, columns)
        dtype = "U8" if precision.scale_bits == 8 else "F16"
        yield Stored(
            f"{name}{SCALE}", Entry(dtype, groups[precision.granularity]), SCALES, precision.scale_bits
        )


def _norm(config: PackedConfig, name: str) -> Iterator[Stored]:
    for part in ("weight", "bias"):
        yield _side(f"{name}.{part}", config.hidden_size, config.hidden_size)


def _side(name: str, size: int, whole: int) -> Stored:
    return Stored(name, Entry("F16", (size,)), SIDE, 16, size, whole)


def _activation(
    config: PackedConfig,
    name: str,
    shift: tuple[int, ...],
    *,
    from_zero: bool,
    after_gelu: bool = False,
    is_second: bool = False,
) -> Iterator[Stored]:
    """What the activation quantizer at this place keeps; where it is neither, values are centred on zero."""
    kind = config.precision.quantizer_of_activations(is_second=is_second)
    shapes = dict[str, tuple[int, ...]]()
    if kind == "min_max_ema":
        shapes["magnitude"] = ()
    if kind in ("lsq", "elastic"):
        shapes["log_step"] = ()
    if kind == "lsq" and after_gelu:
        shapes["offset"] = ()
    if kind == "elastic" and not from_zero:
        shapes["shift"] = shift
    for part, shape in shapes.items():
        yield Stored(f"{name}.{part}", Entry("F16", shape), ACTIVATION_STEPS, 16)


def _head(config: PackedConfig) -> Iterator[Stored]:
    if not config.head.layer:
        return
    labels = len(config.id2label)
    for part, shape in (("weight", (labels, config.hidden_size)), ("bias", (labels,))):
        count = math.prod(shape)
        yield Stored(f"{config.head.layer}.{part}", Entry("F32", shape), HEAD, FULL, count, count)
