"""Which tensors a packed folder's file has to hold, from its config.json alone: names, shapes and dtypes.

For models that `support.check` lets pass; tests compare it with what the transformers model wants.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bitladder.packed.codes import num_bytes
from bitladder.packed.format import ANSWERER, CODES, SCALE, PackedConfig
from bitladder.packed.tensors import Entry

TABLES = {
    "word_embeddings": "vocab_size",
    "position_embeddings": "max_position_embeddings",
    "token_type_embeddings": "type_vocab_size",
}
EMBEDDINGS, POOLER = "bert.embeddings", "bert.pooler.dense"
ATTENTION = ("query", "key", "value")
PRODUCTS = (*ATTENTION, "probabilities")
FULL = 32


@dataclass(frozen=True)
class Linear:
    """A quantized linear layer; `signed`: what it reads is centred on zero."""

    name: str
    num_outputs: int
    num_inputs: int
    signed: bool = True


def is_answerer(config: PackedConfig) -> bool:
    return bool(config.architectures == [ANSWERER])


def head(config: PackedConfig) -> str:
    return "qa_outputs" if is_answerer(config) else "classifier"


def layer_linears(config: PackedConfig, layer: int) -> list[Linear]:
    """The six of a layer, in the order of `kernels.sequence.encode`."""
    own, hidden, neurons = f"bert.encoder.layer.{layer}", config.hidden_size, config.intermediate_size
    return [
        *(Linear(f"{own}.attention.self.{name}", hidden, hidden) for name in ATTENTION),
        Linear(f"{own}.attention.output.dense", hidden, hidden),
        Linear(f"{own}.intermediate.dense", neurons, hidden),
        Linear(f"{own}.output.dense", hidden, neurons, signed=False),
    ]


def layer_norms(layer: int) -> list[str]:
    own = f"bert.encoder.layer.{layer}"
    return [f"{own}.attention.output.LayerNorm", f"{own}.output.LayerNorm"]


def pooler(config: PackedConfig) -> list[Linear]:
    """None, or one."""
    return [] if is_answerer(config) else [Linear(POOLER, config.hidden_size, config.hidden_size)]


def matrices(config: PackedConfig) -> dict[str, tuple[float, int]]:
    """Of everything that has codes: bits of one in the file, and codes in a row."""
    precision, layers = config.precision, range(config.num_hidden_layers)
    linears = [*(one for layer in layers for one in layer_linears(config, layer)), *pooler(config)]
    found = {one.name: (config.stored_bits(precision.weights), one.num_inputs) for one in linears}
    if precision.embeddings != FULL:
        tables = {f"{EMBEDDINGS}.{name}" for name in TABLES}
        stored = config.stored_bits(precision.embeddings)
        found |= dict.fromkeys(tables, (stored, config.hidden_size))
    return found


def entries(config: PackedConfig) -> dict[str, Entry]:
    """How each tensor is stored, by name."""
    found = dict(_tables(config)) | dict(_norm(f"{EMBEDDINGS}.LayerNorm", config))
    for layer in range(config.num_hidden_layers):
        for linear in layer_linears(config, layer):
            found |= dict(_linear(linear, config))
        for norm in layer_norms(layer):
            found |= dict(_norm(norm, config))
        found |= dict(_products(f"bert.encoder.layer.{layer}.attention.self.products", config))
    for linear in pooler(config):
        found |= dict(_linear(linear, config))
    num_labels = len(config.id2label)
    found[f"{head(config)}.weight"] = Entry("F32", (num_labels, config.hidden_size))
    return found | {f"{head(config)}.bias": Entry("F32", (num_labels,))}


_Entries = Iterator[tuple[str, Entry]]


def _tables(config: PackedConfig) -> _Entries:
    bits, hidden = config.precision.embeddings, config.hidden_size
    for name, key in TABLES.items():
        if bits == FULL:
            yield f"{EMBEDDINGS}.{name}.weight", Entry("F32", (getattr(config, key), hidden))
        else:
            yield from _matrix(f"{EMBEDDINGS}.{name}", getattr(config, key), hidden, bits, config)


def _linear(linear: Linear, config: PackedConfig) -> _Entries:
    bits, activations = config.precision.weights, config.precision.activations
    yield from _matrix(linear.name, linear.num_outputs, linear.num_inputs, bits, config)
    yield f"{linear.name}.bias", Entry("F16", (linear.num_outputs,))
    if activations != 8:
        yield f"{linear.name}.activation.log_step", Entry("F16", ())
    # ReLU's outputs are rounded from zero on.
    from_zero = not linear.signed and config.hidden_act == "relu"
    if activations == 1 and not from_zero:
        yield f"{linear.name}.activation.shift", Entry("F16", (linear.num_inputs,))
    if activations in (2, 4) and not linear.signed and not from_zero:
        yield f"{linear.name}.activation.offset", Entry("F16", ())


def _matrix(name: str, rows: int, columns: int, bits: int, config: PackedConfig) -> _Entries:
    is_per_row = config.precision.granularity == "row"
    yield f"{name}{CODES}", Entry("U8", (rows, num_bytes(columns, config.stored_bits(bits))))
    yield f"{name}{SCALE}", Entry("F16", (rows if is_per_row else 1,))


def _norm(name: str, config: PackedConfig) -> _Entries:
    for part in ("weight", "bias"):
        yield f"{name}.{part}", Entry("F16", (config.hidden_size,))


def _products(name: str, config: PackedConfig) -> _Entries:
    bits, heads = config.precision.activations, config.num_attention_heads
    for part in PRODUCTS:
        if bits != 8:
            yield f"{name}.{part}.log_step", Entry("F16", ())
        if bits == 1 and part != "probabilities":
            yield f"{name}.{part}.shift", Entry("F16", (heads, 1, config.hidden_size // heads))
