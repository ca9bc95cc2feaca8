"""Every quantizer's name, the widths it serves and the file it lives in. Torch-free: params.yaml is checked by it.

Adding a quantizer is one file in `pipeline/quantizers/` with a function `build`, and one line here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """A quantizer as params.yaml and records know it.

    Attributes:
        rule: what it does, in a few words.
        module: its file, in `pipeline/quantizers/`.
        bits: the widths it serves.
        default: those of them at which it is taken where no name is said.
    """

    rule: str
    module: str
    bits: tuple[int, ...]
    default: tuple[int, ...] = ()


ACTIVATIONS = {
    "per_token": Named("symmetric per token, largest magnitude", "per_token", (8,), default=(8,)),
    "min_max_ema": Named("symmetric, moving average of the largest magnitude", "min_max_ema", (8,)),
    "lsq": Named("learned step (LSQ)", "learned_step", (2, 4, 8), default=(2, 4)),
    "elastic": Named("elastic binary, learned step and shift", "elastic", (1,), default=(1,)),
    "sign": Named("plain sign, nothing learned", "sign", (1,)),
}


def usual(known: dict[str, Named], bits: int) -> str:
    """The name of the quantizer that serves this width where none is said.

    Raises:
        ValueError: nothing serves it.
    """
    for name, named in known.items():
        if bits in named.default:
            return name
    raise ValueError(f"no quantizer of {bits} bits")


def serving(known: dict[str, Named], bits: int) -> list[str]:
    """The names of those that serve this width."""
    return [name for name, named in known.items() if bits in named.bits]
