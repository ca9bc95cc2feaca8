"""What is wrong with a file, a model or an option of `bitladder compress` is said before any work."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import foreign_models
import own_rows
import pytest
from typer.testing import CliRunner

from bitladder.files import CONFIG
from flows.compress import checking, options
from flows.compress.asked import Asked, BaseError
from pipeline.data.own.reading import OwnDataError

LABELS = own_rows.NAMES["classification"]


def asked(root: Path, teacher: Path, num_rows: int = 40) -> Asked:
    file = own_rows.write(root / "rows.jsonl", "classification", num_rows)
    places = {"output": root / "out", "project": root / "out.project"}
    return Asked(file=file, text="text", label="label", teacher=teacher, **places)


def edited(**changes: object) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        values = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps({**values, **changes}))

    return edit


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (lambda folder: (folder / CONFIG).write_text("{"), "--teacher: .*config.json: cannot be read as a"),
        (edited(hidden_act="mish"), "--teacher: .*mine: hidden_act 'mish' cannot be taken; gelu, "),
        (edited(num_hidden_layers=3), "--teacher: .*mine: model.safetensors lacks "),
        (edited(model_type="deberta-v2"), "--teacher: .*mine: model_type 'deberta-v2' cannot be taken"),
        (
            lambda folder: (folder / "tokenizer.json").write_text("{}"),
            "tokenizer.json: .*; a tokenizer that tokenizers saved is right",
        ),
    ],
)
def test_parts_of_a_model_that_do_not_fit_are_refused(
    tmp_path: Path, broken: Callable[[Path], object], problem: str
) -> None:
    folder = foreign_models.bert(tmp_path / "mine", *LABELS)
    broken(folder)
    with pytest.raises(ValueError, match=problem) as caught:
        checking.check(asked(tmp_path, folder))
    assert caught.value.exit_code == 2  # type: ignore[attr-defined]


def test_another_models_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = foreign_models.bert(tmp_path / "mine", *LABELS, vocab_size=20)
    with pytest.raises(BaseError, match="take the tokenizer that the model was trained with"):
        checking.check(asked(tmp_path, folder))


def test_a_teacher_without_names_is_told_which_output_is_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checking.check(asked(tmp_path, foreign_models.bert(tmp_path / "mine", "LABEL_0", "LABEL_1")))
    assert "--teacher names no labels: LABEL_0 is away, LABEL_1 is home" in capsys.readouterr().out


def test_rows_too_few_to_choose_checkpoints_on_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = foreign_models.bert(tmp_path / "mine", *LABELS)
    given = asked(tmp_path, folder)
    shutil.copyfile(given.file, tmp_path / "later.jsonl")
    rows = own_rows.rows("classification", 40)
    two = [next(row for row in rows if row["label"] == name) for name in LABELS]
    given.file.write_text("\n".join(json.dumps(row) for row in two * 2))
    given = Asked(**{**given.__dict__, "validation": tmp_path / "later.jsonl"})
    with pytest.raises(OwnDataError, match=r"rows.jsonl: no group of rows .* to choose checkpoints on"):
        checking.check(given)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--kind", "reranking"], "--text-pair: missing; reranking reads two texts"),
        (
            ["--kind", "token_classification", "--text-pair", "b"],
            "--text-pair: token_classification reads one",
        ),
        (["--minutes", "inf"], "--minutes: inf; expected a number of minutes"),
    ],
)
def test_options_that_contradict_each_other_are_refused(more: list[str], said: str) -> None:
    usual = ["a.csv", "--text", "text", "--label", "label", "-o", "out"]
    found = CliRunner().invoke(options.app, [*usual, *more])
    assert (found.exit_code, said in found.output) == (2, True), found.output
