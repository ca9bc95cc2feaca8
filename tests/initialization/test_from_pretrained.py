"""The teacher's first weights: what the pre-trained model has is copied, the head is always new."""

import pytest
import torch
from tiny_model import classifier

from pipeline.initialization.assemble import Source
from pipeline.initialization.from_pretrained import longest_input, teacher_start
from pipeline.record import origins

WANTED = classifier(seed=3).state_dict()
PRETRAINED = classifier(seed=4).state_dict()


def start(without: str = "-") -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    source = Source(
        "pretrained", {name: t for name, t in PRETRAINED.items() if without not in name}, "0" * 64
    )
    state, notes = teacher_start(WANTED, source, std=0.02, seed=0)
    return state, {selector: origin.source for selector, origin in origins(notes).items()}


def test_embeddings_encoder_and_pooler_are_copied_and_the_head_is_drawn() -> None:
    state, notes = start()
    assert notes == {"embeddings": "copied", "encoder": "copied", "pooler": "copied", "head": "drawn"}
    for name, tensor in state.items():
        assert torch.equal(tensor, PRETRAINED[name]) != name.startswith("classifier."), name


def test_a_model_without_a_pooler_gets_a_drawn_one_and_the_note_says_so() -> None:
    """As one pre-trained on masked words alone."""
    state, notes = start(without="pooler")
    assert notes["pooler"] == "drawn"
    assert set(state) == set(WANTED)


@pytest.mark.parametrize("part", ["embeddings.LayerNorm", "layer.1.output.dense.weight"])
def test_a_model_that_lacks_more_than_that_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match=f"{part}.*from, has nothing"):
        start(without=part)


def test_the_position_table_says_how_long_an_input_may_be() -> None:
    assert longest_input(PRETRAINED) == 17
