"""Rungs as params.yaml has them, and what one may say for itself: first weights, duration, loss, phases.

Also what every mapping of params.yaml is (`Section`), and the kinds of values in them.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from bitladder.quantizers.precision import FULL, Precision

TEACHER: Final = "teacher"  # the fine-tuned model that every ladder starts from
PRETRAINED: Final = "pretrained"  # and what that was fine-tuned from
ROOTS = (
    TEACHER,
    PRETRAINED,
)  # what a ladder starts from: a task's rungs from the first, general ones from the second

ROW_SCALE_BITS: Final = 8  # of a rung that says nothing of them

ROUND, RECONSTRUCT = "round", "reconstruct"  # `init.method`
RECONSTRUCTION_STEPS = 200

Stage = Literal["general", "weights", "weights_activations"]


def _exactly_whole(value: object) -> object:
    """Literal[1] alone would take `true` and `1.0`, which equal 1, for 1."""
    if type(value) is not int:
        raise PydanticCustomError("int_type", "expected a whole number")
    return value


Bits = Annotated[Literal[1, 2, 4, 8], BeforeValidator(_exactly_whole)]
ScaleBits = Annotated[Literal[8, 16], BeforeValidator(_exactly_whole)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Count = Annotated[int, Field(gt=0, lt=2**31)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Decay = Literal["linear", "cosine"]
OPTIMIZATION = ("learning_rate", "decay")
DataKind = Literal["plain", "augmented"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A mapping of params.yaml: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def wrong(sentence: str) -> PydanticCustomError:
    """For a validator to raise: the sentence stands in the refusal as it is."""
    return PydanticCustomError("wrong", "{sentence}", {"sentence": sentence})


class Duration(Section):
    """How long to train: exactly one of the three.

    Attributes:
        equal_to: a rung; the training ends when this one has had as much of it as that one, both counted from
            the teacher (`pipeline.durations`). For a rung's own duration only.
    """

    steps: Count | None = None
    epochs: Positive | None = None
    equal_to: str | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            raise wrong(f"give exactly one of steps, epochs, equal_to; given: {', '.join(given) or 'none'}")
        return self

    def count_steps(self, *, num_rows: int, batch_size: int) -> int:
        """How many steps that is. `num_rows`: of one epoch; any where the duration is given in steps."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * math.ceil(num_rows / batch_size)))


class Distillation(Section):
    """Weights of the loss terms between student and teacher; 0 leaves a term out.

    Attributes:
        directions: of the similarities of queries, keys and values within a sequence (BiBERT).
        sentence_vectors: of the angle between both models' mean hidden state of a sequence, last layer.
        similarities: of the angles between those vectors of all sequences of a batch.
        labels: of the loss against the labels, without a teacher.
        temperature: both logits are divided by it before their softmax. Beyond these bounds padding would be
            among the answers to a question.
    """

    logits: Weight
    hidden_states: Weight
    attention_scores: Weight
    labels: Weight
    directions: Weight = 0.0
    sentence_vectors: Weight = 0.0
    similarities: Weight = 0.0
    temperature: Annotated[float, Field(ge=0.01, le=100)] = 1.0


class Phase(Section):
    """A part of a rung's training with a loss of its own; the next one starts from its best weights.

    Attributes:
        share: of the rung's steps.
        learning_rate_factor: times the rung's learning rate.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    distillation: Distillation
    learning_rate_factor: Positive = 1.0


class Origin(Section):
    """Where a part's first weights come from: copied, unless a field of the second kind says they are drawn.

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

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        drawn = [name for name, value in self if name != "copy_from" and value is not None]
        if self.copy_from and drawn:
            raise wrong(
                f"copy_from copies weights, and {', '.join(drawn)} is for drawn ones; write one of them"
            )
        return self

    @property
    def is_drawn(self) -> bool:
        return (self.distribution, self.std, self.seed) != (None, None, None)


def _spelled_out(value: object) -> object:
    """`copy` is short for the parent's weights, `random` for BERT's own initialization."""
    if value == "copy":
        return {}
    if value == "random":
        return {"distribution": "normal"}
    if isinstance(value, str):
        raise PydanticCustomError("literal_error", "expected copy or random", {"expected": "copy, random"})
    if value == {}:
        raise wrong(f"empty; write copy, random, or some of {', '.join(Origin.model_fields)}")
    return value


class Rung(Section):
    """One trained model of the ladder.

    Attributes:
        taught_by: the model it is distilled from, `teacher` or a rung.
        embedding_bits: `bits` unless said.
        granularity: what shares a scale: a row, a matrix, or `group_size` neighbours within a row.
        scale_bits: of a stored scale: 8 unless said where granularity is row; else 16, half precision.
        weight_quantizer: by name (`bitladder.quantizers`); the width's own unless said.
        hidden_act: what stands between the two feed-forward products; the teacher's unless said.
        phases: trainings one after the other, each with a loss of its own; replaces `distillation`.
        learning_rate, decay: instead of those of its section of `training`.
        learning_rate_factor: times its learning rate, so that a ladder can say it for every model.
        width: share of the teacher's heads and feed-forward neurons, the most important ones.
        split: every matrix is a sum of two binary ones, at first those of a ternary parent.
        init: where each part's first weights come from, by selector (`pipeline.parts`); else from the parent.
        gradual: share of the steps over which weights and activations become quantized, little by little; 0:
            they are from the first step on.
        reconstruct: steps of each block before the first of the whole model (`training.reconstruct`);
            written `init: {method: reconstruct, steps: 200}`. None: latent weights are rounded as they are.
    """

    bits: Bits
    init_from: str
    taught_by: str
    data: DataKind
    embedding_bits: Bits | None = None
    granularity: Literal["row", "matrix", "group"] = "row"
    group_size: Count | None = None
    scale_bits: ScaleBits | None = None
    weight_quantizer: str | None = None
    hidden_act: Literal["gelu", "relu"] | None = None
    width: Annotated[float, Field(gt=0, le=1)] = 1.0
    split: bool = False
    init: dict[str, Annotated[Origin, BeforeValidator(_spelled_out)]] = Field(default_factory=dict)
    learning_rate: LearningRate | None = None
    learning_rate_factor: Positive = 1.0
    decay: Decay | None = None
    duration: Duration | None = None
    distillation: Distillation | None = None
    phases: list[Phase] = Field(default_factory=list)
    gradual: Annotated[float, Field(ge=0, le=1)] = 0.0
    reconstruct: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _method_apart(cls, values: object) -> object:
        """`init: {method: reconstruct, steps: 200}` says how parts begin, beside where they come from."""
        if not isinstance(values, dict) or not isinstance(init := values.get("init"), dict):
            return values
        parts = dict(init)
        method, steps = parts.pop("method", ROUND), parts.pop("steps", None)
        if method not in (ROUND, RECONSTRUCT):
            raise wrong(f"init.method: {method!r} is not allowed; allowed: {ROUND}, {RECONSTRUCT}")
        if steps is not None and method == ROUND:
            raise wrong(f"init.steps: {steps!r} without method: {RECONSTRUCT}; rounding takes none")
        told = (
            {"reconstruct": RECONSTRUCTION_STEPS if steps is None else steps} if method == RECONSTRUCT else {}
        )
        return {**told, **values, "init": parts}

    @property
    def own_optimization(self) -> dict[str, Any]:
        """What it says of its optimization itself."""
        return {name: value for name in OPTIMIZATION if (value := getattr(self, name)) is not None}

    @property
    def optimized_as(self) -> Literal["general", "binary_activations", "rung"]:
        """The section of `training` that says the rest."""
        if self.stage == "general":
            return "general"
        return "binary_activations" if self.activations == 1 else "rung"

    @property
    def drawn(self) -> tuple[str, ...]:
        """Selectors of the parts that are drawn at random instead of copied from the parent."""
        return tuple(selector for selector, origin in self.init.items() if origin.is_drawn)

    @property
    def stage(self) -> Stage:
        """The section of params.yaml that it is in, and the stage of dvc.yaml that trains it."""
        return "weights"

    @property
    def embeddings(self) -> Bits:
        """Bits of the word, position and segment tables."""
        return self.embedding_bits or self.bits

    @property
    def bits_of_scales(self) -> ScaleBits:
        """Of a stored scale; what matrices or groups share is in half precision."""
        return self.scale_bits or (ROW_SCALE_BITS if self.granularity == "row" else 16)

    @property
    def activations(self) -> int:
        """Bits of what matrices read; FULL where they are untouched."""
        return FULL

    @property
    def second_activations(self) -> int:
        """Bits of what the second matrix of each feed-forward reads."""
        return self.activations

    @property
    def precision(self) -> Precision:
        """Its bits and quantizers. Raises ValueError where they contradict each other."""
        return Precision(
            self.bits,
            self.embeddings,
            FULL,
            granularity=self.granularity,
            split=self.split,
            group_size=self.group_size,
            weight_quantizer=self.weight_quantizer,
            scale_bits=self.bits_of_scales,
        )


class ActivationRung(Rung):
    """A rung whose activations are quantized too.

    Attributes:
        feed_forward_activation_bits: of what the second matrix of each feed-forward reads; `activation_bits`
            unless said. Binary values there cost the most.
        activation_quantizer: by name (`bitladder.quantizers`); the width's own unless said.
        attention: softmax, or BiBERT's Bi-Attention: each score is attended to or not, by its sign.
    """

    activation_bits: Bits
    feed_forward_activation_bits: Bits | None = None
    activation_quantizer: str | None = None
    attention: Literal["softmax", "bi"] = "softmax"

    @property
    def stage(self) -> Stage:
        return "weights_activations"

    @property
    def activations(self) -> int:
        return self.activation_bits

    @property
    def second_activations(self) -> int:
        return self.feed_forward_activation_bits or self.activation_bits

    @property
    def precision(self) -> Precision:
        return replace(
            super().precision,
            activations=self.activation_bits,
            feed_forward_activations=self.feed_forward_activation_bits,
            activation_quantizer=self.activation_quantizer,
            attention=self.attention,
        )


class GeneralRung(ActivationRung):
    """A low-bit model of no task: the pre-trained BERT distilled on plain text, for rungs of any task to
    start from.

    Attributes:
        init_from: the pre-trained model, or another general rung.
        data: `data.corpus`; in the demo, the generated one.
        duration: in steps or epochs. No task's budget says how long.
    """

    taught_by: Literal["pretrained"] = PRETRAINED
    data: Literal["corpus"] = "corpus"  # type: ignore[assignment]
    duration: Duration
    distillation: Distillation = Distillation(
        logits=0.0, hidden_states=1.0, attention_scores=1.0, labels=0.0, sentence_vectors=1.0
    )

    @property
    def stage(self) -> Stage:
        return "general"


def climb(rungs: Mapping[str, Rung]) -> dict[str, Rung]:
    """The same rungs by name, each after its parent and its teacher, otherwise in the order written."""
    ordered: dict[str, Rung] = {}

    def add(name: str) -> None:
        if name in ROOTS or name in ordered:
            return
        add(rungs[name].init_from)
        add(rungs[name].taught_by)
        ordered[name] = rungs[name]

    for name in rungs:
        add(name)
    return ordered


def ancestry(rungs: Mapping[str, Rung], name: str) -> tuple[str, ...]:
    """The rung, its parent, and so on to a root: `("w2", "w4", "w8", "teacher")`.

    Raises:
        KeyError: a rung of the way is not there.
        ValueError: it does not lead to a root.
    """
    way = [name]
    while way[-1] not in ROOTS:
        way.append(rungs[way[-1]].init_from)
        if way[-1] in way[:-1]:
            raise ValueError(f"a circle: {', '.join(way)}")
    return tuple(way)
