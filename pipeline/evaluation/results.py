"""metrics/results.json and metrics/seeds/<seed>.json: what is in them, writing and reading them.

What `evaluate` found of every model, and of every claim. Each field is a key of the files. The format's
number grows when something that is read of them is added or means something else. Then an older file is
refused with what writes it anew, rather than read half.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bitladder import files
from pipeline import paths
from pipeline.params import KindName
from pipeline.record import Stage, read_as

FORMAT: Literal[3] = 3
Measure = Literal["score", "accuracy"]
Verdict = Literal["holds", "does not hold", "within noise", "not judged"]
Value = float | None  # None: undefined
Scores = dict[str, dict[str, Value]]  # metric values by name, by split


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def as_dict(self) -> dict[str, Any]:
        """What is written of it; what was not given is left out."""
        return self.model_dump(mode="json", exclude_unset=True)


class Means(_Written):
    """Of one number over seeds. A spread is the sample standard deviation; None for a single seed.

    Attributes:
        mean, std: of the number; undefined where it is for one of the seeds.
        gap_mean, gap_std: of its gaps to the teacher of the same seed.
    """

    mean: Value
    std: Value
    gap_mean: Value
    gap_std: Value


class OverSeeds(Means):
    """Of a model's score over all seeds, and of what else differs by seed; keys are seeds as text.

    Attributes:
        scores, accuracies, collapsed: of each seed, what `ModelResult` has of one.
        metrics: the means of each metric, by split.
    """

    scores: dict[str, Value]
    accuracies: dict[str, Value]
    collapsed: dict[str, bool]
    num_seeds: int
    metrics: dict[str, dict[str, Means]]


class LabelAgreement(_Written):
    """Share of rows to which a packed rung gives the trained one's label: by its file, by our kernels."""

    file: Value
    kernels: Value


class ModelResult(_Written):
    """One model: a rung, scored from its packed file, or the teacher.

    Attributes:
        weight_bits, embedding_bits, activation_bits: 32 means full precision.
        score: on the first validation split: mean of the task's metrics, or the one its kind is judged by.
        scores: each metric on each validation split.
        accuracy: share of rows that are exactly right; None where answers are numbers.
        collapsed: it gives one answer to all rows of the first validation split.
        no_answer_threshold: margin over which a question has no answer.
        thresholds: by label, of several labels at once, the probability from which on a text has it.
        num_examples: rows of the first validation split.
        bytes, mib, digest: of its model.safetensors, all of it.
        label_agreement: with the trained rung; None for the teacher.
        selected_on: the split that its checkpoint was chosen on.
        steps, total_steps: of its own training, and of all from the teacher on.
        augmented_steps: of the total, those on augmented rows.
        ancestors: from the pretrained model down to its parent.
        gap: score less the teacher's.
        ratio: the teacher's bytes against its own.
        seeds: means over seeds; None where not every seed has the model, and in a single seed's file.
        unusual: in words, what of it is not usual at its bits; not in a single seed's file.
    """

    stage: Stage
    parent: str | None
    weight_bits: int
    embedding_bits: int
    activation_bits: int
    score: Value
    scores: Scores
    accuracy: Value
    collapsed: bool
    no_answer_threshold: Value
    num_examples: int
    bytes: int
    mib: float
    digest: str
    label_agreement: LabelAgreement | None
    seed: int
    selected_on: str | None
    steps: int
    total_steps: int
    augmented_steps: int
    ancestors: list[str]
    gap: Value
    ratio: float
    seeds: OverSeeds | None = None
    unusual: list[str] = []
    thresholds: list[float] | None = None

    @property
    def num_seeds(self) -> int:
        return self.seeds.num_seeds if self.seeds else 1

    @property
    def bits(self) -> tuple[int, int, int]:
        """Of weights, embeddings and activations."""
        return self.weight_bits, self.embedding_bits, self.activation_bits

    @property
    def means(self) -> Means:
        """Of score and gap; of a single seed they are its own."""
        return self.seeds or Means(mean=self.score, std=None, gap_mean=self.gap, gap_std=None)

    def means_of(self, split: str, metric: str, teacher: "ModelResult") -> Means:
        """The same of one metric."""
        if self.seeds:
            return self.seeds.metrics[split][metric]
        own = self.scores[split][metric]
        gap = difference(own, teacher.scores[split][metric])
        return Means(mean=own, std=None, gap_mean=gap, gap_std=None)

    def by_seed(self, measure: Measure = "score") -> dict[str, Value]:
        """Score or accuracy, of each seed."""
        if self.seeds:
            return self.seeds.scores if measure == "score" else self.seeds.accuracies
        return {str(self.seed): self.score if measure == "score" else self.accuracy}

    @property
    def collapsed_seeds(self) -> list[str]:
        """The seeds from which it gives one answer to all rows of the first validation split."""
        found = self.seeds.collapsed if self.seeds else {str(self.seed): self.collapsed}
        return [seed for seed, is_so in found.items() if is_so]


class Difference(_Written):
    """Between two rungs.

    Attributes:
        measure: what was compared; None where neither score nor accuracy is defined.
        values: by rung, means over seeds.
        difference: the first's less the second's; `differences` by seed.
        standard_error: of the mean difference; of the examples alone with one seed.
        margin: half the 95 % interval.
    """

    measure: Measure | None
    values: dict[str, float] | None
    difference: float | None
    standard_error: float | None
    margin: float | None
    differences: dict[str, float]
    num_seeds: int


class ClaimResult(Difference):
    """One claim, as `pipeline.evaluation.claims` judged it.

    Attributes:
        claim: its kind.
        statement: in words, with what else the two rungs differ in.
        rungs: first the one that should be better.
        rule: how the verdict came to be.
        collapsed: in words, the rungs that give one answer to all rows.
        score_is: where the score is undefined, in words.
        unequal: what the rungs differ in beside what is claimed: steps, data.
    """

    claim: str
    statement: str
    rungs: list[str]
    verdict: Verdict
    rule: str
    collapsed: list[str]
    score_is: str | None
    num_examples: int
    total_steps: dict[str, int]
    augmented_steps: dict[str, int]
    equal_steps: bool
    unequal: list[str]


class _Scored(_Written):
    """Which task was scored on what, and its models.

    Attributes:
        split: the first validation split, which score, gap and claims are of.
        rows: that were scored, by split.
        checkpoint_selected_on: the split, or splits, on which the models' checkpoints were chosen.
    """

    format: Literal[3]  # first, so that of another version's file this is what is said
    task: str
    kind: KindName
    metrics: list[str]
    split: str
    rows: dict[str, int]
    checkpoint_selected_on: str
    models: dict[str, ModelResult]


class Results(_Scored):
    """metrics/results.json.

    Attributes:
        rows_read: rows of each split before `data.max_validation_rows` drew from them.
        majority: share of the most frequent label of each split.
        majority_score: score of always giving the most frequent answer.
    """

    rows_read: dict[str, int]
    majority: dict[str, Value]
    majority_score: Value
    num_seeds: int
    claims: list[ClaimResult]


class SeedResults(_Scored):
    """metrics/seeds/<seed>.json: the ladder of one other seed."""

    seed: int


def difference(first: Value, second: Value) -> Value:
    """Undefined where one of them is."""
    return None if first is None or second is None else first - second


def of_seed(results: Results, seed: int) -> SeedResults:
    """What is kept of the results of a ladder that was trained from another seed alone."""
    kept, dropped = {*SeedResults.model_fields}, {"models": {"__all__": {"seeds", "unusual"}}}
    return SeedResults.model_validate(
        {**results.model_dump(include=kept, exclude=dropped, exclude_unset=True), "seed": seed}
    )


def write(path: Path, results: Results | SeedResults) -> None:
    files.write_json(path, results.as_dict())


def read(path: Path = paths.RESULTS) -> Results:
    """Raises FileNotFoundError, and OtherFormatError, which says in one line what is wrong and what to do."""
    return read_as(Results, path, remedy="dvc repro evaluate")


def read_seed(seed: int) -> SeedResults:
    """What `repeat` left of this seed; raises as `read` does."""
    return read_as(SeedResults, paths.seed_results(seed), remedy=f"dvc repro repeat@{seed}")
