"""A rung that follows another one's length (`equal_to`) is found outdated when that length changes."""

import shutil
from pathlib import Path

import pytest
import tiny_project

from bitladder import files
from pipeline import paths, record
from pipeline.ladder import lengths
from pipeline.params import Params
from pipeline.rungs import Duration


def longer_w2(params: Params) -> Params:
    """Rungs follow others (w1a8_direct is equal_to w1a8), and w2 is on the way of those."""
    longer = params.weights["w2"].model_copy(update={"duration": Duration(steps=250)})
    return params.model_copy(update={"weights": {**params.weights, "w2": longer}})


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    return tiny_project.make()


def test_as_long_as_it_was_trained_nothing_is_outdated(trained: Params) -> None:
    assert lengths.outdated(trained) == {}
    lengths.require_lengths(trained)


def test_a_changed_length_is_found_and_refused_with_what_to_do(trained: Params) -> None:
    found = lengths.outdated(longer_w2(trained))
    assert found == {
        "weights_activations@w1a8_direct": "w1a8_direct was trained for 400 steps; "
        "to be as long as w1a8 it needs 550",
        "weights_activations@w1a1_random_start": "w1a1_random_start was trained for 500 steps; "
        "to be as long as w1a8 it needs 650",
    }
    with pytest.raises(lengths.OutdatedError, match=r"--force weights_activations@w1a8_direct"):
        lengths.require_lengths(longer_w2(trained))


def test_what_was_not_trained_yet_is_not_outdated(trained: Params) -> None:
    shutil.rmtree(paths.model_dir("w1a8_direct"))
    assert list(lengths.outdated(longer_w2(trained))) == ["weights_activations@w1a1_random_start"]


def test_what_an_earlier_version_trained_keeps_nobody_from_running(trained: Params) -> None:
    """DVC trains it again anyway, for its code has changed."""
    place = paths.model_dir("w1a8_direct") / record.RECORD
    files.write_json(place, {**files.read_json(place), "bits": {"weights": 1}})
    assert list(lengths.outdated(longer_w2(trained))) == ["weights_activations@w1a1_random_start"]
