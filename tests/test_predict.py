"""`bitladder.load` gives a model that answers texts and arrays; `bitladder predict` prints what it says."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from packed_models import (
    PRECISIONS,
    Make,
    inputs,
    made_folder,
    named,
    packed_folder,
    trained_folder,
)
from tiny_rung import NOUNS
from transformers import AutoModelForQuestionAnswering
from with_kernels import has_kernels

import bitladder
from bitladder import predict, runtime
from bitladder.predict import PackedModel
from bitladder.quantizers.precision import Precision
from bitladder.runtime import UnsupportedError
from bitladder.runtime.kernels import engines

__all__ = ["made_folder", "packed_folder", "trained_folder"]  # fixtures
ROOT = Path(__file__).parents[1]
TEXT, CONTEXT = "the big dog sleeps .", "the dog sees a cat . " * 4


def test_a_text_has_a_label_and_the_probability_of_each(packed: Path) -> None:
    answer = bitladder.load(packed)(TEXT)
    assert answer["scores"].keys() == {"wrong", "right"}
    assert answer["label"] == max(answer["scores"], key=answer["scores"].get) == next(iter(answer["scores"]))
    assert sum(answer["scores"].values()) == pytest.approx(1)


def test_a_list_has_an_answer_for_each(packed: Path) -> None:
    model, texts = bitladder.load(str(packed)), [TEXT, "a fish", "the bird hears"] * 30
    answers = model(texts)
    assert [one["label"] for one in answers] == [model(text)["label"] for text in texts[:3]] * 30
    assert model([]) == []


def test_a_pair_is_read_as_a_pair(packed: Path) -> None:
    model = bitladder.load(packed)
    one = model("the big dog", "the small cat")
    assert one != model("the big dog the small cat")
    assert model(["the big dog"], ["the small cat"]) == [one]


@pytest.mark.parametrize(
    ("texts", "pairs"), [("a", ["b"]), (["a", "b"], "c"), (["a", "b"], ["c"]), (["a"], ["b", "c"])]
)
def test_pairs_that_do_not_fit_the_texts_are_refused(packed: Path, texts: object, pairs: object) -> None:
    with pytest.raises(ValueError, match="pairs: "):
        bitladder.load(packed)(texts, pairs)  # type: ignore[call-overload]


def test_a_question_is_answered_from_its_context(made: Make) -> None:
    model = bitladder.load(made(PRECISIONS[1], answering=True))
    answer = model("a bird", CONTEXT)
    assert answer.keys() == {"answer", "start", "end", "score", "margin", "threshold"}
    assert answer["answer"] is None or CONTEXT[answer["start"] : answer["end"]] == answer["answer"]
    assert model(["a bird"] * 2, [CONTEXT] * 2) == [answer] * 2
    with pytest.raises(ValueError, match="--context"):
        model("a bird")


def test_arrays_are_answered_with_logits(made: Make) -> None:
    model, found = bitladder.load(folder := made(PRECISIONS[0])), inputs()
    logits = model.logits(**found)
    assert logits.shape == (24, 3)
    if model.engine.engine != engines.TORCH:
        np.testing.assert_array_equal(logits, runtime.load(folder).logits(**found))
    whole = np.ones_like(found["input_ids"])
    np.testing.assert_array_equal(
        model.logits(found["input_ids"]), model.logits(found["input_ids"], whole, 0 * whole)
    )


def test_many_threads_may_ask_one_model(made: Make) -> None:
    model = bitladder.load(made(PRECISIONS[0]))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(model, [TEXT] * 24))
    assert answers == [answers[0]] * 24


def test_no_more_of_a_text_is_read_than_asked_for(packed: Path) -> None:
    model = bitladder.load(packed)
    assert model("the dog sees a cat", max_length=4) == model("the dog")


def test_the_command_prints_json(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(str(packed), TEXT, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == bitladder.load(packed)(TEXT)


def test_a_longer_text_than_the_model_reads_is_cut(packed: Path) -> None:
    assert bitladder.load(packed)("the dog sees the cat " * 50)["label"] in ("wrong", "right")


def test_it_prints_the_label_first(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict.main(str(packed), "the big dog sleeps .")
    assert capsys.readouterr().out.splitlines()[0] in ("wrong", "right")


HEAVY = ("torch", "transformers", "pandas", "sklearn", "mlflow")


@has_kernels
@pytest.mark.parametrize("answering", [False, True])
def test_a_process_that_predicts_imports_no_torch(made: Make, answering: bool) -> None:
    folder, context = made(PRECISIONS[0], answering=answering), "the dog sees a cat . " * 4
    options = ["--context", context] if answering else [context]
    code = (
        "import sys; import bitladder; from bitladder.cli import app;"
        f"app(['predict', {str(folder)!r}, 'a bird', *{options!r}, '--json'], standalone_mode=False);"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    environment = {name: value for name, value in os.environ.items() if name != engines.VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    answer, heavy = done.stdout.splitlines()
    assert heavy == "[]", done.stderr
    assert json.loads(answer).keys() >= ({"answer", "margin"} if answering else {"label", "scores"})


@has_kernels
@pytest.mark.parametrize("precision", PRECISIONS[:3], ids=named)
def test_kernels_and_torch_predict_alike(
    made: Make, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By up to a value that a rounding takes over a threshold between codes: see packed_models.py."""
    folder, texts = (
        str(made(precision)),
        [f"the {noun} sees a {other} ." for noun in NOUNS for other in NOUNS],
    )
    found = {}
    for engine in ("", engines.TORCH):
        monkeypatch.setenv(engines.VARIABLE, engine)
        found[engine] = bitladder.load(folder)(texts)
    differences = [
        abs(one["scores"][name] - other["scores"][name])
        for one, other in zip(*found.values(), strict=True)
        for name in one["scores"]
    ]
    assert sum(difference < 1e-5 for difference in differences) >= 0.75 * len(differences)
    assert sum(a["label"] == b["label"] for a, b in zip(*found.values(), strict=True)) >= len(texts) - 1


@pytest.mark.parametrize("engine", ["", engines.TORCH])
def test_a_model_of_transformers_answers_questions_as_predict_does(
    made: Make, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv(engines.VARIABLE, engine)
    bitladder.register()
    folder = made(PRECISIONS[1], answering=True)
    loaded = AutoModelForQuestionAnswering.from_pretrained(folder)
    assert PackedModel(folder, loaded)("a bird", CONTEXT) == bitladder.load(folder)("a bird", CONTEXT)


def test_without_kernels_and_without_torch_it_says_what_is_missing(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"hidden_size: 32.*pip install"):
        bitladder.load(packed)("the dog")
