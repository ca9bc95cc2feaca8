"""params.yaml as frozen, validated objects. Every error at once, with the field, the value and what would do.

Read with the parser DVC itself uses (YAML 1.2), so that `1e-5` means the same to both. Nothing here imports
torch: a wrong file is refused in a blink. What the refusals say is in `pipeline.problems`.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.equal_steps import Length, total_steps
from pipeline.problems.activations import activation_problems
from pipeline.problems.claims import claim_problems
from pipeline.problems.contradictions import contradictions
from pipeline.problems.distillation import distillation_problems
from pipeline.problems.durations import duration_problems
from pipeline.problems.fields import field_problems
from pipeline.problems.initialization import initialization_problems
from pipeline.problems.ladder import ladder_problems
from pipeline.problems.problem import Problem
from pipeline.problems.quantizers import quantizer_problems
from pipeline.problems.reading import UnreadableError, read_mapping
from pipeline.problems.seeds import seed_problems
from pipeline.problems.values import Values
from pipeline.problems.width import width_problems


def _exactly_whole(value: object) -> object:
    """Literal[1] alone would take `true` and `1.0`, which equal 1, for 1."""
    if type(value) is not int:
        raise PydanticCustomError("int_type", "expected a whole number")
    return value


_WHOLE = BeforeValidator(_exactly_whole)
Bits = Annotated[Literal[1, 2, 4, 8], _WHOLE]
ActivationBits = Annotated[Literal[1, 2, 4, 8], _WHOLE]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Count = Annotated[int, Field(gt=0, lt=2**31)]
Even = Annotated[int, Field(gt=0, lt=2**31, multiple_of=2)]  # rows of the demo come in twins
Weight = Annotated[float, Field(ge=0, le=1e6)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Copies = Annotated[int, Field(ge=0, le=1000)]
Metric = Literal["accuracy", "f1", "matthews_correlation", "pearson", "spearman", "exact_match"]
DataKind = Literal["plain", "augmented"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A mapping of params.yaml: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Generator(Section):
    """Sizes of the demo's generated task and corpus, in sentences."""

    train_rows: Even
    validation_rows: Even
    corpus_rows: Count


class Answering(Section):
    """How questions are answered from a context, in tokens.

    Attributes:
        doc_stride: what two neighbouring windows of a long context share.
        max_question_length: longer questions are cut.
        max_answer_length: longer answers are not given.
        unanswerable: whether a question may have no answer; when to say so is chosen on the selection split.
    """

    doc_stride: Count
    max_question_length: Count
    max_answer_length: Count
    unanswerable: bool


class Task(Section):
    """One task: which columns are text, what the labels are called, which official metrics it has."""

    name: str
    kind: Literal["classification", "regression", "question_answering"]
    sentence_columns: Annotated[list[str], Field(min_length=1, max_length=2)]
    label_names: list[str]
    metrics: Annotated[list[Metric], Field(min_length=1)]
    validation_splits: Annotated[list[str], Field(min_length=1)]
    max_length: Count
    selection_fraction: Annotated[float, Field(gt=0, lt=0.5)]
    generator: Generator | None = None
    answering: Answering | None = None

    @property
    def num_labels(self) -> int:
        """Outputs of the head: per sentence or pair, or per token, start and end."""
        return {"classification": len(self.label_names), "regression": 1, "question_answering": 2}[self.kind]


class Data(Section):
    """Where the rows come from. `root` is used by `path`, `repository` and `revision` by `hub`.

    `max_train_rows` and `max_validation_rows` (of each validation split) draw a part, which results name.
    """

    source: Literal["demo", "path", "hub"]
    root: str | None = None
    repository: str | None = None
    revision: str | None = None
    max_train_rows: Count | None = None
    max_validation_rows: Count | None = None


class Architecture(Section):
    """The shape of a BERT that the graph pre-trains itself."""

    hidden_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    intermediate_size: Count
    max_position_embeddings: Count
    initializer_range: Positive


class Model(Section):
    """Where the pre-trained BERT comes from; `location` is a package, a Hub repository or a folder."""

    name: str
    source: Literal["demo", "package", "path", "hub"]
    location: str | None = None
    revision: str | None = None
    architecture: Architecture | None = None


class Duration(Section):
    """How long to train: exactly one of `steps`, `epochs` and `equal_to`.

    Attributes:
        equal_to: a rung; the steps from the teacher to the end of this rung are made as many as that one's.
    """

    steps: Count | None = None
    epochs: Positive | None = None
    equal_to: str | None = None

    def count_steps(self, *, num_rows: int, batch_size: int) -> int:
        """How many steps that is. `num_rows`: of one epoch; any where the duration is given in steps."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * math.ceil(num_rows / batch_size)))


class Budget(Section):
    """How long each kind of model is trained."""

    name: str
    pretraining: Duration
    teacher: Duration
    rung: Duration
    binary_activations: Duration
    evaluations: Count


class Optimization(Section):
    """AdamW with linear warm-up and linear decay to zero."""

    batch_size: Count
    learning_rate: LearningRate
    warmup_fraction: Share
    weight_decay: Weight
    max_grad_norm: Positive
    dropout: Share


class Training(Section):
    """Optimization of each kind of model; a rung may override its own learning rate and duration.

    Attributes:
        processes: how many processes share each batch, one per device; more than one run under torchrun.
        gradients: precision of the products of the backward pass and of the frozen teacher's forward pass.
        bucket_batches: batches in a window within which rows of like length meet; 1 mixes all lengths.
        checkpoint_every: steps between two states that a killed training can be continued from.
    """

    processes: Annotated[int, Field(gt=0, le=1024)]
    gradients: Literal["float32", "bfloat16"]
    bucket_batches: Count
    checkpoint_every: Count

    pretraining: Optimization
    teacher: Optimization
    rung: Optimization
    binary_activations: Optimization


class Distillation(Section):
    """Weights of the loss terms between student and teacher; 0 leaves a term out.

    Attributes:
        directions: of the similarities of queries, keys and values within a sequence (BiBERT).
        labels: of the loss against the labels, without a teacher.
        temperature: both logits are divided by it before their softmax.
    """

    logits: Weight
    hidden_states: Weight
    attention_scores: Weight
    labels: Weight
    directions: Weight = 0.0
    temperature: Positive = 1.0


class Phase(Section):
    """A part of a rung's training with a loss of its own; the next one starts from its best weights.

    Attributes:
        share: of the rung's steps.
        learning_rate_factor: times the rung's learning rate.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    distillation: Distillation
    learning_rate_factor: Positive = 1.0


class Augmentation(Section):
    """Rows made per training row by each nlpaug method, and the share of words each one touches."""

    contextual: Copies
    embedding: Copies
    swap: Copies
    delete: Copies
    spelling: Copies
    word_fraction: Annotated[float, Field(gt=0, le=1)]
    max_rows: Count | None = None


class Origin(Section):
    """Where a part's first weights come from: copied, unless a field of the second kind says they are drawn.

    `copy` is short for the parent, `random` for BERT's own initialization.

    Attributes:
        copy_from: instead of the parent.
        distribution: that weights are drawn from; normal unless said.
        std: its standard deviation; the model's initializer_range unless said.
        seed: the whole file's unless said.
    """

    copy_from: Literal["teacher"] | None = None
    distribution: Literal["normal", "uniform", "orthogonal"] | None = None
    std: Positive | None = None
    seed: Seed | None = None

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: object) -> object:
        if value == "copy":
            return {}
        if value == "random":
            return {"distribution": "normal"}
        if isinstance(value, str):
            raise PydanticCustomError(
                "literal_error", "expected copy or random", {"expected": "copy, random"}
            )
        return value

    @property
    def is_drawn(self) -> bool:
        return (self.distribution, self.std, self.seed) != (None, None, None)


class Rung(Section):
    """One trained model of the ladder.

    Attributes:
        taught_by: the model it is distilled from, `teacher` or a rung.
        embedding_bits: `bits` unless said.
        granularity: what shares a scale: a row, a matrix, or `group_size` neighbours within a row.
        weight_quantizer: by name (`pipeline.quantizers`); the width's own unless said.
        hidden_act: what stands between the two feed-forward products; the teacher's unless said.
        phases: trainings one after the other, each with a loss of its own; replaces `distillation`.
        width: share of the teacher's heads and feed-forward neurons, the most important ones.
        split: every matrix is a sum of two binary ones, at first those of a ternary parent.
        init: where each part's first weights come from, by selector (`pipeline.parts`); else from the parent.
    """

    bits: Bits
    init_from: str
    taught_by: str
    data: DataKind
    embedding_bits: Bits | None = None
    granularity: Literal["row", "matrix", "group"] = "row"
    group_size: Count | None = None
    weight_quantizer: str | None = None
    hidden_act: Literal["gelu", "relu"] | None = None
    width: Annotated[float, Field(gt=0, le=1)] = 1.0
    split: bool = False
    init: dict[str, Origin] = {}
    learning_rate: LearningRate | None = None
    duration: Duration | None = None
    distillation: Distillation | None = None
    phases: list[Phase] = []

    @property
    def activation_bits_or_32(self) -> int:
        return 32


class ActivationRung(Rung):
    """A rung whose activations are quantized too.

    Attributes:
        activation_quantizer: by name (`pipeline.quantizers`); the width's own unless said.
        attention: softmax, or BiBERT's Bi-Attention: each score is attended to or not, by its sign.
    """

    activation_bits: ActivationBits
    activation_quantizer: str | None = None
    attention: Literal["softmax", "bi"] = "softmax"

    @property
    def activation_bits_or_32(self) -> int:
        return self.activation_bits


class Evaluation(Section):
    """How checkpoints are chosen.

    Attributes:
        selection: on rows held out of train, or, as the peers do, on the validation split that is reported.
    """

    selection: Literal["held_out", "validation"]


class Claim(Section):
    """Two delivered rungs, one of which should win; what that would show is in `pipeline.claim_kinds`."""

    claim: str
    better: str
    worse: str


class Params(Section):
    """The whole of params.yaml.

    Attributes:
        seed: of the models in `models/` and `packed/`.
        seeds: of all trainings that results are averaged over; `seed` is among them.
    """

    seed: Seed
    seeds: Annotated[list[Seed], Field(min_length=1)]
    evaluation: Evaluation
    task: Task
    data: Data
    model: Model
    budget: Budget
    training: Training
    distillation: Distillation
    augmentation: Augmentation
    weights: dict[str, Rung]
    weights_activations: dict[str, ActivationRung]
    deliver: list[str]
    claims: list[Claim]

    @property
    def rungs(self) -> dict[str, Rung]:
        """Every rung of both stages by name, in the order written."""
        return {**self.weights, **self.weights_activations}

    def stage_of(self, name: str) -> Literal["weights", "weights_activations"]:
        """The stage that trains a rung. Raises KeyError where no rung has this name."""
        return "weights_activations" if isinstance(self.rungs[name], ActivationRung) else "weights"

    def optimization_of(self, rung: Rung) -> Optimization:
        """How a rung is optimized; 1-bit activations have a section of their own."""
        one_bit = rung.activation_bits_or_32 == 1
        return self.training.binary_activations if one_bit else self.training.rung

    def duration_of(self, rung: Rung) -> Duration:
        """How long a rung is trained: what it says itself, else what the budget says; in steps or epochs."""
        own = self._written_duration(rung)
        if own.equal_to is None:
            return own
        ladder = {name: self._length(each) for name, each in self.rungs.items()}
        return Duration(steps=total_steps(own.equal_to, ladder) - total_steps(rung.init_from, ladder))

    def _written_duration(self, rung: Rung) -> Duration:
        one_bit = rung.activation_bits_or_32 == 1
        return rung.duration or (self.budget.binary_activations if one_bit else self.budget.rung)

    def _length(self, rung: Rung) -> Length:
        own = self._written_duration(rung)
        return Length(rung.init_from, own.steps, own.equal_to)


class ParamsError(ValueError):
    """params.yaml cannot be used; `problems` holds every reason, one line each, and `str()` all of them."""

    exit_code = 2

    def __init__(self, problems: Sequence[str], source: str = "params.yaml") -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join((f"{source}: {count}", *(f"  {problem}" for problem in self.problems))))


def load(path: Path) -> Params:
    """Read and check params.yaml: the one entry for every stage and every command.

    Raises:
        ParamsError: with every problem found, in fields, between fields and in the ladder.
    """
    try:
        values = read_mapping(path)
    except UnreadableError as error:
        raise ParamsError([str(error)], str(path)) from None
    problems = _problems(values)
    if problems:
        raise ParamsError([str(problem) for problem in problems], str(path))
    return Params.model_validate(values)


def _problems(values: dict[object, object]) -> list[Problem]:
    """What contradicts others is said only of fields that are right by themselves."""
    lookup = Values(values)
    fields = field_problems(Params, values)
    wrong = {problem.field for problem in fields}
    of_rungs = [*ladder_problems(lookup), *initialization_problems(lookup), *width_problems(lookup)]
    between = [*contradictions(lookup), *duration_problems(lookup), *seed_problems(lookup)]
    of_rungs += distillation_problems(lookup)
    between += [*of_rungs, *quantizer_problems(lookup), *activation_problems(lookup), *claim_problems(lookup)]
    return fields + [problem for problem in between if problem.field not in wrong]
