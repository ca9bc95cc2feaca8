"""Two rungs of a ladder never look alike in a table unless they are alike."""

from pathlib import Path

import pytest
from made_up import CONF, params

from pipeline.ladder.rung import climb
from pipeline.ladder.unusual import unusual


def words(folder: Path, ladder: str) -> dict[str, str]:
    found = params(folder, f"ladder={ladder}", "task=sst2", "model=bert-base")
    return {rung.name: ", ".join(unusual(rung)) for rung in climb(found)}


def test_the_two_rungs_of_ternarybert_differ_by_a_word(tmp_path: Path) -> None:
    assert words(tmp_path, "ternarybert") == {"w2a8": "", "w2a8_lat": "lat"}


def test_bibert_and_bit_are_told_by_their_means(tmp_path: Path) -> None:
    assert words(tmp_path, "bibert")["w1a1"] == "bwn_zero_mean, sign, Bi-Attention"
    bit = words(tmp_path, "bit")
    assert bit["w1a2"] == "bwn_zero_mean, a scale per matrix, relu"
    assert bit["w1a1"] == "bwn_zero_mean, a scale per matrix, relu, taught by w1a2"


def test_groups_are_told_by_their_size(tmp_path: Path) -> None:
    assert words(tmp_path, "q8bert")
    found = params(tmp_path)
    grouped = found.rungs["w2"].model_copy(update={"granularity": "group", "group_size": 64})
    changed = found.model_copy(update={"weights": {**found.weights, "w2": grouped}})
    assert {rung.name: unusual(rung) for rung in climb(changed)}["w2"] == ["groups of 64"]


@pytest.mark.parametrize("ladder", sorted(path.stem for path in (CONF / "ladder").glob("*.yaml")))
def test_no_two_rungs_look_alike_that_differ_in_more_than_where_they_come_from(
    tmp_path: Path, ladder: str
) -> None:
    found = params(tmp_path, f"ladder={ladder}", "task=sst2", "model=bert-base")
    seen: dict[object, object] = {}
    for rung in climb(found):
        shown = (rung.weight_bits, rung.embedding_bits, rung.activation_bits, *unusual(rung))
        means = (
            *(rung.weight_quantizer, rung.activation_quantizer, rung.granularity, rung.group_size),
            *(rung.attention, rung.hidden_act, rung.phases, rung.taught_by, rung.width, rung.split),
        )
        assert seen.setdefault(shown, means) == means, rung.name
