"""params.yaml as frozen, validated objects. Every error at once, each with the field, the value and what would do.

Read with the parser DVC itself uses (YAML 1.2), so that `1e-5` means the same to both. Nothing here imports torch:
a wrong file is refused in a blink.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Bits = Literal[1, 2, 4, 8]
ActivationBits = Literal[1, 4, 8]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Metric = Literal["accuracy", "f1", "matthews_correlation", "pearson", "spearman"]
DataKind = Literal["plain", "augmented"]
Origin = Literal["copy", "random"]


class Section(BaseModel):
    """A mapping of params.yaml: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Generator(Section):
    """Sizes of the demo's generated task and corpus, in sentences."""

    train_rows: Count
    validation_rows: Count
    corpus_rows: Count


class Task(Section):
    """One task: which columns are text, what the labels are called, which official metrics it has."""

    name: str
    kind: Literal["classification", "regression"]
    sentence_columns: Annotated[list[str], Field(min_length=1, max_length=2)]
    label_names: list[str]
    metrics: Annotated[list[Metric], Field(min_length=1)]
    validation_splits: Annotated[list[str], Field(min_length=1)]
    max_length: Count
    selection_fraction: Annotated[float, Field(gt=0, lt=0.5)]
    generator: Generator | None = None

    @property
    def num_labels(self) -> int:
        return 1 if self.kind == "regression" else len(self.label_names)


class Data(Section):
    """Where the rows come from. `root` is used by `path`, `repository` and `revision` by `hub`."""

    source: Literal["demo", "path", "hub"]
    root: str | None = None
    repository: str | None = None
    revision: str | None = None
    max_train_rows: Count | None = None


class Architecture(Section):
    """The shape of a BERT that the graph pre-trains itself."""

    hidden_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    intermediate_size: Count
    max_position_embeddings: Count
    vocab_size: Count


class Model(Section):
    """Where the pre-trained BERT comes from; `location` is a package, a Hub repository or a folder."""

    name: str
    source: Literal["demo", "package", "path", "hub"]
    location: str | None = None
    revision: str | None = None
    architecture: Architecture | None = None


class Duration(Section):
    """How long to train: exactly one of `steps` and `epochs`."""

    steps: Count | None = None
    epochs: Positive | None = None


class Budget(Section):
    """How long each kind of model is trained."""

    name: str
    pretraining: Duration
    teacher: Duration
    rung: Duration
    evaluations: Count


class Optimization(Section):
    """AdamW with linear warm-up and linear decay to zero."""

    batch_size: Count
    learning_rate: Positive
    warmup_fraction: Fraction
    weight_decay: Weight
    max_grad_norm: Positive
    dropout: Fraction


class Training(Section):
    """Optimization of each kind of model; a rung may override its own learning rate and duration."""

    pretraining: Optimization
    teacher: Optimization
    rung: Optimization


class Distillation(Section):
    """Weights of the loss terms between student and teacher; 0 leaves a term out."""

    logits: Weight
    hidden_states: Weight
    attention_scores: Weight
    labels: Weight


class Augmentation(Section):
    """Rows made per training row by each nlpaug method, and the share of words each one touches."""

    contextual: Annotated[int, Field(ge=0)]
    embedding: Annotated[int, Field(ge=0)]
    swap: Annotated[int, Field(ge=0)]
    delete: Annotated[int, Field(ge=0)]
    spelling: Annotated[int, Field(ge=0)]
    word_fraction: Annotated[float, Field(gt=0, le=1)]
    max_rows: Count | None = None


class Init(Section):
    """Per part: `copy` from the parent, or `random` (BERT's own initialization, N(0, 0.02))."""

    embeddings: Origin = "copy"
    encoder: Origin = "copy"
    pooler: Origin = "copy"
    head: Origin = "copy"


class Rung(Section):
    """One trained model of the ladder. `embedding_bits` is `bits` unless said."""

    bits: Bits
    init_from: str
    data: DataKind
    embedding_bits: Bits | None = None
    granularity: Literal["row", "matrix"] = "row"
    init: Init = Init()
    learning_rate: Positive | None = None
    duration: Duration | None = None
    distillation: Distillation | None = None

    @property
    def activation_bits_or_32(self) -> int:
        return 32


class ActivationRung(Rung):
    """A rung whose activations are quantized too."""

    activation_bits: ActivationBits

    @property
    def activation_bits_or_32(self) -> int:
        return self.activation_bits


class Params(Section):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
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

    @property
    def rungs(self) -> dict[str, Rung]:
        """Every rung of both stages by name, in the order written."""
        return {**self.weights, **self.weights_activations}


def load(path: Path) -> Params:
    """Read and check params.yaml. Raises ParamsError with every problem found."""
    raise NotImplementedError
