"""Which packed models the kernels run. All others say why not, so that torch can be taken instead."""

from typing import Any

from bitladder.runtime.kernels import engines
from bitladder.runtime.kernels.engines import Choice
from bitladder.runtime.kernels.structures import LARGEST

PRECISION = ("weights", "embeddings", "activations", "granularity")
_ACTIVATION_BITS = (1, 2, 4, 8)


class UnsupportedError(RuntimeError):
    """The kernels do not run this model, or do not run on this computer; torch does."""

    exit_code = 2


def engine() -> Choice:
    """The engine to run.

    Raises:
        UnsupportedError: it is torch.
        EngineError: the environment asks for one that there is not.
    """
    found = engines.choose()
    if found.engine == engines.TORCH:
        raise UnsupportedError(f"engine torch: {found.reason}")
    return found


def check(config: dict[str, Any]) -> None:
    """Raises UnsupportedError naming everything in a checked config.json that has no kernel."""
    if problems := _of_precision(config["bitladder_precision"]) + _of_sizes(config):
        raise UnsupportedError("no kernel for " + "; ".join(problems))


def _of_precision(precision: dict[str, Any]) -> list[str]:
    bits, weights = precision["activations"], precision["weights"]
    found = [
        f"bitladder_precision.{key}: {value!r}"
        for key, value in precision.items()
        if key not in PRECISION and value is not None
    ]
    if precision["granularity"] not in ("row", "matrix"):
        found.append(f"granularity: {precision['granularity']!r}")
    if bits not in _ACTIVATION_BITS:
        found.append(f"activations: {bits} bits; there is {_ACTIVATION_BITS}")
    if bits == 1 and weights != 1:
        found.append(f"activations: 1 bit with weights of {weights} bits; with 1 bit there is")
    return found


def _of_sizes(config: dict[str, Any]) -> list[str]:
    hidden, heads = (config[key] for key in ("hidden_size", "num_attention_heads"))
    found = [
        f"{key}: {config[key]}, which is no multiple of 64 up to {LARGEST}"
        for key in ("hidden_size", "intermediate_size")
        if config[key] % 64 or config[key] > LARGEST
    ]
    if hidden // heads % 16:
        found.append(f"heads of {hidden // heads} features, which is no multiple of 16")
    if config["hidden_act"] not in ("gelu", "relu"):
        found.append(f"hidden_act: {config['hidden_act']!r}; there is gelu and relu")
    if config.get("bitladder_width") is not None:
        found.append(f"bitladder_width: {config['bitladder_width']:g}")
    return found
