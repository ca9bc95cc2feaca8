"""Which parameters decay, and the learning rate step by step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import classifier
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from bitladder.quantizers.precision import Precision
from pipeline.training.optimizer import Decay, adamw, schedule


def decayed(model: nn.Module) -> dict[str, bool]:
    """Whether each trained parameter decays, by name."""
    groups = adamw(model, learning_rate=1e-3, weight_decay=0.01).param_groups
    weight_decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(weight_decay)
    return {name: weight_decay[id(p)] > 0 for name, p in model.named_parameters() if id(p) in weight_decay}


def rates(num_steps: int, warmup_fraction: float, decay: Decay = "linear") -> list[float]:
    """The learning rate of each step, and of one after the last, as a share of the highest."""
    share = schedule(num_steps=num_steps, warmup_fraction=warmup_fraction, decay=decay)
    return [share(step) for step in range(1, num_steps + 2)]


@pytest.mark.parametrize("bits", [4, 1])
def test_matrices_and_tables_decay_and_biases_norms_steps_and_shifts_do_not(bits: int) -> None:
    found = decayed(classifier(Precision(1, 1, bits)))
    assert set(found) == set(classifier(Precision(1, 1, bits)).state_dict())
    for name, is_decayed in found.items():
        assert is_decayed == (name.endswith(".weight") and "LayerNorm" not in name), name
    kinds = {name.rsplit(".", 1)[1] for name, is_decayed in found.items() if not is_decayed}
    assert kinds >= {"bias", "weight", "log_step"}


def test_the_masked_lm_heads_norm_does_not_decay_and_the_tied_table_is_trained_once() -> None:
    config = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    found = decayed(BertForMaskedLM(config))
    assert found["bert.embeddings.word_embeddings.weight"]
    assert found["cls.predictions.transform.dense.weight"]
    assert not found["cls.predictions.transform.LayerNorm.weight"]
    assert not found["cls.predictions.bias"]


def test_frozen_parameters_are_left_out() -> None:
    model = classifier()
    model.bert.requires_grad_(False)
    assert set(decayed(model)) == {"classifier.weight", "classifier.bias"}


def test_the_schedule_worked_by_hand() -> None:
    # Two of ten steps warm up; then eight steps down, each an eighth lower, to zero after the last.
    assert rates(10, 0.2) == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])


def test_without_warm_up_the_first_step_is_the_highest() -> None:
    assert rates(4, 0.0) == pytest.approx([1, 0.75, 0.5, 0.25, 0])


def test_a_cosine_worked_by_hand() -> None:
    # One warm-up step, then a half, a quarter and none of the way left: 1, (1 + cos 90 deg) / 2, ...
    assert rates(5, 0.2, "cosine") == pytest.approx([1, 1, (2 + 2**0.5) / 4, 1 / 2, (2 - 2**0.5) / 4, 0])


def test_the_first_beta_is_adams() -> None:
    optimizer = adamw(classifier(), learning_rate=1e-3, weight_decay=0.0, first_beta=0.8)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.8, 0.999)}


@given(st.integers(1, 200), st.floats(0, 0.99), st.sampled_from(["linear", "cosine"]))
def test_every_step_moves_and_none_goes_above_the_highest(
    num_steps: int, warmup_fraction: float, decay: Decay
) -> None:
    found = rates(num_steps, warmup_fraction, decay)
    assert all(0 < rate <= 1 for rate in found[:-1])
    assert found[-1] == 0
    peak = found.index(max(found))
    assert found[:peak] == sorted(found[:peak])
    assert found[peak:] == sorted(found[peak:], reverse=True)
