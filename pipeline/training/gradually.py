"""Gradual quantization over the first steps of a rung (`gradual` in params.yaml)."""

from collections.abc import Callable

from torch import nn

from bitladder.modeling import routines
from bitladder.modeling.routines import PLAIN, Routines
from bitladder.quantizers.gradual import set_share


def growth(model: nn.Module, *, num_steps: int, chosen: Routines) -> Callable[[int], None] | None:
    """What sets the quantized share before each step: step / num_steps, from `num_steps` on 1.

    None where it grows over 0 steps. While it is less than 1 no product is one of whole numbers: torch's own
    layers compute, in float32.
    """
    if not num_steps:
        return None

    def before(step: int) -> None:
        if step > num_steps:  # all is whole by then, and in a training that is gone on with from the start
            return
        share = step / num_steps
        set_share(model, share)
        routines.use(model, chosen if share == 1 else PLAIN)

    return before
