"""Parts of a model by name, and BERT's own initialization for those that are drawn."""

import pytest
import torch
from tiny_model import classifier
from transformers import BertConfig

from pipeline.initialization.partially_random import PARTS, draw, part_of
from pipeline.modeling.bert import build_classifier
from pipeline.quantizers.choose import Precision


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("bert.embeddings.word_embeddings.weight", "embeddings"),
        ("bert.embeddings.LayerNorm.bias", "embeddings"),
        ("bert.encoder.layer.0.attention.self.query.weight", "encoder"),
        ("bert.encoder.layer.11.output.LayerNorm.weight", "encoder"),
        ("bert.pooler.dense.bias", "pooler"),
        ("classifier.weight", "head"),
    ],
)
def test_each_parameter_belongs_to_a_part(name: str, part: str) -> None:
    assert part_of(name) == part


def test_every_parameter_of_a_quantized_classifier_belongs_to_a_part() -> None:
    assert {part_of(name) for name in classifier(Precision(1, 1, 1)).state_dict()} == set(PARTS)


def test_what_is_drawn_is_distributed_as_bert_draws_it() -> None:
    config = BertConfig(
        vocab_size=500, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=128
    )
    torch.manual_seed(0)
    reference = build_classifier(config).state_dict()
    generator = torch.Generator().manual_seed(0)
    for name, expected in reference.items():
        drawn = draw(name, expected.shape, std=config.initializer_range, generator=generator)
        if expected.dim() < 2:
            assert torch.equal(drawn, expected), name
        else:
            # Of n values the deviation's own is 1 / sqrt(2 n): 5 % of the smallest matrix, the head's 128.
            assert float(drawn.std()) == pytest.approx(float(expected.std()), rel=0.3), name
            assert abs(float(drawn.mean())) < 5 * config.initializer_range / drawn.numel() ** 0.5, name
