"""Every quantizer's name, the widths it serves and the file it lives in.

Without torch: params.yaml is checked by it. Adding a quantizer is one file in `bitladder/quantizers/` with a
function `build`, and one line here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """A quantizer as params.yaml and records know it.

    Attributes:
        rule: what it does, in a few words.
        module: its file, in `bitladder/quantizers/`.
        bits: the widths it serves.
        default: those of them at which it is taken where no name is said.
        source: where it is from.
        keeps: how many numbers of 32 bits it keeps of each weight, beside the weight.
    """

    rule: str
    module: str
    bits: tuple[int, ...]
    default: tuple[int, ...] = ()
    source: str = ""
    keeps: int = 0


ACTIVATIONS = {
    "per_token": Named("evenly spaced to each token's largest magnitude", "per_token", (8,), (8,)),
    "min_max_ema": Named("evenly spaced to a moving average", "min_max_ema", (8,), (), "arXiv:1910.06188"),
    "lsq": Named("learned step", "activation_lsq", (2, 4, 8), (2, 4), "arXiv:1902.08153, 2004.09576"),
    "elastic": Named("binary, learned step and shift", "elastic", (1,), (1,), "arXiv:2205.13016"),
    "sign": Named("binary, nothing learned", "sign", (1,), (), "arXiv:2203.06390"),
}


# Each serves tables as well as matrices.
WEIGHTS = {
    "bwn": Named("sign times mean magnitude", "bwn", (1,), (1,), "arXiv:1603.05279"),
    "bwn_zero_mean": Named("sign, the mean removed", "bwn_zero_mean", (1,), (), "arXiv:2203.06390"),
    "twn": Named("ternary, threshold 0.7 mean magnitude", "twn", (2,), (2,), "arXiv:1605.04711"),
    "lat": Named("ternary, error weighted by Adam's second moment", "lat", (2,), (), "arXiv:1802.08635", 1),
    "lsq": Named("evenly spaced, learned step", "weight_lsq", (2, 4, 8), (), "arXiv:1902.08153, 2101.05938"),
    "min_max": Named("evenly spaced, to the largest", "min_max", (2, 4, 8), (4, 8), "arXiv:1910.06188"),
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


def serving_or_usual(known: dict[str, Named], name: str | None, bits: int) -> str:
    """The named one where it serves this width, else the one that is usual there."""
    return name if name is not None and bits in known[name].bits else usual(known, bits)


def serving(known: dict[str, Named], bits: int) -> list[str]:
    """The names of those that serve this width."""
    return [name for name, named in known.items() if bits in named.bits]
