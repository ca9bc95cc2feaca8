"""Questions go the whole way, through the real stages: prepared, augmented, trained, packed, scored, shown,
registered; long contexts in windows, some questions without an answer."""

import re
from collections.abc import Iterator
from pathlib import Path

import made_up
import pandas as pd
import pytest
import torch
import whole_graph

import bitladder
from bitladder import files, predict
from bitladder.modeling.checkpoint import load_bert, load_state
from bitladder.packed import size
from bitladder.packed.tensors import FormatError
from bitladder.transformers_model.model import load
from pipeline import paths, record
from pipeline.data.tables import read_split
from pipeline.evaluation import agreement
from pipeline.evaluation.results import Results
from pipeline.evaluation.results import read as read_results
from pipeline.ladder import sizes
from pipeline.params import Params
from pipeline.reporting import card, table
from pipeline.reporting.report import read
from pipeline.stages import register
from pipeline.tracking import store

SHORT = (
    *(f"budget.{kind}.steps=4" for kind in ("teacher", "rung", "binary_activations")),
    *(f"training.{kind}.batch_size=8" for kind in ("teacher", "rung", "binary_activations")),
    "budget.evaluations=2",
    "task.selection_fraction=0.2",
    "task.max_length=20",  # contexts have 18 tokens, so each is read in two windows
    "task.answering={doc_stride: 6, max_question_length: 6, max_answer_length: 5, unanswerable: true}",
    "augmentation={contextual: 0, embedding: 0, swap: 1, delete: 0, spelling: 0, word_fraction: 0.5}",
    "data.max_train_rows=54",
    "data.max_validation_rows=9",
    "weights={w1: {bits: 1, init_from: teacher, taught_by: teacher, data: augmented}}",
    "weights_activations={w1a8: {bits: 1, activation_bits: 8, init_from: w1, taught_by: teacher, "
    "data: plain}}",
    "deliver=[w1, w1a8]",
    "claims=[]",
)


def composed(task: str, *overrides: str) -> Params:
    root = made_up.squad(Path("source"), task)
    made_up.bert(Path("bert"))
    model = ("model=minilm", "model.source=path", "model.location=bert")
    return made_up.params(Path(), f"task={task}", *model, "data.source=path", f"data.root={root}", *overrides)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        params = composed("squad_v2", *SHORT)
        whole_graph.run(params)
        yield params


@pytest.fixture
def results(project: Params) -> Results:
    return read_results()


def test_no_context_stands_on_both_sides(project: Params) -> None:
    plain = paths.data_dir("squad_v2", "plain")
    train, selection = (read_split(plain, name) for name in ("train", "selection"))
    assert not set(train["context"]) & set(selection["context"])
    assert not set(train["title"]) & set(selection["title"])
    summary = files.read_json(plain / "summary.json")["splits"]
    assert summary["selection"]["contexts_also_in_train"] == 0
    assert summary["train"]["rows"] + summary["selection"]["rows"] == 54
    assert set(summary["train"]["labels"]) == {"answer", "no answer"}


def test_only_questions_are_varied_and_answers_stay_at_their_place(project: Params) -> None:
    rows = read_split(paths.data_dir("squad_v2", "augmented"), "train")
    new = rows[rows["origin"] != "original"]
    assert len(new) > 0
    originals = rows[rows["origin"] == "original"].set_index("id")
    for row in new.itertuples():
        original = originals.loc[row.id]
        assert row.question != original["question"]
        assert row.context == original["context"]
        assert list(row.answer_starts) == list(original["answer_starts"])


def test_there_is_no_pooler_anywhere(project: Params) -> None:
    for name in ("teacher", "w1", "w1a8"):
        assert not any("pooler" in key for key in load_state(paths.model_dir(name)))
        assert "pooler" not in {part.part for part in record.read(paths.model_dir(name)).init}
    assert "pooler" not in {part.part for part in size.account(paths.packed_dir("w1")).parts}
    assert {"qa_outputs.weight", "qa_outputs.bias"} <= load_state(paths.model_dir("w1")).keys()


def test_the_size_is_the_one_that_was_planned(project: Params) -> None:
    shape = sizes.shape_of(project)
    assert shape is not None
    for rung in project.deliver:
        found = size.account(paths.packed_dir(rung))
        [header] = [part.stored_bytes for part in found.parts if part.part == "file header"]
        assert sizes.packed_bytes(shape, project.rungs[rung], num_labels=2) == found.file_bytes - header


def test_the_threshold_is_chosen_on_selection_and_goes_with_the_model(
    project: Params, results: Results
) -> None:
    for name, folder in (("teacher", paths.model_dir("teacher")), ("w1a8", paths.packed_dir("w1a8"))):
        own = files.read_json(folder / "config.json")["bitladder_answering"]
        assert results.models[name].no_answer_threshold == own["no_answer_threshold"]
        assert record.read(folder).settings["no_answer_threshold"] == own["no_answer_threshold"]
        assert record.read(folder).selected_on == "selection"


def test_both_metrics_and_both_kinds_of_questions_are_reported(results: Results) -> None:
    model = results.models["w1a8"]
    found = model.scores["validation"]
    assert set(found) == {
        f"{kind}{metric}" for kind in ("", "has_answer_", "no_answer_") for metric in ("exact_match", "f1")
    }
    assert (model.score, model.accuracy) == (found["f1"], found["exact_match"])


def test_a_part_of_the_validation_split_is_called_a_part(results: Results) -> None:
    assert (results.rows, results.rows_read) == ({"validation": 9}, {"validation": 12})
    assert "F1 on 9 of the 12 rows (data.max_validation_rows) of validation" in table.counted(results)[0]
    assert "Never giving an answer scores" in table.counted(results)[0]
    assert results.majority_score == pytest.approx(
        (read_split(paths.data_dir("squad_v2", "plain"), "validation")["answer_texts"].map(len) == 0).mean()
    )


def test_the_table_has_exact_match_beside_the_score(results: Results) -> None:
    [row] = [row for row in table.rows(results) if row["rung"] == "w1"]
    assert row["EM"] == f"{results.models['w1'].scores['validation']['exact_match']:.4f}"


def test_the_packed_model_is_the_trained_one(project: Params) -> None:
    for rung in project.deliver:
        [found] = agreement.read(paths.packed_dir(rung)).splits.values()
        assert found.largest_logit_difference == 0
        assert found.label_agreement == 1
        assert found.rows > 9  # windows


def test_transformers_loads_it_as_a_question_answering_model_and_as_nothing_else(project: Params) -> None:
    from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification

    bitladder.register()
    folder = str(paths.packed_dir("w1a8"))
    model = AutoModelForQuestionAnswering.from_pretrained(folder)
    ids = torch.tensor([[2, 20, 3, 21, 22, 3]])
    segments = torch.tensor([[0, 0, 0, 1, 1, 1]])
    trained = load_bert(paths.model_dir("w1a8"))
    with torch.no_grad():
        for name in ("start_logits", "end_logits"):
            outputs = (one(ids, token_type_ids=segments) for one in (model, trained))
            ours, theirs = (getattr(output, name) for output in outputs)
            assert torch.equal(ours, theirs)
    with pytest.raises(FormatError, match="holds a PackedBertForQuestionAnswering"):
        AutoModelForSequenceClassification.from_pretrained(folder)


def test_predict_finds_answers_where_evaluate_does(project: Params, results: Results) -> None:
    folder = str(paths.packed_dir("w1a8"))
    rows = read_split(paths.data_dir("squad_v2", "plain"), "validation")
    model = predict.PackedModel(Path(folder), load(folder))
    answers = model(rows["question"].tolist(), rows["context"].tolist())
    assert [one["margin"] > one["threshold"] for one in answers] == [one["answer"] is None for one in answers]
    silent = [one["answer"] is None for one in answers]
    without = [len(texts) == 0 for texts in rows["answer_texts"]]
    right = [quiet for quiet, none in zip(silent, without, strict=True) if none]
    assert results.models["w1a8"].scores["validation"]["no_answer_f1"] == pytest.approx(
        sum(right) / len(right)
    )
    for one, context in zip(answers, rows["context"], strict=True):
        assert one["answer"] is None or context[one["start"] : one["end"]] == one["answer"]


def test_predict_needs_a_context(project: Params, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(paths.packed_dir("w1"))
    with pytest.raises(ValueError, match="--context"):
        predict.main(folder, "Who walked?")
    assert predict.main(folder, "Who walked?", "The farmer walked the garden. " * 9) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "no answer" or first in "The farmer walked the garden. " * 9


def test_the_card_and_the_report_tell_it(project: Params) -> None:
    made = card.card("w1a8", read(project))
    assert "pipeline_tag: question-answering" in made
    assert "type: exact_match" in made
    assert "AutoModelForQuestionAnswering" in made
    assert re.search(r"is over -?[\d.e-]+, chosen on selection", made)
    assert "F1 on 9 of the 12 rows" in (paths.REPORTS / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_it_is_registered_and_served(project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    register.run(project)
    mlflow.set_tracking_uri(store.locate().uri)
    served = mlflow.pyfunc.load_model("models:/bitladder-squad_v2/1")  # four steps may leave no champion
    rows = read_split(paths.data_dir("squad_v2", "plain"), "validation")[["question", "context"]]
    answers = served.predict(pd.DataFrame(rows))
    assert list(answers.columns) == ["answer", "score"]
    assert len(answers) == len(rows)


def test_version_1_always_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answering = next(value for value in SHORT if value.startswith("task.answering"))
    overrides = [*(value for value in SHORT if value != answering), answering.replace("true", "false")]
    params = composed("squad", *overrides, "deliver=[w1]")
    whole_graph.run(params)
    results = read_results()
    model = results.models["w1"]
    assert set(model.scores["validation"]) == {"exact_match", "f1"}
    assert model.no_answer_threshold is None
    assert results.majority_score is None
    folder = str(paths.packed_dir("w1"))
    assert set(bitladder.load(folder)("Who?", "The farmer walked.")) == {"answer", "start", "end", "score"}
