"""A packed model says how many texts it reads, in every path: Python, arrays, the command, transformers."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packed_models import PRECISIONS, Make, made_folder, reseal
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import bitladder
from bitladder import cli, files, predict
from bitladder.packed import format
from bitladder.packed.inputs import NumTextsError
from bitladder.quantizers.precision import Precision

__all__ = ["made_folder"]  # a fixture
IDS = [[2, 9, 3, 10, 3]]
ONE, TWO = [[0, 0, 0, 0, 0]], [[0, 0, 0, 1, 1]]
bitladder.register()


def reading(folder: Path, *, texts: int, max_length: int = 17) -> Path:
    config = files.read_json(folder / format.CONFIG)
    config["bitladder_reading"] = {"texts": texts, "max_length": max_length}
    files.write_json(folder / format.CONFIG, config)
    reseal(folder)
    return folder


# By the kernels, and by torch.
@pytest.fixture(params=[PRECISIONS[0], Precision(1, 1, 32)], ids=["kernels", "torch"])
def folder(request: pytest.FixtureRequest, made: Make) -> Path:
    return made(request.param)


def test_a_model_of_pairs_refuses_a_single_text(folder: Path) -> None:
    model = bitladder.load(reading(folder, texts=2))
    assert model("the dog", "a cat").keys() == {"label", "scores"}
    with pytest.raises(NumTextsError, match="reads pairs, and was given one text"):
        model("the dog")
    with pytest.raises(NumTextsError, match="reads pairs"):
        model([])


def test_a_model_of_single_texts_refuses_a_pair(folder: Path) -> None:
    model = bitladder.load(reading(folder, texts=1))
    assert model("the dog").keys() == {"label", "scores"}
    with pytest.raises(NumTextsError, match="reads single texts, and was given two"):
        model(["the dog"], ["a cat"])


@pytest.mark.parametrize(("texts", "right", "wrong"), [(1, ONE, TWO), (2, TWO, ONE)])
def test_so_with_arrays_and_in_transformers(folder: Path, texts: int, right: Any, wrong: Any) -> None:
    model = bitladder.load(reading(folder, texts=texts))
    assert model.logits(IDS, token_type_ids=right).shape == (1, 3)
    with pytest.raises(NumTextsError, match="row 1 is a "):
        model.logits(IDS * 2, token_type_ids=right + wrong)
    loaded = AutoModelForSequenceClassification.from_pretrained(folder)
    ids, segments = torch.tensor(IDS), {"right": torch.tensor(right), "wrong": torch.tensor(wrong)}
    assert loaded(ids, token_type_ids=segments["right"]).logits.shape == (1, 3)
    with pytest.raises(NumTextsError, match="row 0 is a "):
        loaded(ids, token_type_ids=segments["wrong"])


def test_left_out_segments_are_those_of_one_text(folder: Path) -> None:
    model = bitladder.load(reading(folder, texts=2))
    with pytest.raises(NumTextsError, match="row 0 is a single text"):
        model.logits(IDS)
    with pytest.raises(NumTextsError, match="row 0 is a single text"):
        AutoModelForSequenceClassification.from_pretrained(folder)(torch.tensor(IDS))


def test_so_in_a_pipeline(folder: Path) -> None:
    found = AutoModelForSequenceClassification.from_pretrained(reading(folder, texts=2))
    classify = pipeline("text-classification", model=found, tokenizer=AutoTokenizer.from_pretrained(folder))
    assert classify({"text": "the dog", "text_pair": "a cat"})
    with pytest.raises(NumTextsError, match="single text; this model reads pairs"):
        classify("the dog")


def test_a_pair_of_which_nothing_is_left_but_sep_is_a_pair(folder: Path) -> None:
    assert bitladder.load(reading(folder, texts=2))("the dog", "").keys() == {"label", "scores"}


@pytest.mark.parametrize(
    ("texts", "given", "said"),
    [
        (2, ["the dog"], "reads pairs, and was given one text"),
        (1, ["the dog", "a cat"], "reads single texts, and was given two"),
        (1, ["the dog", "--context", "a cat"], "--context: .* answers no questions"),
        (2, ["the dog", "--context", "a cat"], "--context: .* answers no questions"),
        (2, ["the dog", "a cat", "--context", "a cat"], "--context: there is a second text already"),
    ],
)
def test_so_on_the_command_line(
    folder: Path,
    texts: int,
    given: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["bitladder", "predict", str(reading(folder, texts=texts)), *given])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert (shown.out, len(shown.err.splitlines())) == ("", 1)
    assert re.search(said, shown.err)


def test_a_folder_from_before_takes_both(folder: Path) -> None:
    model = bitladder.load(folder)
    assert model("the dog").keys() == model("the dog", "a cat").keys()


def test_as_much_is_read_as_was_scored(folder: Path) -> None:
    """`evaluate` cuts at the task's max_length, and nobody knows the score of answers to more."""
    model = bitladder.load(reading(folder, texts=1, max_length=5))
    assert model("the dog sees a cat") == model("the dog sees")
    assert model("the dog sees a cat", max_length=7) == bitladder.load(folder)(
        "the dog sees a cat", max_length=17
    )
    for wrong in (-1, 0, 18):
        with pytest.raises(ValueError, match=rf"max_length: {wrong}; from 4 to 17 tokens are right"):
            model("the dog", max_length=wrong)


def test_the_command_reads_so_much_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict.main(str(reading(folder, texts=1, max_length=5)), "the dog sees a cat", as_json=True)
    assert json.loads(capsys.readouterr().out) == bitladder.load(folder)("the dog sees")


def test_questions_are_read_in_windows_as_long_as_asked(made: Make) -> None:
    model = bitladder.load(made(PRECISIONS[0], answering=True))
    context = "the dog sees a cat . " * 4
    assert model("a bird", context) == model("a bird", context, max_length=16)
    with pytest.raises(ValueError, match="max_length: 13 tokens hold no window"):
        model("a bird", context, max_length=13)
    with pytest.raises(NumTextsError, match="row 0 is a single text"):
        model.logits(np.array(IDS))
