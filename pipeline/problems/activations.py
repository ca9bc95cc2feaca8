"""Problems of `activation_quantizer` and `attention`: names that do not fit the bits, signs all the same."""

from collections.abc import Iterator

from bitladder.quantizers.names import ACTIVATIONS, serving
from pipeline.problems.problem import Problem, did_you_mean, listed
from pipeline.problems.values import Values

SECTION = "weights_activations"


def activation_problems(values: Values) -> Iterator[Problem]:
    """Every problem of how a rung's activations are quantized; what is no text or number is left out."""
    for name in values.names(SECTION):
        place, bits = f"{SECTION}.{name}", values.whole(SECTION, name, "activation_bits")
        quantizer = values.text(SECTION, name, "activation_quantizer")
        is_bi = values.text(SECTION, name, "attention") == "bi"
        if quantizer is not None:
            yield from _quantizer(f"{place}.activation_quantizer", quantizer, bits)
        if is_bi and bits not in (None, 1):
            yield Problem(
                f"{place}.attention", f"bi attends by signs, and activation_bits is {bits}; softmax, or 1 bit"
            )
        if quantizer == "sign":
            yield from _signs(values, name, place, is_bi=is_bi)


def _quantizer(field: str, quantizer: str, bits: int | None) -> Iterator[Problem]:
    named = ACTIVATIONS.get(quantizer)
    fitting = serving(ACTIVATIONS, bits) if bits is not None else list(ACTIVATIONS)
    if named is None:
        suggestion = did_you_mean(quantizer, ACTIVATIONS)
        where = "" if bits is None else f"for activation_bits {bits}: "
        yield Problem(field, f"no activation quantizer {quantizer!r}; {suggestion}{where}{listed(fitting)}")
    elif bits is not None and bits not in named.bits:
        yield Problem(
            field,
            f"{quantizer} serves activation_bits {listed(named.bits)}, not {bits}; "
            f"for {bits}: {listed(fitting)}",
        )


def _signs(values: Values, name: str, place: str, *, is_bi: bool) -> Iterator[Problem]:
    """After a softmax or ReLU nothing is negative, so that every sign is the same."""
    if not is_bi:
        yield Problem(
            f"{place}.activation_quantizer",
            "sign makes 1 of everything a softmax puts out; write attention: bi, or take elastic",
        )
    if values.text(SECTION, name, "hidden_act") == "relu":
        yield Problem(
            f"{place}.hidden_act", "relu puts out nothing negative, of which sign makes 1; gelu, or elastic"
        )
