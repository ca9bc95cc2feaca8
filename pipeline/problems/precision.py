"""Problems of bits, quantizers, groups, width and splitting: of one rung, and between a rung and its parent.

Bits stay or fall on the way from the teacher: what a parent has rounded away does not come back. Groups fill
the rows of every matrix: a shorter last group would have levels of its own. A narrow rung is cut out of the
teacher, or descends from one of its width. A split rung, whose matrices are sums of two binary ones, starts
from a ternary one (ternary weight splitting), or descends from a split one.
"""

from collections.abc import Iterator, Mapping

from bitladder.quantizers.names import ACTIVATIONS, WEIGHTS, Named, serving, usual
from pipeline.ladder.sizes import Shape
from pipeline.params import Params
from pipeline.problems.problem import Found, Problem, listed, of_rung, unknown
from pipeline.rungs import TEACHER, ActivationRung, Rung

_NEARLY_WHOLE = 1e-6


def precision_problems(params: Params, rungs: Mapping[str, Rung], shape: Shape | None) -> Iterator[Problem]:
    """Every problem of every rung. `rungs`: those that lead to the teacher; `shape`: None while unknown."""
    for name, rung in params.rungs.items():
        found = [_weights(rung), _groups(rung, shape), _width(rung, shape), _teachers_weights(rung)]
        if rung.stage == "general":
            found.append(_whole(rung))
        if isinstance(rung, ActivationRung):
            found.append(_activations(rung))
        yield from of_rung(name, rung, *found)
    for name, rung in rungs.items():
        parent = rungs.get(rung.init_from)  # None: the teacher
        yield from of_rung(name, rung, _rising(rung, parent) if parent else (), _form(rung, parent))


def _weights(rung: Rung) -> Found:
    if rung.weight_quantizer is not None:
        yield from _quantizer("weight", rung.weight_quantizer, WEIGHTS, "bits", rung.bits)
        if rung.split and rung.weight_quantizer in WEIGHTS and rung.weight_quantizer != usual(WEIGHTS, 1):
            yield "weight_quantizer", f"{rung.weight_quantizer} does not fit split: true; write bwn"
    if rung.split and not rung.bits == rung.embeddings == 1:
        remedy = "write bits: 1 and no other embedding_bits"
        yield "split", f"each matrix becomes a sum of two binary ones; {remedy}"


def _quantizer(kind: str, name: str, known: Mapping[str, Named], field: str, bits: int) -> Found:
    fitting, place = serving(dict(known), bits), f"{kind}_quantizer"
    if name not in known:
        yield place, unknown(f"{kind} quantizer", name, known, which=f"for {field} {bits}", among=fitting)
    elif name not in fitting:
        needed = listed(known[name].bits)
        yield place, f"{name} needs {field} {needed}, not {bits}; for {bits}: {listed(fitting)}"


def _activations(rung: ActivationRung) -> Found:
    bits = rung.activation_bits
    if rung.activation_quantizer is not None:
        yield from _quantizer("activation", rung.activation_quantizer, ACTIVATIONS, "activation_bits", bits)
    if rung.feed_forward_activation_bits == bits:
        yield (
            "feed_forward_activation_bits",
            f"{bits}, and so is activation_bits; write another, or leave it out",
        )
    if rung.attention == "bi" and bits != 1:
        yield "attention", f"bi needs activation_bits 1, not {bits}; write softmax, or activation_bits: 1"
    # After a softmax or ReLU nothing is negative, so that every sign is the same.
    signs = rung.activation_quantizer == "sign"
    if signs and rung.attention != "bi":
        yield (
            "activation_quantizer",
            "sign makes everything that softmax puts out the same; write attention: bi, or choose elastic",
        )
    if signs and rung.hidden_act == "relu":
        yield "hidden_act", "relu puts out nothing negative, and sign makes all of that the same; write gelu"


def _groups(rung: Rung, shape: Shape | None) -> Found:
    size = rung.group_size
    if rung.granularity == "group" and size is None:
        yield "group_size", "missing; granularity: group needs how many neighbours share a scale, e.g. 64"
    elif rung.granularity != "group" and size is not None:
        yield "group_size", f"only for granularity: group, and it is {rung.granularity}; leave it out"
    elif size is not None and shape is not None:
        whole = {"hidden_size": shape.hidden_size, "intermediate_size": shape.intermediate_size}
        narrow = {f"{row} at width {rung.width:g}": length * rung.width for row, length in whole.items()}
        rows = whole if rung.width == 1 else {"hidden_size": shape.hidden_size, **narrow}
        for row, length in rows.items():
            if length % size:
                yield "group_size", f"{size} does not divide the model's {row}, {length:g}; take a divisor"
    if rung.scale_bits == 8 and rung.granularity != "row":
        yield "scale_bits", f"8 is for granularity: row, and it is {rung.granularity}; write 16"


def _width(rung: Rung, shape: Shape | None) -> Found:
    if rung.width != 1 and rung.reconstruct is not None:
        yield (
            "init.method",
            f"reconstruct needs the teacher's width, and width is {rung.width:g}; write round",
        )
    if shape is None or rung.width == 1:
        return
    for size in ("num_attention_heads", "intermediate_size"):
        whole = getattr(shape, size)
        if abs(rung.width * whole - round(rung.width * whole)) > _NEARLY_WHOLE:
            part = f"{rung.width:g} of the model's {size}, {whole}, is {rung.width * whole:g}"
            yield "width", f"{part}; it must be a whole number"


def _whole(rung: Rung) -> Found:
    if rung.width != 1:
        yield "width", f"{rung.width:g}, and a general rung has the pre-trained model's; leave it out"
    if rung.split:
        yield "split", "not for a general rung; split a task's ternary rung"


def _teachers_weights(rung: Rung) -> Found:
    if rung.width == 1 and not rung.split:
        return
    for selector, origin in rung.init.items():
        if origin.copy_from == TEACHER:
            yield f"init.{selector}", "the teacher is neither narrow nor split; write copy, or draw them"


def _rising(rung: Rung, parent: Rung) -> Found:
    if isinstance(parent, ActivationRung) and rung.stage == "weights":
        yield (
            "init_from",
            f"{rung.init_from} has quantized activations, and a rung under weights has none; "
            f"start from {TEACHER} or from a rung under weights",
        )
        return
    pairs: dict[str, tuple[int, int]] = {"bits": (rung.bits, parent.bits)}
    if (rung.embeddings, parent.embeddings) != (rung.bits, parent.bits):
        pairs["embedding_bits"] = rung.embeddings, parent.embeddings
    pairs["activation_bits"] = rung.activations, parent.activations
    if (rung.second_activations, parent.second_activations) != (rung.activations, parent.activations):
        pairs["feed_forward_activation_bits"] = rung.second_activations, parent.second_activations
    for field, (own, most) in pairs.items():
        if own > most:
            yield field, f"{own} is more than its parent {rung.init_from} has; write at most {most}"


def _form(rung: Rung, parent: Rung | None) -> Found:
    """Width and split; `parent`: None where it is the teacher."""
    name = rung.init_from
    if parent and rung.width != parent.width:
        remedy = "write that, or start from teacher"
        yield "width", f"{rung.width:g}, and its parent {name} has {parent.width:g}; {remedy}"
    if parent and parent.split:
        if not rung.split:
            yield "split", f"its parent {name} is split; write split: true, or start from another rung"
    elif rung.split and rung.bits == rung.embeddings == 1:
        yield from _splitting(rung, parent)


def _splitting(rung: Rung, parent: Rung | None) -> Found:
    name = rung.init_from
    if parent is None or not parent.bits == parent.embeddings == 2:
        yield "split", f"{name} cannot be split; start from a rung with bits: 2, or from a split one"
    elif (rung.granularity, rung.group_size) != (parent.granularity, parent.group_size):
        its = f"granularity: {parent.granularity}"
        group = f" and group_size: {parent.group_size}" if parent.group_size else ""
        yield "split", f"needs the scales of its parent {name}; write {its}{group} here too"
    elif rung.bits_of_scales != parent.bits_of_scales:
        its = f"scale_bits: {parent.bits_of_scales}"
        yield "split", f"needs the scales of its parent {name}; write {its} here too"
    elif parent.weight_quantizer not in (None, usual(WEIGHTS, 2)):
        yield "split", f"needs a parent quantized by twn, and {name} is by {parent.weight_quantizer}"
