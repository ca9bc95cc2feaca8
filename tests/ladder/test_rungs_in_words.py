"""Two rungs of a ladder never look alike in a table unless they are alike."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_up import CONF, params

from pipeline.ladder.words import unusual


def words(folder: Path, ladder: str) -> dict[str, str]:
    found = params(folder, f"ladder={ladder}", "task=sst2", "model=bert-base")
    return {name: ", ".join(unusual(rung)) for name, rung in found.rungs.items()}


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
    assert unusual(grouped) == ["groups of 64"]


@pytest.mark.parametrize("ladder", sorted(path.stem for path in (CONF / "ladder").glob("*.yaml")))
def test_no_two_rungs_look_alike_that_differ_in_more_than_where_they_come_from(
    tmp_path: Path, ladder: str
) -> None:
    found = params(tmp_path, f"ladder={ladder}", "task=sst2", "model=bert-base", "data.corpus=text.txt")
    seen: dict[object, object] = {}
    for name, rung in (found.weights | found.weights_activations).items():
        own = rung.precision
        shown = (own.weights, own.embeddings, own.activations, *unusual(rung))
        quantizers = (own.quantizer_of_weights(), own.quantizer_of_activations())
        named = replace(own, weight_quantizer=None, activation_quantizer=None)
        means = (named, quantizers, rung.hidden_act, len(rung.phases), rung.taught_by, rung.width)
        assert seen.setdefault(shown, means) == means, name
