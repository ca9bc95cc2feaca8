"""Several labels at once, reranking and entities go the whole way, from a person's own file through the real
stages: prepared, trained, packed, scored, shown, registered; and predict says what was scored."""

from collections.abc import Iterator
from pathlib import Path

import made_up
import numpy as np
import own_rows
import pytest
import whole_graph

import bitladder
from bitladder import files, predict
from pipeline import kinds, paths, record
from pipeline.data.tables import read_split
from pipeline.evaluation import agreement
from pipeline.evaluation.results import Results
from pipeline.evaluation.results import read as read_results
from pipeline.params import Params
from pipeline.reporting import card, table
from pipeline.reporting.report import read
from pipeline.stages import register

pytestmark = pytest.mark.slow
AUTO = {
    "multi_label": "AutoModelForSequenceClassification",
    "reranking": "AutoModelForSequenceClassification",
    "token_classification": "AutoModelForTokenClassification",
}
SHORT = (
    "model=minilm",
    "model.source=path",
    "model.location=bert",
    *(f"budget.{kind}.steps=60" for kind in ("teacher", "rung", "binary_activations")),
    *(f"training.{kind}.batch_size=16" for kind in ("teacher", "rung", "binary_activations")),
    *(f"training.{kind}.learning_rate=0.01" for kind in ("teacher", "rung")),
    "budget.evaluations=2",
    "augmentation={contextual: 0, embedding: 0, swap: 1, delete: 0, spelling: 0, word_fraction: 0.3}",
    "weights={w4: {bits: 4, init_from: teacher, taught_by: teacher, data: augmented}}",
    "weights_activations={w1a8: {bits: 1, activation_bits: 8, init_from: w4, taught_by: teacher, "
    "data: plain}}",
    "distillation.labels=0.5",
    "deliver=[w4, w1a8]",
    "claims=[]",
)


@pytest.fixture(scope="module", params=list(AUTO))
def project(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Params]:
    """A task after all its stages but `register`."""
    kind = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        made_up.bert(Path("bert"))
        own = own_rows.choices(kind, own_rows.write(Path("rows.jsonl"), kind, 160))
        params = made_up.params(Path(), *own, *SHORT)
        whole_graph.run(params)
        yield params


@pytest.fixture
def results(project: Params) -> Results:
    return read_results()


def test_its_metrics_are_reported_and_the_first_is_the_score(project: Params, results: Results) -> None:
    for name in ("teacher", "w4", "w1a8"):
        found = results.models[name]
        assert set(found.scores["validation"]) == set(own_rows.METRICS[project.task.kind])
        assert found.score == found.scores["validation"][project.task.metrics[0]]
    assert (results.models["teacher"].score or 0) > 0.6, "sixty steps learn it"


def test_the_packed_model_is_the_trained_one(project: Params) -> None:
    for rung in project.deliver:
        [found] = agreement.read(paths.packed_dir(rung)).splits.values()
        assert found.largest_logit_difference == 0
        assert found.label_agreement == (None if project.task.kind == "reranking" else 1)


def test_nothing_is_on_both_sides_of_a_cut(project: Params) -> None:
    """Queries stay whole."""
    plain = paths.data_dir("custom", "plain")
    texts = [set(read_split(plain, name)["text"]) for name in ("train", "selection", "validation")]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]


def test_predict_says_what_was_scored(project: Params, results: Results) -> None:
    """From the texts alone: the score of what `bitladder.load` answers is the score that evaluate found."""
    kind, task = kinds.of(project.task), project.task
    frame = read_split(paths.data_dir("custom", "plain"), "validation")
    texts, *pairs = (frame[name].tolist() for name in task.sentence_columns)
    answers = bitladder.load(paths.packed_dir("w1a8"))(texts, *pairs)
    score = results.models["w1a8"].score
    if task.kind == "multi_label":
        given = [[name in one["labels"] for name in task.label_names] for one in answers]
        examples = np.concatenate([given, kind.labels(frame, task)], axis=1)
        assert kind.score(examples, task) == pytest.approx(score)
        thresholds = [answers[0]["thresholds"][name] for name in task.label_names]
        assert results.models["w1a8"].thresholds == thresholds
    elif task.kind == "reranking":
        scores = np.array([one["score"] for one in answers])
        assert ((scores > 0) & (scores < 1)).all()
        rows_read = kind.encode(frame, task, paths.packed_dir("w1a8"))
        found = kind.outcome(np.log(scores / (1 - scores))[:, None], rows_read, task, None)
        assert kind.score(found.examples_NK, task) == pytest.approx(score)
    else:
        # Words of the file and of predict are the same here: no span ends within one.
        tags = [kind.counts(frame, task)]
        assert tags[0]["PER"] == tags[0]["LOC"] == len(frame)
        wanted = [{("PER", text.split()[1]), ("LOC", text.split()[4])} for text in texts]
        given = [{(one["label"], one["text"]) for one in answer["entities"]} for answer in answers]
        counts = [(len(a & b), len(answer["entities"]), 2)
                  for a, b, answer in zip(wanted, given, answers, strict=True)]  # fmt: skip
        assert kind.score(np.array(counts, float), task) == pytest.approx(score, abs=0.02)
        for text, answer in zip(texts, answers, strict=True):
            assert all(text[one["start"] : one["end"]] == one["text"] for one in answer["entities"])


def test_transformers_loads_it_and_says_the_same(project: Params) -> None:
    import torch
    import transformers

    bitladder.register()
    folder = paths.packed_dir("w1a8")
    model = getattr(transformers, AUTO[project.task.kind]).from_pretrained(folder)
    ids, segments = np.array([[2, 20, 3, 21, 3]]), np.array([[0, 0, 0, 1, 1]])
    segments *= project.task.kind == "reranking"  # which reads pairs
    with torch.no_grad():
        theirs = model(torch.from_numpy(ids), token_type_ids=torch.from_numpy(segments)).logits.numpy()
    ours = bitladder.load(folder).logits(ids, token_type_ids=segments)
    expected = theirs.transpose(0, 2, 1) if project.task.kind == "token_classification" else theirs
    np.testing.assert_array_equal(ours, expected)


def test_the_command_prints_an_answer(project: Params, capsys: pytest.CaptureFixture[str]) -> None:
    second = "the doctor watched the lake" if project.task.kind == "reranking" else None
    assert predict.main(str(paths.packed_dir("w4")), "the farmer walked the garden", second) == 0
    assert capsys.readouterr().out.strip()


def test_augmented_rows_of_words_with_tags_are_the_rows_themselves(project: Params) -> None:
    rows_made = read_split(paths.data_dir("custom", "augmented"), "train")["origin"]
    assert (set(rows_made) == {"original"}) == (project.task.kind == "token_classification")


def test_the_card_and_the_table_tell_it(project: Params, results: Results) -> None:
    made = card.card("w1a8", read(project))
    assert f"`{AUTO[project.task.kind]}.from_pretrained`" in made
    assert f"pipeline_tag: {kinds.of(project.task).hub_task}" in made
    [row] = [row for row in table.rows(results) if row["rung"] == "w1a8"]
    assert set(kinds.of(project.task).beside(results.metrics)) <= set(row)
    assert record.read(paths.model_dir("w1a8")).settings.get("thresholds") == (
        results.models["w1a8"].thresholds
    )


def test_it_is_registered_and_served(project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    from pipeline.tracking import store

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    register.run(project)
    mlflow.set_tracking_uri(store.locate().uri)
    served = mlflow.pyfunc.load_model("models:/bitladder-custom/1")
    frame = read_split(paths.data_dir("custom", "plain"), "validation")[list(project.task.sentence_columns)]
    answers = served.predict(frame)
    assert len(answers) == len(frame)
    assert files.read_json(paths.RESULTS)["kind"] == project.task.kind
