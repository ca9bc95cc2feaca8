"""Which packed models the kernels run. All others say why not, so that torch can be taken instead."""

from bitladder.packed.format import PackedConfig
from bitladder.quantizers.precision import FULL
from bitladder.runtime.kernels import engines
from bitladder.runtime.kernels.engines import Choice
from bitladder.runtime.kernels.structs import LARGEST


class UnsupportedError(RuntimeError):
    """The kernels do not run this model, or do not run on this computer; torch does."""

    exit_code = 2


def engine() -> Choice:
    """The engine to run.

    Raises:
        UnsupportedError: it is torch.
        EngineError: the environment asks for one that does not exist.
    """
    found = engines.choose()
    if found.engine == engines.TORCH:
        raise UnsupportedError(f"engine torch: {found.reason}")
    return found


def check(config: PackedConfig) -> None:
    """Raises UnsupportedError naming everything in a config.json that no kernel computes."""
    if problems := _of_precision(config) + _of_sizes(config):
        raise UnsupportedError(f"no kernel for this model: {'; '.join(problems)}")


def _of_precision(config: PackedConfig) -> list[str]:
    precision, found = config.precision, []
    weights, activations = precision.weights, precision.activations
    if precision.granularity == "group":
        found.append("granularity: 'group'; kernels take row and matrix")
    if precision.split:
        found.append("split: true; kernels take no matrix that is a sum of two")
    if precision.activation_quantizer is not None:
        found.append(f"activation_quantizer: {precision.activation_quantizer!r}; kernels take the usual ones")
    if precision.attention != "softmax":
        found.append(f"attention: {precision.attention!r}; kernels take softmax")
    if activations == FULL:
        found.append("activations: 32 bits; kernels take 1, 2, 4 and 8")
    if activations == 1 and weights != 1:
        found.append(
            f"activations: 1 bit with weights of {weights} bits; kernels take it with weights of 1 bit"
        )
    return found


def _of_sizes(config: PackedConfig) -> list[str]:
    sizes = {"hidden_size": config.hidden_size, "intermediate_size": config.intermediate_size}
    found = [
        f"{key}: {size}; kernels take multiples of 64 up to {LARGEST}"
        for key, size in sizes.items()
        if size % 64 or size > LARGEST
    ]
    if config.head_size % 16:
        found.append(f"attention heads of {config.head_size} features; kernels take multiples of 16")
    if config.hidden_act not in ("gelu", "relu"):
        found.append(f"hidden_act: {config.hidden_act!r}; kernels take gelu and relu")
    if config.width is not None:
        found.append(f"bitladder_width: {config.width:g}; kernels take models of full width")
    return found
