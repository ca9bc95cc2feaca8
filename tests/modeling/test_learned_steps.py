"""A model whose learned steps the optimizer has thrown far away still computes and still learns."""

import pytest
import torch
from tiny_model import classifier, logits
from tiny_rung import batch
from torch import Tensor, nn

from bitladder.modeling import routines
from bitladder.modeling.attention import activation_quantizers
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.rounding import LARGEST_HALF, SMALLEST_HALF

LEARNED_STEPS = (
    *(Precision(1, 1, bits) for bits in (4, 2, 1)),
    Precision(1, 1, 8, activation_quantizer="lsq"),
    Precision(4, 4, weight_quantizer="lsq"),
)


def passing(model: nn.Module) -> list[tuple[nn.Module, Tensor, Tensor]]:
    """Each activation quantizer, with what goes in and comes out when `batch()` passes the model."""
    found: list[tuple[nn.Module, Tensor, Tensor]] = []

    def seen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.append((module, inputs[0], output))

    handles = [quantizer.register_forward_hook(seen) for quantizer in activation_quantizers(model).values()]
    logits(model, batch())
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("routines_name", routines.NAMES)
@pytest.mark.parametrize("log_step", [-200.0, 200.0])
@pytest.mark.parametrize("precision", LEARNED_STEPS, ids=str)
def test_steps_stay_positive_after_a_huge_update(
    precision: Precision, log_step: float, routines_name: str
) -> None:
    """BinaryBERT and BiT assert that a step is positive and let the optimizer make it negative: a crash.

    Ours is the exponential of what is learned. In floating point that is 0 below -104 and infinite above 88.
    """
    model = classifier(precision)
    routines.use(model, routines.choose(name=routines_name))
    learned = [parameter for name, parameter in model.named_parameters() if name.endswith("log_step")]
    assert learned
    for parameter in learned:
        nn.init.constant_(parameter, log_step)
    found = model(**batch()).logits
    found.square().sum().backward()
    assert found.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    for quantizer, x, rounded in passing(model):
        step: Tensor = quantizer.encode(x).step
        assert torch.all((step >= SMALLEST_HALF * 0.999) & (step <= LARGEST_HALF * 1.001))
        assert rounded.isfinite().all()
