"""Zero-mean BWN: signs are about the mean, the scale is the mean magnitude of the weights themselves."""

import torch
from drawn import EXACT, matrices
from hypothesis import given
from torch import Tensor

from bitladder.quantizers.bwn_zero_mean import build
from bitladder.quantizers.weight import ScaleLayout


def test_worked_by_hand() -> None:
    """Means 2 and -1, mean magnitudes 2.5 and 2; 0 is below the first mean, -1 as large as the second."""
    weight_OI = torch.tensor([[5.0, 4.0, 0.0, -1.0], [2.0, -1.0, -2.0, -3.0]])
    found = build(ScaleLayout(1, 2, 4)).quantize(weight_OI)
    assert found.values_OI.tolist() == [[2.5, 2.5, -2.5, -2.5], [2.0, 2.0, -2.0, -2.0]]


def test_by_matrix_the_mean_is_the_matrixs() -> None:
    """Mean 0.5, mean magnitude 2.25."""
    weight_OI = torch.tensor([[5.0, 4.0, 0.0, -1.0], [2.0, -1.0, -2.0, -3.0]])
    found = build(ScaleLayout(1, 2, 4, "matrix")).quantize(weight_OI)
    assert found.codes_OI.tolist() == [[1, 1, -1, -1], [1, -1, -1, -1]]
    assert found.scale_OG.tolist() == [[2.25]]


def test_by_group_it_is_the_groups() -> None:
    found = build(ScaleLayout(1, 1, 4, "group", 2)).quantize(torch.tensor([[5.0, 4.0, 0.0, -1.0]]))
    assert found.codes_OI.tolist() == [[1, -1, 1, -1]]
    assert found.scale_OG.tolist() == [[4.5, 0.5]]


@given(matrices(EXACT))
def test_moving_all_weights_of_a_row_alike_changes_no_code_and_has_no_gradient(weight_OI: Tensor) -> None:
    quantizer = build(ScaleLayout(1, *weight_OI.shape))
    weight_OI.requires_grad_(True)
    quantizer(weight_OI).backward(torch.linspace(-2, 3, weight_OI.numel()).view_as(weight_OI))
    assert torch.allclose(weight_OI.grad.sum(dim=1), torch.zeros(len(weight_OI)), atol=1e-4)
