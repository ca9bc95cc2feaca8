"""`bitladder compress` with each kind and with given teachers, from a file to the registry."""

import contextlib
import os
import random
from pathlib import Path
from unittest import mock

import foreign_models
import made_up
import own_rows
import pytest

import bitladder
from bitladder import files
from flows import graph
from flows.compress import asked, budget, command
from flows.compress.asked import Asked
from pipeline.evaluation import results
from pipeline.tracking import store

pytestmark = pytest.mark.slow
STEPS = {"teacher": 40, "w1a8": 20}
KINDS = ["multi_label", "regression", "reranking", "token_classification", "question_answering"]


@pytest.fixture(autouse=True)
def _one_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the ladder the last but one: what is tested is the way through the graph."""
    composed = asked.choices

    def choices(given: Asked) -> dict[str, object]:
        values = composed(given)
        rungs = {"w1a8": values["weights_activations"]["w1a8"]}
        return {**values, "weights_activations": rungs, "deliver": ["w1a8"], "claims": []}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(asked, "choices", choices)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))


def compress(given: Asked) -> int:
    steps = {name: STEPS[name] for name in STEPS if name != "teacher" or not given.has_teacher}
    with mock.patch.dict(os.environ), mock.patch.object(budget, "steps", return_value=steps):
        return command.main(given)


def asked_of(root: Path, kind: str, **more: object) -> Asked:
    file = own_rows.write(root / "rows.jsonl", kind, 120)
    pair = "text_pair" if kind in own_rows.PAIRS else None
    columns = {"text": "text", "text_pair": pair, "label": "label"}
    places = {"output": root / "out", "project": root / "out.project"}
    return Asked(file=file, kind=kind, max_drop=100.0, **columns, **places, **more)  # type: ignore[arg-type]


def require_whole(given: Asked, code: int) -> None:
    found = results.read(given.project / "metrics" / "results.json")
    assert (found.kind, set(found.models)) == (given.kind, {"teacher", "w1a8"})
    assert code == (0 if not found.models["w1a8"].collapsed else 1)
    packed = given.output if code == 0 else given.project / "packed" / "w1a8"
    assert files.verify(packed)
    pair = ["the doctor watched the lake"] if given.kind in own_rows.PAIRS else []
    assert bitladder.load(packed)("the farmer walked the garden", *pair)
    assert (given.project / "reports" / "report.html").is_file()
    assert (given.project / store.HOME / "mlflow.db").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_goes_the_whole_way(tmp_path: Path, kind: str) -> None:
    given = asked_of(tmp_path, kind, base=str(made_up.bert(tmp_path / "bert", positions=64)))
    require_whole(given, compress(given))


@pytest.mark.parametrize("has_pairs", [False, True])
def test_plain_text_becomes_a_sentence_encoder(tmp_path: Path, has_pairs: bool) -> None:
    draw = random.Random(1)
    texts = [" ".join(made_up.sentence(draw, 5) for _ in range(3)) for _ in range(80)]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    pairs = [f"{made_up.sentence(draw, 5)},{made_up.sentence(draw, 5)},{at / 7}" for at in range(20)]
    (tmp_path / "pairs.csv").write_text("\n".join(["a,b,how", *pairs]), encoding="utf-8")
    columns = {"text": "a", "text_pair": "b", "label": "how"} if has_pairs else {"text": None, "label": None}
    given = Asked(
        file=tmp_path / "texts.txt",
        kind="embeddings",
        max_drop=100.0,
        validation=tmp_path / "pairs.csv" if has_pairs else None,
        base=str(made_up.bert(tmp_path / "bert", positions=64)),
        output=tmp_path / "out",
        project=tmp_path / "out.project",
        **columns,
    )
    require_whole(given, compress(given))
    model = bitladder.load(given.output)
    assert model.encode(["the farmer walked"]).shape == (1, 16)
    given.file.write_text(given.file.read_text() + "\nThe farmer walked.", encoding="utf-8")
    with contextlib.chdir(given.project):
        assert "prepare" in graph.changed()


@pytest.mark.parametrize("architecture", ["roberta", "distilbert"])
def test_a_fine_tuned_model_is_the_teacher(tmp_path: Path, architecture: str) -> None:
    folder = getattr(foreign_models, architecture)(tmp_path / "mine", *own_rows.NAMES["classification"])
    given = asked_of(tmp_path, "classification", teacher=folder)
    require_whole(given, compress(given))
    teacher = results.read(given.project / "metrics" / "results.json").models["teacher"]
    assert teacher.steps == 0
