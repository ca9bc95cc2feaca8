"""What the rest of the pipeline asks of every kind of task.

Shapes: N rows (of question answering windows, Q questions), L labels or outputs, S tokens, K numbers that an
example's part of the score is made of.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bitladder import heads
from bitladder.text.tokens import Tokens, tokenize
from pipeline.kinds import metrics
from pipeline.kinds.columns import LABEL
from pipeline.kinds.metrics import Array, Scores
from pipeline.params import Task

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# How a logit becomes a loss: pipeline.distillation has each against labels and against a teacher.
Loss = Literal["cross_entropy", "squared_error", "binary_cross_entropy", "token_cross_entropy", "cosine"]
Measure = Literal["score", "accuracy"]
ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]
Chosen = float | list[float] | None
Found = Iterator[tuple[str, str]]  # a field of params.yaml's task, and what is wrong with it
IGNORED = -100  # label of a token that has none


@dataclass(frozen=True)
class Rows:
    """A split as a model reads it.

    Attributes:
        tokens: of N rows.
        labels: [N], [N, L], or [N, S] with IGNORED where a token has none.
        num_examples: what a score is counted over; N unless rows are windows or parts of a list.
        beside: what else the kind's own scoring needs to know.
    """

    tokens: Tokens
    labels: Array
    num_examples: int
    beside: Any = None


@dataclass(frozen=True)
class Outcome:
    """What a model's logits come to.

    Attributes:
        examples_NK: the numbers that the metrics are made of, example by example.
        answers, truth: what was said of each example and what is right.
        right: share of examples that are exactly right; None where there is no such thing.
        chosen: what the answers were decided by, where a kind has that (thresholds).
        more: further metrics, already computed.
    """

    examples_NK: Array
    answers: Sequence[Hashable]
    truth: Sequence[Hashable]
    right: float | None = None
    chosen: Chosen = None
    more: Scores = field(default_factory=dict)


class Kind:
    """Defaults are those of a model that reads one or two texts and says one thing of them.

    Attributes:
        head: of the model.
        problem_type: transformers' name for the loss, where it has one.
        loss: what is learned.
        metrics: those that a task may have.
        score_is: what the score is: the mean of the task's metrics, as GLUE has it, or one of them.
        num_columns: of text.
        has_labels: of rows; else they are taught by the pre-trained model alone, which is the teacher then.
        scores_lists: whether a group (`groups`) is what is scored, so that a part of one tells nothing.
        stratified: whether rows are drawn with each label's share kept.
        constant_is: what the score of always answering the same is called.
        chosen_as, chosen_is: under which name records and results have `Outcome.chosen`, and what it does.
        metrics_are: how the metrics are defined, where that is not plain.
    """

    head: ClassVar[heads.Head] = heads.SEQUENCE
    problem_type: ClassVar[ProblemType | None] = None
    loss: ClassVar[Loss]
    metrics: ClassVar[tuple[str, ...]]
    score_is: ClassVar[Literal["mean", "first"] | str] = "first"
    num_columns: ClassVar[tuple[int, ...]] = (1, 2)
    has_labels: ClassVar[bool] = True
    has_names: ClassVar[bool] = False
    scores_lists: ClassVar[bool] = False
    stratified: ClassVar[bool] = False
    constant_is: ClassVar[str] = "Always giving the most frequent label"
    chosen_as: ClassVar[str | None] = None
    chosen_is: ClassVar[str] = ""
    metrics_are: ClassVar[str] = ""
    is_glue: ClassVar[bool] = False
    hub_task: ClassVar[str] = "text-classification"  # the Hub's name for what the model does

    # What params.yaml may say.

    def problems(self, task: Task) -> Found:
        """What is wrong with the fields of a task of this kind, beyond what each may hold."""
        if self.has_names and len(task.label_names) < 2:
            got = f"got {len(task.label_names)}; name them in order, as [no, yes]"
            yield "label_names", f"{task.kind} needs at least 2 labels, {got}"
        if not self.has_names and task.label_names:
            named = ", ".join(task.label_names)
            yield "label_names", f"{task.kind} has no labels, got {named}; write []"
        if len(task.sentence_columns) not in self.num_columns:
            wanted = " or ".join(map(str, self.num_columns))
            columns = ", ".join(task.sentence_columns)
            yield "sentence_columns", f"{columns}; {task.kind} needs {wanted}"
        for metric in task.metrics:
            if metric not in self.metrics:
                allowed = ", ".join(self.metrics)
                yield "metrics", f"{metric} does not fit {task.kind}; allowed: {allowed}"

    # How rows are read and kept apart.

    def read(self, table: "pa.Table", task: Task, *, source: str, training: bool) -> "pd.DataFrame":
        """The text columns and `label`, once nothing is wrong with them.

        Args:
            source: what messages call the split, a file's path for one.
            training: whether it is trained on.

        Raises:
            DataError: with every problem found.
        """
        raise NotImplementedError

    def label_keys(self, frame: "pd.DataFrame") -> "pd.Series[Any]":
        """By row, something that is equal where labels are."""
        return frame[LABEL]

    def counts(self, frame: "pd.DataFrame", task: Task) -> dict[str, float | int]:
        """How often each label is there."""
        return {name: int((frame[LABEL] == number).sum()) for number, name in enumerate(task.label_names)}

    def groups(self, frame: "pd.DataFrame", task: Task) -> list[str] | None:
        """By row, what must not stand on both sides of a cut; None where rows stand alone."""
        return None

    def varied_columns(self, task: Task) -> list[str]:
        """Those whose words augmentation may change while the labels stay right."""
        return list(task.sentence_columns)

    # How it is learned.

    def label_names(self, task: Task) -> list[str]:
        """Those that a model's config has; transformers' own where there are none."""
        return list(task.label_names)

    def settings(self, task: Task) -> dict[str, Any]:
        """What a model's config.json says more."""
        return {}

    def encode(self, frame: "pd.DataFrame", task: Task, tokenizer_folder: Path) -> Rows:
        """Tokenize; a pair is cut from its longer text first."""
        texts = [frame[column].tolist() for column in task.sentence_columns]
        pairs = texts[1] if len(texts) == 2 else None
        tokens = tokenize(texts[0], pairs, tokenizer_folder, max_length=task.max_length)
        return Rows(tokens, self.labels(frame, task), len(frame))

    def labels(self, frame: "pd.DataFrame", task: Task) -> Array:
        """Of every row."""
        found: Array = frame[LABEL].to_numpy()
        return found

    # How it is scored.

    def outcome(self, logits: Array, rows: Rows, task: Task, chosen: Chosen) -> Outcome:
        """Decide, and compare with what is right.

        Args:
            logits: [N, L] or [N, L, S], all finite.
            chosen: what is decided by; None: the best on these very rows, which only the split may use that
                checkpoints are chosen on.
        """
        raise NotImplementedError

    def decided(self, logits: Array, chosen: Chosen) -> NDArray[Any] | None:
        """[N, …]: equal for two models that give a row the same answer; None where answers are numbers."""
        found: Array = logits.argmax(axis=-1)
        return found

    def right(self, answers: Sequence[Hashable], truth: Sequence[Hashable]) -> Array | None:
        """[N], whether each answer is exactly right; None where there is no such thing."""
        return np.array([own == wanted for own, wanted in zip(answers, truth, strict=True)], np.bool)

    def classes(
        self, answers: Sequence[Hashable], truth: Sequence[Hashable], task: Task
    ) -> dict[str, tuple[int, int]] | None:
        """By class, how many rows are of it and how many of them are answered wrong; None without classes."""
        return None

    def in_words(self, answer: Any, task: Task) -> str:
        """One answer of `Outcome.answers` as a report shows it."""
        return f"{answer:.3f}" if isinstance(answer, float) else str(answer)

    def truth_in_words(self, truth: Any, task: Task) -> str:
        """The same of what is right."""
        return self.in_words(truth, task)

    def measured(self, names: Sequence[str], examples_NK: Array, task: Task) -> Scores:
        """Each metric by name."""
        raise NotImplementedError

    def counted(self, names: Sequence[str]) -> list[str]:
        """Of a task's metrics, those that its score is the mean of."""
        if self.score_is == "mean":
            return list(names)
        return list(names)[:1] if self.score_is == "first" else [self.score_is]

    def beside(self, names: Sequence[str]) -> dict[str, str]:
        """Of a task's metrics, those that tables have beside the score: by heading."""
        return {metrics.TITLES[name]: name for name in names if name not in self.counted(names)}

    def score(self, examples_NK: Array, task: Task) -> float | None:
        """The task's score; None where it is undefined."""
        return metrics.mean_score(self.measured(self.counted(task.metrics), examples_NK, task))

    def accuracy(self, examples_NK: Array) -> float | None:
        """Share that is exactly right, where claims may fall back on it."""
        return None

    def constant(self, frame: "pd.DataFrame", task: Task) -> tuple[float | None, float | None]:
        """(share right, score) of always giving the most frequent answer; None where there is none."""
        return None, None

    def noted(self, config: Any) -> Chosen:
        """What a model's config has that answers are decided by."""
        return None

    def note(self, config: Any, chosen: Chosen) -> None:
        """Write that into a config."""


def same_everywhere(labels_N: Array) -> Array:
    """The most frequent label; the smallest of equals."""
    values, counts = np.unique(labels_N, return_counts=True)
    return np.full_like(labels_N, values[counts.argmax()])
