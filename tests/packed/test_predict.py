"""A packed model answers one sentence or one pair, with names and probabilities."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packed_models import PRECISIONS, Make, named
from tiny_rung import NOUNS
from transformers import AutoModelForQuestionAnswering
from with_kernels import has_kernels

import bitladder.packed
from bitladder import predict
from bitladder.quantizers.precision import Precision
from bitladder.runtime import UnsupportedError
from bitladder.runtime.kernels import engines

assert bitladder.packed  # tells transformers about packed folders
ROOT = Path(__file__).parents[2]


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


HEAVY = ("torch", "transformers", "pandas", "sklearn", "mlflow")


@has_kernels
@pytest.mark.parametrize("answering", [False, True])
def test_a_process_that_predicts_imports_no_torch(made: Make, answering: bool) -> None:
    folder, context = made(PRECISIONS[0], answering=answering), "the dog sees a cat . " * 4
    options = ["--context", context] if answering else [context]
    code = (
        "import sys; from bitladder.cli import app;"
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
        found[engine] = predict.classify(predict.load(folder), folder, texts, None, max_length=17)
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
    folder, asked = str(made(PRECISIONS[1], answering=True)), (["a bird"], ["the dog sees a cat . " * 4])
    loaded = AutoModelForQuestionAnswering.from_pretrained(folder)
    assert predict.answer_questions(loaded, folder, *asked) == [
        predict.predict(folder, asked[0][0], asked[1][0])
    ]


def test_without_kernels_and_without_torch_it_says_what_is_missing(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"hidden_size: 32.*pip install"):
        predict.predict(str(packed), "the dog")
