"""What is drawn: BERT's own initialization or another distribution of the same spread, each tensor from its
own generator."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig

from bitladder.modeling.bert import build_bert
from pipeline.initialization.partially_random import Draw, draw

MATRIX = "bert.encoder.layer.0.output.dense.weight"
DISTRIBUTIONS = pytest.mark.parametrize("distribution", ["normal", "uniform", "orthogonal"])


def test_what_is_drawn_is_distributed_as_bert_draws_it() -> None:
    config = BertConfig(
        vocab_size=500, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=128
    )
    torch.manual_seed(0)
    reference = build_bert(config).state_dict()
    for name, expected in reference.items():
        drawn = draw(name, expected.shape, Draw("normal", config.initializer_range, 0))
        if expected.dim() < 2:
            assert torch.equal(drawn, expected), name
        else:
            # Of n values the deviation's own is 1 / sqrt(2 n): 5 % of the smallest matrix, the head's 128.
            assert float(drawn.std()) == pytest.approx(float(expected.std()), rel=0.3), name
            assert abs(float(drawn.mean())) < 5 * config.initializer_range / drawn.numel() ** 0.5, name


@DISTRIBUTIONS
@pytest.mark.parametrize("shape", [(64, 64), (32, 96), (96, 32)])
def test_every_distribution_has_the_spread_asked_for(distribution: str, shape: tuple[int, int]) -> None:
    values = draw(MATRIX, torch.Size(shape), Draw(distribution, 0.05, 3))  # type: ignore[arg-type]
    assert float(values.std()) == pytest.approx(0.05, rel=0.1)
    assert abs(float(values.mean())) < 0.005


def test_uniform_values_have_an_end_and_orthogonal_rows_are_orthogonal() -> None:
    uniform = draw(MATRIX, torch.Size((50, 50)), Draw("uniform", 1.0, 0))
    assert float(uniform.abs().max()) <= 3**0.5
    rows = draw(MATRIX, torch.Size((20, 80)), Draw("orthogonal", 0.1, 0))
    assert torch.allclose(rows @ rows.T, torch.eye(20) * 0.8, atol=1e-5)  # 80 * 0.1^2


@DISTRIBUTIONS
@given(seed=st.integers(0, 2**32 - 1))
def test_the_seed_and_the_name_decide_and_nothing_else(distribution: str, seed: int) -> None:
    how = Draw(distribution, 0.02, seed)  # type: ignore[arg-type]
    torch.manual_seed(1)
    first = draw(MATRIX, torch.Size((4, 6)), how)
    torch.manual_seed(2)
    assert torch.equal(first, draw(MATRIX, torch.Size((4, 6)), how))
    assert not torch.equal(first, draw(f"{MATRIX}2", torch.Size((4, 6)), how))
    assert not torch.equal(first, draw(MATRIX, torch.Size((4, 6)), Draw(how.distribution, 0.02, seed + 1)))
