"""LSQ for weights: its gradient is the paper's, its step positive, its first step the best of those tried."""

import math

import pytest
import torch
from drawn import ANY, EXACT, matrices
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.rounding import LARGEST_HALF, SMALLEST_HALF, half_precision
from bitladder.quantizers.weight import ScaleLayout
from bitladder.quantizers.weight_lsq import WeightLsq, build

BITS = st.sampled_from([2, 4, 8])


def calibrated(weight_OI: Tensor, bits: int, step: float | None = None) -> WeightLsq:
    quantizer = build(ScaleLayout(bits, *weight_OI.shape))
    quantizer.calibrate(weight_OI)
    if step is not None:
        torch.nn.init.constant_(quantizer.log_step, math.log(step))
    return quantizer


class _Paper(torch.autograd.Function):
    """LSQ as its equations 1 to 3 have it, the step itself learned, one per row."""

    @staticmethod
    def forward(ctx, weight_OI, step_O1, largest):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(weight_OI, step_O1)
        ctx.largest = largest
        return torch.clamp(weight_OI / step_O1, -largest, largest).round() * step_O1

    @staticmethod
    def backward(ctx, gradient_OI):  # type: ignore[no-untyped-def]
        weight_OI, step_O1 = ctx.saved_tensors
        ratio_OI = weight_OI / step_O1
        below, above = ratio_OI < -ctx.largest, ratio_OI > ctx.largest
        towards_OI = torch.where(below, -float(ctx.largest), float(ctx.largest))
        towards_OI = torch.where(below | above, towards_OI, ratio_OI.round() - ratio_OI)
        scale = 1 / math.sqrt(weight_OI.shape[1] * ctx.largest)
        step_O1 = (gradient_OI * towards_OI).sum(dim=1, keepdim=True) * scale
        return gradient_OI * ~(below | above), step_O1, None


@given(matrices(EXACT), BITS, st.sampled_from([0.03125, 0.5, 1.25, 3.0]))
def test_gradients_are_the_papers_by_the_chain_rule_of_the_logarithm(
    weight_OI: Tensor, bits: int, step: float
) -> None:
    quantizer = calibrated(weight_OI, bits, step)
    ours, theirs = weight_OI.clone().requires_grad_(), weight_OI.clone().requires_grad_()
    upstream_OI = torch.linspace(-2, 3, weight_OI.numel()).view_as(weight_OI)
    values_OI = quantizer(ours)
    values_OI.backward(upstream_OI)
    step_O1 = half_precision(quantizer.log_step.detach().exp()).requires_grad_()
    expected_OI = _Paper.apply(theirs, step_O1, quantizer.layout.largest)
    expected_OI.backward(upstream_OI)
    assert torch.equal(values_OI, expected_OI)
    # 1 inside, but for dividing and multiplying by the step.
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-6, atol=0)
    # d s / d log s = s; the sum is taken in another order.
    of_log_step = step_O1.grad * quantizer.log_step.detach().exp()
    assert torch.allclose(quantizer.log_step.grad, of_log_step, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_the_step_worked_by_hand() -> None:
    """Step 1, 2 bits: 0.25 rounds to 0 (-0.25 of itself), 0.75 to 1 (+0.25), 3 is outside (1); N Q = 3."""
    weight_OI = torch.tensor([[0.25, 0.75, 3.0]], requires_grad=True)
    quantizer = calibrated(weight_OI.detach(), 2, 1.0)
    quantizer(weight_OI).backward(torch.tensor([[1.0, 1.0, 2.0]]))
    assert weight_OI.grad.tolist() == [[1.0, 1.0, 0.0]]
    assert quantizer.log_step.grad.item() == pytest.approx((-0.25 + 0.25 + 2) / math.sqrt(3))


@given(matrices(ANY), BITS, st.floats(-1e4, 1e4))
def test_the_step_is_positive_and_finite_wherever_the_optimizer_takes_it(
    weight_OI: Tensor, bits: int, log_step: float
) -> None:
    quantizer = calibrated(weight_OI, bits)
    torch.nn.init.constant_(quantizer.log_step, log_step)
    scale_O1 = quantizer.quantize(weight_OI).scale_OG
    assert (scale_O1 >= SMALLEST_HALF).all()
    assert (scale_O1 <= LARGEST_HALF).all()


def _error(weight_OI: Tensor, quantizer: WeightLsq) -> Tensor:
    return (quantizer.quantize(weight_OI).values_OI - weight_OI).square().sum(dim=1)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_its_first_step_beats_the_whole_range_and_the_papers(bits: int) -> None:
    torch.manual_seed(0)
    weight_OI = torch.randn(5, 96)
    first = _error(weight_OI, calibrated(weight_OI, bits))
    largest = 2 ** (bits - 1) - 1
    whole_range = calibrated(weight_OI, bits)
    whole_range.log_step.data.copy_((weight_OI.abs().amax(dim=1, keepdim=True) / largest).log())
    papers = calibrated(weight_OI, bits)
    papers.log_step.data.copy_((2 * weight_OI.abs().mean(dim=1, keepdim=True) / math.sqrt(largest)).log())
    assert (first <= _error(weight_OI, whole_range) * (1 + 1e-5)).all()
    assert (first <= _error(weight_OI, papers) * (1 + 1e-2)).all()  # 40 fractions are not all there are


def test_an_unset_step_makes_everything_nan() -> None:
    assert build(ScaleLayout(4, 2, 3)).quantize(torch.randn(2, 3)).values_OI.isnan().all()


def test_a_row_of_zeros_stays_one() -> None:
    weight_OI = torch.tensor([[0.0, 0.0], [1.0, -0.5]])
    found = calibrated(weight_OI, 4).quantize(weight_OI)
    assert found.values_OI[0].tolist() == [0, 0]
    assert torch.allclose(found.values_OI[1], weight_OI[1], atol=0.1)
