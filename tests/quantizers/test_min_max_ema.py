"""The moving average of the largest magnitude: a batch's, then moved in training, frozen in evaluation."""

import pytest
import torch
from drawn import activations
from hypothesis import given
from torch import Tensor

from bitladder.quantizers.min_max_ema import DECAY, MinMaxEma


def seen(x: Tensor) -> MinMaxEma:
    quantizer = MinMaxEma(8)
    quantizer.calibrate(x)
    return quantizer


def test_the_first_batch_is_taken_as_it_is() -> None:
    assert float(seen(torch.tensor([[1.0, -6.0]])).magnitude) == 6


def test_a_batch_in_training_moves_it_by_its_share() -> None:
    quantizer = seen(torch.tensor([[2.0]])).train()
    quantizer(torch.tensor([[-12.0, 1.0]]))
    assert DECAY == 0.9999
    assert float(quantizer.magnitude) == pytest.approx(2 * DECAY + 12 * (1 - DECAY))


def test_it_is_moved_before_it_is_used() -> None:
    quantizer = seen(torch.tensor([[2.0]])).train()
    x = torch.tensor([[-12.0, 1.0]])
    values = quantizer(x)
    assert torch.equal(values, quantizer.eval()(x))


@given(activations())
def test_evaluation_leaves_it_alone_and_encoding_too(x: Tensor) -> None:
    quantizer = seen(x).eval()
    before = quantizer.magnitude.clone()
    quantizer(x * 3)
    quantizer.show(x * 3)
    quantizer.train().encode(x * 3)
    assert torch.equal(quantizer.magnitude, before)


def test_showing_moves_it_once_with_hooks_and_without() -> None:
    x, found = torch.tensor([[8.0]]), []
    for hooked in (False, True):
        quantizer = seen(torch.tensor([[2.0]])).train()
        if hooked:
            quantizer.register_forward_pre_hook(lambda *_: None)
        quantizer.show(x)
        found.append(float(quantizer.magnitude))
    assert found[0] == found[1] == pytest.approx(2 * DECAY + 8 * (1 - DECAY))


@given(activations())
def test_it_is_one_step_for_the_whole_tensor_and_cuts_off_what_exceeds_it(x: Tensor) -> None:
    quantizer = seen(x).eval()
    largest = x.abs().max()
    values = quantizer(x)
    assert ((values - x).abs() <= largest / 254 * (1 + 1e-5)).all()
    assert (quantizer(x * 5).abs() <= largest * (1 + 1e-6)).all()


def test_it_is_no_parameter_and_is_in_the_state() -> None:
    quantizer = MinMaxEma(8)
    assert not list(quantizer.parameters())
    assert list(quantizer.state_dict()) == ["magnitude"]
