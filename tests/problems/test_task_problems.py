"""Fields that are right one by one and wrong together are refused: task, data, model, durations, losses."""

import pytest
from changed_params import HUB, MRPC, Refusals

FILES = {"train": "mine.csv", "text": "review", "label": "stars"}
OWN = (*MRPC, ("data", {"source": "files", "files": FILES}), ("task.name", "custom"))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([("data.source", "path")], "data.root: missing"),
        ([("data.root", "x")], "data.root: only for data.source: path"),
        ([*MRPC, ("data", {"source": "path", "root": ""})], "data.root: missing"),
        ([*MRPC, ("data", {"source": "hub"})], "data.repository: missing"),
        ([*MRPC, ("data", {"source": "hub"})], "data.revision: missing"),
        ([*OWN, ("data.files", {**FILES, "train": "conf/no_file"})], "data.files.train: missing"),
        ([*OWN, ("data.files", {**FILES, "label": None})], "data.files.label: missing; name the column"),
        (
            [*OWN, ("data.files", {**FILES, "label": "review"})],
            "data.files: column 'review' has two meanings",
        ),
        ([*OWN, ("data.files", {**FILES, "text_pair": "b"})], "task.sentence_columns: sentence; the files"),
        ([*OWN, ("data.files", {**FILES, "test": "t.csv"})], "task.validation_splits: validation; of these"),
        (
            [*OWN, ("data.files", {**FILES, "train": "~/a.csv"})],
            "data.files.train: '~/a.csv': DVC watches it",
        ),
        ([("data.files", FILES)], "data.files: mine.csv is only for data.source: files, and it is demo"),
        ([*MRPC, HUB, ("data.revision", "main")], "data.revision: 'main' can change; write a commit"),
        ([*MRPC, ("data", {"source": "demo"})], "data.source: demo generates the demo task only, not mrpc"),
        ([HUB], "data.source: the demo task is generated, not read from hub"),
        ([("task.generator", None)], "task.generator: missing"),
        ([("task.name", "mrpc")], "task.generator: mrpc is not generated"),
        ([("task.name", "mrpc")], "model.source: the demo model knows only words of the demo's own corpus"),
        ([("model.architecture", None)], "model.architecture: missing"),
        ([("model.source", "hub")], "model.architecture: model.source: hub brings its own shape"),
        ([("model.source", "package")], "model.location: missing; model.source: package needs"),
        ([*MRPC, ("model.source", "hub")], "model.revision: missing"),
        ([("model.architecture.num_attention_heads", 7)], "is not divisible by 7 attention heads"),
        ([("task.max_length", 1000)], "task.max_length: 1000 tokens, but the model has"),
        (
            [("budget.rung", {})],
            "budget.rung: give exactly one of steps, epochs, equal_to; given: none",
        ),
        (
            [("budget.rung.epochs", 1)],
            "budget.rung: give exactly one of steps, epochs, equal_to; given: steps, epochs",
        ),
        ([("weights.w1.duration", {})], "weights.w1.duration: give exactly one of steps, epochs, equal_to"),
        (
            [("budget.binary_activations", {})],
            "budget.binary_activations: give exactly one of steps, epochs, equal_to",
        ),
        ([("budget.binary_activations.steps", 2)], "do not fit in 2 steps (budget.binary_activations)"),
        ([("weights.w8.duration", {"steps": 1})], "do not fit in 1 steps (weights.w8.duration)"),
        ([("budget.evaluations", 10_000)], "budget.evaluations: 10000 do not fit in"),
        ([("task.label_names", ["one"])], "task.label_names: classification needs at least 2 labels, got 1"),
        ([("task.label_names", ["a", "a"])], "task.label_names: a is written twice"),
        ([("task.kind", "regression")], "task.label_names: regression has no labels"),
        ([("task.kind", "regression")], "task.metrics: accuracy does not fit regression; allowed: pearson"),
        ([("task.metrics", ["pearson"])], "task.metrics: pearson does not fit classification; allowed: acc"),
        (
            [("task.label_names", ["a", "b", "c"]), ("task.metrics", ["f1"])],
            "task.metrics: f1 needs 2 labels here, and the task has 3",
        ),
        ([("task.sentence_columns", ["label"])], "task.sentence_columns: label holds no text"),
        ([("task.validation_splits", ["train"])], "task.validation_splits: 'train' cannot be a validation"),
        (
            [("distillation", dict.fromkeys(("logits", "hidden_states", "attention_scores", "labels"), 0))],
            "distillation: every weight is 0",
        ),
        (
            [("augmentation.contextual", 0), ("augmentation.embedding", 0)],
            "weights.w1.data: augmented, but augmentation makes 0 rows by every method",
        ),
    ],
)
def test_a_contradiction_is_refused(
    refusals: Refusals, changes: list[tuple[str, object]], problem: str
) -> None:
    assert [found for found in refusals(*changes) if problem in found]


def test_a_test_file_is_one_more_validation_split(refusals: Refusals) -> None:
    files = {**FILES, "validation": "v.csv", "test": "t.csv"}
    assert not refusals(*OWN, ("data.files", files), ("task.validation_splits", ["validation", "test"]))


def test_a_task_read_from_files_with_a_local_model_is_accepted(refusals: Refusals) -> None:
    assert refusals(*MRPC) == []
    assert refusals(*MRPC, HUB) == []
