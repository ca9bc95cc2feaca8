"""A sentence encoder goes the whole way: from text and files of pairs to a packed model that is scored, shown
and registered, and whose vectors are those that were scored."""

import csv
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import made_up
import numpy as np
import pytest
import whole_graph

import bitladder
from pipeline import paths, record
from pipeline.data.tables import read_split
from pipeline.evaluation import agreement
from pipeline.evaluation.results import read as read_results
from pipeline.params import Params
from pipeline.reporting import card, table
from pipeline.reporting.report import read
from pipeline.stages import register

pytestmark = pytest.mark.slow
SETS = (
    "[{name: searched, file: searched.csv, columns: [question, paragraph]}, "
    "{name: pairs, file: pairs.csv, columns: [first, second], label: alike}, "
    "{name: graded, file: graded.csv, columns: [first, second], score: score}]"
)
CHOSEN = (
    "task=embeddings",
    "model=minilm",
    "model.source=path",
    "model.location=bert",
    "ladder=embeddings",
    "budget=quick",
    "budget.rung.steps=40",
    "budget.evaluations=2",
    "training.rung.batch_size=16",
    "training.rung.learning_rate=0.003",
    "data.corpus=text.txt",
    "task.max_length=24",
    "task.selection_fraction=0.2",
    "task.validation_splits=[searched, pairs, graded]",
    "task.metrics=[recall_at_1, recall_at_10, ndcg_at_10, average_precision, spearman]",
    f"task.judged_by={SETS}",
)


def write(path: str, header: list[str], rows: Sequence[tuple[object, ...]]) -> None:
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    """A task after all its stages but `register`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        draw = random.Random(0)
        made_up.bert(Path("bert"))
        texts = [made_up.sentence(draw, draw.randint(3, 9)) for _ in range(200)]
        lines = [" ".join(draw.sample(texts[:150], 3)) for _ in range(60)]
        Path("text.txt").write_text("\n".join(lines), encoding="utf-8")
        pairs = list(zip(texts[150:180], texts[160:190], strict=True))
        write("searched.csv", ["question", "paragraph"], [(a, f"{a} {b}") for a, b in pairs])
        labelled = [(a, f"{a} {b}" if n % 2 else b, n % 2) for n, (a, b) in enumerate(pairs)]
        write("pairs.csv", ["first", "second", "alike"], labelled)
        write("graded.csv", ["first", "second", "score"], [(a, b, n / 7) for n, (a, b) in enumerate(pairs)])
        params = made_up.params(Path(), *CHOSEN)
        whole_graph.run(params)
        yield params


def test_the_teacher_is_the_encoder_itself(project: Params) -> None:
    own = record.read(paths.model_dir("teacher"))
    assert (own.parent, own.steps) == ("pretrained", 0)
    assert own.scores["selection"]["sentence_cosine"] == pytest.approx(1)
    first = record.read(paths.model_dir("w1a8"))
    assert 0 < (first.scores["selection"]["sentence_cosine"] or 0) < 1


def test_each_set_has_its_metrics_and_the_first_is_the_score(project: Params) -> None:
    models = read_results().models
    for model in models.values():
        assert set(model.scores["searched"]) == {"recall_at_1", "recall_at_10", "ndcg_at_10"}
        assert set(model.scores["pairs"]) == {"average_precision"}
        assert set(model.scores["graded"]) == {"spearman"}
        assert model.score == model.scores["searched"]["recall_at_1"]
    [row, *_] = table.rows(read_results())
    assert {"recall@10", "nDCG@10", "MAP (pairs)", "Spearman (graded)"} <= set(row)


def test_encode_gives_the_vectors_that_were_scored(project: Params) -> None:
    """By numpy alone, from the texts: recall is the one that evaluate found."""
    frame = read_split(paths.data_dir("embeddings", "plain"), "searched")
    model = bitladder.load(paths.packed_dir("w1a8"))
    queries, paragraphs = (model.encode(frame[name].tolist()) for name in ("text", "text_pair"))
    found = (queries @ paragraphs.T).argmax(axis=1) == np.arange(len(frame))
    wanted = read_results().models["w1a8"].scores["searched"]["recall_at_1"]
    assert found.mean() == pytest.approx(wanted, abs=0.04)  # one query of thirty, were two as near


def test_the_packed_model_is_the_trained_one(project: Params) -> None:
    for rung in project.deliver:
        [found] = agreement.read(paths.packed_dir(rung)).splits.values()
        assert found.largest_logit_difference == 0


def test_pieces_of_a_text_stay_on_one_side(project: Params) -> None:
    plain = paths.data_dir("embeddings", "plain")
    train, selection = (read_split(plain, name) for name in ("train", "selection"))
    assert not set(train["whole"]) & set(selection["whole"])
    assert len(selection)


def test_the_card_says_how_it_is_used(project: Params) -> None:
    made = card.card("w1a8", read(project))
    assert "model.encode([" in made
    assert "SentenceTransformer" in made
    assert "pipeline_tag: sentence-similarity" in made
    assert "library_name: sentence-transformers" in made


def test_it_is_registered_and_served(project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    from pipeline.tracking import store

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    register.run(project)
    mlflow.set_tracking_uri(store.locate().uri)
    served = mlflow.pyfunc.load_model("models:/bitladder-embeddings/1")
    frame = read_split(paths.data_dir("embeddings", "plain"), "searched")[["text"]]
    answers = served.predict(frame)
    assert (
        len(json.loads(answers["vector"][0])) == bitladder.load(paths.packed_dir("w1a8")).config.hidden_size
    )
