"""`bitladder compress --kind embeddings`: what is read and asked before anything is trained."""

from pathlib import Path
from typing import Any

import made_up
import pytest
from typer.testing import CliRunner

from flows.compress import checking, command
from flows.compress.asked import Asked
from flows.compress.options import app
from flows.compress.work import Work
from pipeline.data.own.reading import OwnDataError

TEXTS = [f"The {word} walked the garden. Never {word}. A {word} in winter." for word in made_up.WORDS[:20]]
PAIRS = "\n".join(
    ["first,second,how,same", *(f"the lake {at},a river {at},{at / 10},{at % 2}" for at in range(12)), ""]
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made_up.bert(tmp_path / "bert")
    lines = [f"{text} Number {at}." for at in range(4) for text in TEXTS]
    (tmp_path / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "pairs.csv").write_text(PAIRS, encoding="utf-8")
    return tmp_path


def asked(root: Path, **more: Any) -> Asked:
    given = {"file": root / "texts.txt", "text": None, "label": None, **more}
    places = {"output": root / "out", "project": root / "out.project", "base": str(root / "bert")}
    return Asked(kind="embeddings", **given, **places)


def task_of(work: Work) -> dict[str, Any]:
    found: dict[str, Any] = work.values["task"]
    return found


def test_without_pairs_a_fifth_of_the_texts_is_held_out(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = checking.check(asked(own))
    assert task_of(work)["judged_by"] == [{"name": "validation", "held_out": 0.2}]
    assert task_of(work)["metrics"][0] == "ndcg_at_10"
    assert work.values["watched"]["corpus"][0] == str(own / "texts.txt")
    assert work.rows["validation"] == 2 * 16
    said = capsys.readouterr().out
    assert "texts.txt: 80 different texts, " in said
    assert "judged by 16 pairs of held-out texts" in said


@pytest.mark.parametrize(
    ("label", "kind", "metric"),
    [
        (None, {}, "ndcg_at_10"),
        ("how", {"score": "how"}, "spearman"),
        ("same", {"label": "same"}, "average_precision"),
    ],
)
def test_pairs_are_graded_labelled_or_searched_as_their_column_says(
    own: Path, label: str | None, kind: dict[str, str], metric: str
) -> None:
    pairs = {"text": "first", "text_pair": "second", "label": label, "validation": own / "pairs.csv"}
    task = task_of(checking.check(asked(own, **pairs, test=own / "pairs.csv")))
    file = {"file": str(own / "pairs.csv"), "columns": ["first", "second"]}
    assert task["judged_by"] == [{"name": name, **file, **kind} for name in ("validation", "test")]
    assert (task["validation_splits"], task["metrics"][0]) == (["validation", "test"], metric)


def test_a_table_has_its_text_in_a_column(own: Path) -> None:
    rows = [f"{at},{text}" for at, text in enumerate((own / "texts.txt").read_text().splitlines())]
    (own / "texts.csv").write_text("\n".join(["id,note", *rows]), encoding="utf-8")
    work = checking.check(asked(own, file=own / "texts.csv", text="note"))
    assert work.values["data"]["corpus"] == [{"file": str(own / "texts.csv"), "columns": ["note"]}]


def test_texts_of_one_sentence_need_pairs(own: Path) -> None:
    (own / "texts.txt").write_text("One sentence.\nAnother sentence.\n")
    with pytest.raises(
        OwnDataError, match=r"0 texts have several sentences.*expected 50 at least, or --validation"
    ):
        checking.check(asked(own))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--teacher", "bert"], "not for --kind embeddings"),
        (["--group", "id"], "not for --kind embeddings"),
        (["--label", "same"], "give --validation too"),
        (["--validation", "pairs.csv", "--text", "first"], "missing; name the column"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    own: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], told: str
) -> None:
    monkeypatch.setattr(command, "main", lambda _: pytest.fail("started"))
    found = CliRunner().invoke(app, ["texts.txt", "--kind", "embeddings", "-o", "out", *options])
    assert found.exit_code == 2
    assert told in " ".join(found.output.replace("│", " ").split())
