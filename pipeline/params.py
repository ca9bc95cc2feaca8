"""The whole of params.yaml as frozen objects, every field of its own type; nothing here imports torch.

`pipeline.params_file` reads the file and refuses what is wrong in it, `pipeline.rungs` has the rungs.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.durations import Length, equal
from pipeline.rungs import (
    ActivationRung,
    Count,
    Decay,
    Distillation,
    Duration,
    GeneralRung,
    LearningRate,
    Positive,
    Rung,
    Section,
    Seed,
    Weight,
    wrong,
)

Share = Annotated[float, Field(ge=0, lt=1)]
Even = Annotated[int, Field(gt=0, lt=2**31, multiple_of=2)]  # rows of the demo come in twins
Copies = Annotated[int, Field(ge=0, le=1000)]
Metric = Literal[
    "accuracy",
    "f1",
    "matthews_correlation",
    "pearson",
    "spearman",
    "exact_match",
    "micro_f1",
    "macro_f1",
    "entity_f1",
    "entity_precision",
    "entity_recall",
    "average_precision",
    "ndcg_at_10",
    "mrr_at_10",
    "recall_at_1",
    "recall_at_10",
]
KindName = Literal[
    "classification",
    "multi_label",
    "regression",
    "question_answering",
    "token_classification",
    "reranking",
    "embeddings",
]


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


def _ends(value: object) -> object:
    """Two numbers in order."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise wrong("expected the least and the greatest label, e.g. [0, 5]")
    if (
        any(isinstance(one, bool) or not isinstance(one, int | float) for one in value)
        or value[0] >= value[1]
    ):
        raise wrong(f"{list(value)}: expected two numbers, the smaller one first, e.g. [0, 5]")
    return float(value[0]), float(value[1])


class JudgedBy(Section):
    """A set that a sentence encoder is judged by: a file of two texts a row, or held-out texts of its own.

    Attributes:
        name: of the validation split that it becomes.
        file: CSV, TSV, JSON lines or Parquet, from `data.root` on where that is given, else from the project.
        columns: of the two texts; of retrieval the query, and the text that it should find.
        score: a column of numbers, how alike they are.
        label: a column of 1 (alike) and 0. With neither each query is looked for among all second texts.
        held_out: in place of a file, the share of the texts of `data.corpus` with several sentences that is
            not learned from: the longest sentence of each is to find the others.
    """

    name: str
    file: str | None = None
    columns: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    score: str | None = None
    label: str | None = None
    held_out: Annotated[float, Field(gt=0, lt=0.5)] | None = None


class Task(Section):
    """One task: which columns are text, what the labels are called, which official metrics it has.

    Attributes:
        kind: what is asked of a text; `pipeline.kinds` has each.
        range: of a regression or reranking, the least and the greatest label that there may be.
        judged_by: of embeddings, the sets that are its validation splits, in their order.
    """

    name: str
    kind: KindName
    sentence_columns: Annotated[list[str], Field(min_length=1, max_length=2)]
    label_names: list[str]
    metrics: Annotated[list[Metric], Field(min_length=1)]
    validation_splits: Annotated[list[str], Field(min_length=1)]
    max_length: Count
    selection_fraction: Annotated[float, Field(gt=0, lt=0.5)]
    generator: Generator | None = None
    answering: Answering | None = None
    range: Annotated[tuple[float, float], BeforeValidator(_ends)] | None = None
    judged_by: list[JudgedBy] | None = None

    @property
    def num_labels(self) -> int:
        """Outputs of the head, of a text or pair or of each token: a label's, a number, start and end; none
        where there is no head.
        """
        if self.judged_by is not None:
            return 0
        return len(self.label_names) or (1 if self.answering is None else 2)


class CorpusFile(Section):
    """Plain text: a text file with a sentence or paragraph a line, or a table.

    Attributes:
        file: its path, from `data.root` on where that is given, else from the project.
        columns: of CSV, TSV, JSON lines and Parquet, those that hold text; of Parquet with one text column
            they may be left out.
    """

    file: str
    columns: list[str] = Field(default_factory=list)


def _listed(value: object) -> object:
    """One file may be written without a list, and a file without columns as its path."""
    files = value if isinstance(value, list) else [value]
    return None if value is None else [{"file": one} if isinstance(one, str) else one for one in files]


NO_FILE = "conf/no_file"  # for a file that is not given: DVC watches all of them, and has no empty path


class Files(Section):
    """A person's own files, and which of their columns are what.

    Attributes:
        train, validation, test: CSV, TSV, JSON lines or Parquet, by their endings; else NO_FILE.
        text, text_pair, label: names of columns.
        group: of the column that says which rows belong together, such as those of one author: they come to
            stand in the same split.
        validation_fraction: of the rows of train, drawn where there is no validation file.
    """

    train: str = NO_FILE
    validation: str = NO_FILE
    test: str = NO_FILE
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    group: str | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.2

    @property
    def by_split(self) -> dict[str, str]:
        """The files that are given."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {split: file for split, file in splits.items() if file != NO_FILE}


class Data(Section):
    """Where the rows come from. `root` is used by `path` and `corpus`, `repository` and `revision` by `hub`,
    `files` by `files`. `corpus` has no rows with labels: its text is what embeddings learn from.

    `max_train_rows` and `max_validation_rows` (of each validation split) draw a part, which results name.
    `corpus` is the text that general rungs and embeddings learn from, and `pieces` how general rungs have it
    cut: `some_sentences`, as many neighbours as are drawn; `sentences`, each by itself, and some whole texts,
    as embeddings always have it.
    """

    source: Literal["demo", "path", "hub", "files", "corpus"]
    root: str | None = None
    repository: str | None = None
    revision: str | None = None
    files: Files = Files()
    max_train_rows: Count | None = None
    max_validation_rows: Count | None = None
    corpus: Annotated[list[CorpusFile], BeforeValidator(_listed), Field(min_length=1)] | None = None
    pieces: Literal["some_sentences", "sentences"] = "some_sentences"

    def path_of(self, file: str) -> Path:
        """Where a file of `corpus` or of `task.judged_by` lies: from `root` on where that is given."""
        return Path(self.root or ".") / Path(file).expanduser()


NUM_WATCHED = 8  # files of each list; dvc.yaml names every place


class Watched(Section):
    """The paths of `data.corpus` and `task.judged_by`, which DVC watches; NO_FILE in the places left over.
    conf/ fills them in."""

    corpus: list[str] = [NO_FILE] * NUM_WATCHED
    judged_by: list[str] = [NO_FILE] * NUM_WATCHED

    @staticmethod
    def wanted(data: Data, task: Task) -> "Watched":
        """As it has to be. Files that find no place are left out."""
        named = {"corpus": data.corpus, "judged_by": task.judged_by}
        found = {
            name: [str(data.path_of(one.file)) for one in files or () if one.file]
            for name, files in named.items()
        }
        return Watched(**{name: (own + [NO_FILE] * NUM_WATCHED)[:NUM_WATCHED] for name, own in found.items()})


class Architecture(Section):
    """The shape of a BERT that the graph pre-trains itself."""

    hidden_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    intermediate_size: Count
    max_position_embeddings: Count
    initializer_range: Positive


class Model(Section):
    """Where the pre-trained BERT comes from; `location` is a package, a Hub repository or a folder.

    Of `teacher` it is the encoder of the given one (`Teacher`), and has no location of its own. `watched`: as
    the teacher's.
    """

    name: str
    source: Literal["demo", "package", "path", "hub", "teacher"]
    location: str | None = None
    revision: str | None = None
    architecture: Architecture | None = None
    watched: str = NO_FILE


class Teacher(Section):
    """Where the fine-tuned model comes from that every ladder starts from.

    Attributes:
        source: `trained`, here, from the pre-trained BERT; or taken as it is from a folder or from the Hub.
        location: the folder, or the repository.
        revision: of the Hub, a commit.
        watched: the folder, which DVC watches; else NO_FILE. conf/ fills it in.
    """

    source: Literal["trained", "path", "hub"] = "trained"
    location: str | None = None
    revision: str | None = None
    watched: str = NO_FILE

    @property
    def is_given(self) -> bool:
        """Whether somebody else has fine-tuned it."""
        return self.source != "trained"

    @property
    def origin(self) -> str:
        """Where it comes from, for a reader."""
        return f"{self.source}: {self.location}"


class Budget(Section):
    """How long each kind of model is trained."""

    name: str
    pretraining: Duration
    teacher: Duration
    rung: Duration
    binary_activations: Duration
    evaluations: Count


class Optimization(Section):
    """AdamW; the learning rate rises linearly and falls to zero.

    Attributes:
        decay: how it falls: in a line, or as half a cosine.
        first_beta: of Adam's mean of gradients.
    """

    batch_size: Count
    learning_rate: LearningRate
    warmup_fraction: Share
    decay: Decay = "linear"
    first_beta: Share = 0.9
    weight_decay: Weight
    max_grad_norm: Positive
    dropout: Share


class Training(Section):
    """Optimization of each kind of model; a rung may override its own learning rate, decay and duration.

    Attributes:
        processes: how many processes share each batch, one per device; more than one run under torchrun.
        gradients: precision of the products of the backward pass, the teacher's own too, and of the frozen
            teacher's forward pass. Pre-training is in float32.
        bucket_batches: batches in a window within which rows of like length meet; 1 mixes all lengths.
        checkpoint_every: steps between two states that a killed training can be continued from.
    """

    processes: Annotated[int, Field(gt=0, le=1024)]
    gradients: Literal["float32", "bfloat16"]
    bucket_batches: Count
    checkpoint_every: Count

    pretraining: Optimization
    teacher: Optimization
    general: Optimization
    rung: Optimization
    binary_activations: Optimization


class Augmentation(Section):
    """Rows made per training row by each nlpaug method, and the share of words each one touches."""

    contextual: Copies
    embedding: Copies
    swap: Copies
    delete: Copies
    spelling: Copies
    word_fraction: Annotated[float, Field(gt=0, le=1)]
    max_rows: Count | None = None


class Evaluation(Section):
    """How checkpoints are chosen.

    Attributes:
        selection: on rows held out of train, or, as the peers do, on the validation split that is reported.
    """

    selection: Literal["held_out", "validation"]


class Claim(Section):
    """Two delivered rungs, one of which should win; what that would show is in `pipeline.ladder.claims`."""

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
    teacher: Teacher = Teacher()
    budget: Budget
    training: Training
    distillation: Distillation
    augmentation: Augmentation
    general: dict[str, GeneralRung]
    weights: dict[str, Rung]
    weights_activations: dict[str, ActivationRung]
    deliver: list[str]
    claims: list[Claim]
    watched: Watched = Watched()

    @property
    def rungs(self) -> dict[str, Rung]:
        """Every rung of all stages by name, in the order written."""
        return {**self.general, **self.weights, **self.weights_activations}

    def optimization_of(self, rung: Rung) -> Optimization:
        """How a rung is optimized: its section of `training`, but for what it says itself."""
        section: Optimization = getattr(self.training, rung.optimized_as)
        own = section.model_copy(update=rung.own_optimization)
        return own.model_copy(update={"learning_rate": rung.learning_rate_factor * own.learning_rate})

    def duration_of(self, rung: Rung) -> Duration:
        """How long a rung is trained, in steps or epochs: what it says itself, else what the budget says.

        Raises:
            UnequalError: it follows another rung (`equal_to`), and there is no such length.
        """
        own = self._written_duration(rung)
        return own if own.equal_to is None else equal(own.equal_to, rung.init_from, self.lengths)

    @property
    def lengths(self) -> dict[str, Length | None]:
        """How long each rung trains on the task, as written, by name; None for those of no task."""
        return dict.fromkeys(self.general) | {
            name: Length(rung.init_from, self._written_duration(rung), self.optimization_of(rung).batch_size)
            for name, rung in (self.weights | self.weights_activations).items()
        }

    def _written_duration(self, rung: Rung) -> Duration:
        if rung.duration is not None:
            return rung.duration
        usual: Duration = getattr(self.budget, rung.optimized_as)  # general ones always say it themselves
        return usual
