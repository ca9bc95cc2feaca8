"""How many latent weights have changed sign since a rung began: what a 1-bit weight can do is change sign.

Why a random start may do better than a pre-trained one is a guess (docs/method.md): large pre-trained latents
hardly ever change sign at the learning rates that train. The shares are measured at each point of the
training curve, by matrix and table, and written beside it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from bitladder import files
from bitladder.modeling.bert import BODY
from pipeline.initialization.assemble import of_quantizer
from pipeline.training.state import Point, Shares


def since(first: Mapping[str, Tensor]) -> Callable[[nn.Module], Shares]:
    """What tells the share of each matrix and table of a model in training; keeps signs alone."""
    signs = {name: first[name] < 0 for name in _matrices(first)}

    @torch.no_grad()
    def shares(model: nn.Module) -> Shares:
        now = model.state_dict()
        return {name: _share(sign, now[name] < 0) for name, sign in signs.items()}

    return shares


def flips_csv(curve: Sequence[Point]) -> str:
    """Columns step, tensor and share; a row per matrix or table and point of the curve."""
    rows = [[point.step, name, share] for point in curve for name, share in sorted(point.sign_flips.items())]
    return files.csv_text(["step", "tensor", "share"], rows)


def _share(before: Tensor, now: Tensor) -> float:
    return round(float((before.to(now.device) != now).float().mean()), 6)


def _matrices(state: Mapping[str, Tensor]) -> Iterator[str]:
    """Names of the latent matrices and tables that are quantized, in order."""
    for name in sorted(state):
        if state[name].dim() == 2 and not of_quantizer(name) and name.startswith(BODY):
            yield name
