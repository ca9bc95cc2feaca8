"""A packed model answers one sentence or one pair, with names and probabilities."""

import json
from pathlib import Path

import pytest

from pipeline.packing import predict


def test_the_label_is_the_most_probable_one(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(str(packed), "the big dog sleeps .", as_json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["scores"].keys() == {"wrong", "right"}
    assert answer["label"] == max(answer["scores"], key=answer["scores"].get)
    assert sum(answer["scores"].values()) == pytest.approx(1)


def test_a_pair_is_read_as_a_pair(packed: Path) -> None:
    one = predict.predict(str(packed), "the big dog", "the small cat")
    assert one != predict.predict(str(packed), "the big dog the small cat")


def test_a_longer_text_than_the_model_reads_is_cut(packed: Path) -> None:
    assert predict.predict(str(packed), "the dog sees the cat " * 50)["label"] in ("wrong", "right")


def test_it_prints_the_label_first(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict.main(str(packed), "the big dog sleeps .")
    assert capsys.readouterr().out.splitlines()[0] in ("wrong", "right")


def test_control_characters_of_a_label_do_not_reach_the_terminal() -> None:
    assert predict.printable("\x1b[31mred\x07") == "[31mred"
