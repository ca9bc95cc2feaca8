"""Which packed models the kernels run. All others say why not, so that torch can be taken instead."""

from bitladder.packed.format import PackedConfig
from bitladder.quantizers.precision import FULL
from bitladder.runtime.kernels import engines
from bitladder.runtime.kernels.engines import Choice, UnsupportedError
from bitladder.runtime.kernels.structs import LARGEST


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
    precision, weights = config.precision, config.precision.weights
    activations, attention = precision.activations, precision.attention
    quantizer = precision.activation_quantizer
    problems = {
        "granularity: 'group'; kernels take row and matrix": precision.granularity == "group",
        "split: true; kernels take no matrix that is a sum of two": precision.split,
        f"activation_quantizer: {quantizer!r}; kernels take the usual ones": quantizer is not None,
        f"attention: {attention!r}; kernels take softmax": attention != "softmax",
        "activations: 32 bits; kernels take 1, 2, 4 and 8": activations == FULL,
        f"activations: 1 bit with weights of {weights} bits; kernels take it with weights of 1 bit": (
            activations == 1 and weights != 1
        ),
        f"attention heads of {config.head_size} features; kernels take multiples of 16": config.head_size
        % 16,
        f"hidden_act: {config.hidden_act!r}; kernels take gelu and relu": (
            config.hidden_act not in ("gelu", "relu")
        ),
        f"bitladder_width: {config.width}; kernels take models of full width": config.width is not None,
    }
    for key in ("hidden_size", "intermediate_size"):
        size = getattr(config, key)
        problems[f"{key}: {size}; kernels take multiples of 64 up to {LARGEST}"] = size % 64 or size > LARGEST
    if found := [problem for problem, is_there in problems.items() if is_there]:
        raise UnsupportedError(f"no kernel for this model: {'; '.join(found)}")
