"""What a packed folder holds, and how one is told from anything else. docs/file-format.md is the
specification.

config.json is read by an allow-list: a key that is not known is refused, so nothing can be switched on by a
file (`auto_map`, attention internals), and every size has an upper bound before a model is built from it.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bitladder import files, heads
from bitladder.heads import Head
from bitladder.modeling.share import num_kept
from bitladder.packed.codes import FIVE_TRITS
from bitladder.packed.tensors import FormatError, parse_json
from bitladder.quantizers.precision import FULL, Precision
from bitladder.text.entities import bad_tags

MODEL_TYPE = "bitladder-bert"
FORMAT = 2  # that is written; 1 has no scales of 8 bits, and is read too
WEIGHTS = files.WEIGHTS
CONFIG = files.CONFIG
CLASSIFIER, TAGGER, ANSWERER, ENCODER = (head.packed for head in heads.HEADS)
# Registered nowhere, so that only our model class, which replaces it, can be built from such a config.json.
ATTENTION = "bitladder-packed"
_MAX_CONFIG = 4_000_000  # bytes; 100 000 label names fit


def _size(largest: int) -> Any:
    return Field(gt=0, le=largest)


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class AnsweringFields(_Fields):
    """How a question-answering model reads and answers, in tokens; a threshold where it may not answer."""

    max_length: Annotated[int, _size(2**20)]
    doc_stride: Annotated[int, _size(2**20)]
    max_question_length: Annotated[int, _size(2**20)]
    max_answer_length: Annotated[int, _size(2**20)]
    unanswerable: bool
    no_answer_threshold: float | None

    @model_validator(mode="after")
    def _fits_together(self) -> "AnsweringFields":
        if self.unanswerable != (self.no_answer_threshold is not None):
            raise ValueError("no_answer_threshold: needed where unanswerable is true, and only there")
        if self.max_question_length + 3 + self.doc_stride >= self.max_length:
            raise ValueError(
                f"max_length {self.max_length} leaves no room for a context: it has to be more than "
                f"max_question_length {self.max_question_length} + doc_stride {self.doc_stride} + 3"
            )
        return self


class ReadingFields(_Fields):
    """What a model that answers no questions reads: how many texts at a time, in how many tokens of all."""

    texts: Literal[1, 2]
    max_length: Annotated[int, _size(2**20)]


class PackedConfig(_Fields):
    """config.json of a packed folder: every key that it may have; all are needed but the last eight.

    Attributes are named as the keys are, without `bitladder_`. Sizes are those of the whole model, also where
    this one has a share of its width.

    Attributes:
        precision: names no weight quantizer, for codes and scales say all of the weights.
        width: the share of heads and of `intermediate_size` that every layer has; None for all of them.
        trits_per_byte: 5 where codes of 2 bits are written five to a byte.
        pooler_act: the function behind the pooler where it is not tanh.
        answering: of question answering, and only there.
        named_kind: of task, where the head and the number of labels do not say it.
        thresholds: by label, of several labels at once: the probability from which on a text has it.
        reading: of all others; None in files from before it was written.
    """

    model_type: Literal["bitladder-bert"]
    format: Annotated[Literal[1, 2], Field(alias="bitladder_format")]
    precision: Annotated[Precision, Field(alias="bitladder_precision")]
    architectures: Annotated[
        list[
            Literal[
                "PackedBertForSequenceClassification",
                "PackedBertForTokenClassification",
                "PackedBertForQuestionAnswering",
                "PackedBertForSentenceEmbedding",
            ]
        ],
        Field(min_length=1, max_length=1),
    ]
    attn_implementation: Literal["bitladder-packed"]
    dtype: Literal["float32"]
    vocab_size: Annotated[int, _size(2**24)]
    hidden_size: Annotated[int, _size(2**16)]
    num_hidden_layers: Annotated[int, _size(512)]
    num_attention_heads: Annotated[int, _size(2**12)]
    intermediate_size: Annotated[int, _size(2**18)]
    max_position_embeddings: Annotated[int, _size(2**20)]
    type_vocab_size: Annotated[int, _size(2**12)]
    hidden_act: Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"]
    layer_norm_eps: Annotated[float, Field(gt=0, le=1)]
    id2label: Annotated[dict[str, str], Field(max_length=100_000)]
    label2id: dict[str, int]
    width: Annotated[float, Field(gt=0, lt=1)] | None = Field(None, alias="bitladder_width")
    trits_per_byte: Literal[5] | None = Field(None, alias="bitladder_trits_per_byte")
    pad_token_id: Annotated[int, Field(ge=0)] | None = None
    problem_type: (
        Literal["regression", "single_label_classification", "multi_label_classification"] | None
    ) = None
    pooler_act: Literal["relu", "gelu"] | None = Field(None, alias="bitladder_pooler_act")
    answering: AnsweringFields | None = Field(None, alias="bitladder_answering")
    named_kind: Literal["multi_label", "reranking", "token_classification", "embeddings"] | None = Field(
        None, alias="bitladder_kind"
    )
    thresholds: list[Annotated[float, Field(gt=0, lt=1)]] | None = Field(None, alias="bitladder_thresholds")
    reading: ReadingFields | None = Field(None, alias="bitladder_reading")

    @property
    def kind(self) -> str:
        """Of task: what the logits mean. A file from before `bitladder_kind` is told by its head."""
        if self.named_kind is not None:
            return self.named_kind
        if self.answering is not None:
            return "question_answering"
        return "regression" if len(self.id2label) == 1 else "classification"

    @property
    def head(self) -> Head:
        return heads.of(self.architectures)

    @property
    def num_texts(self) -> int | None:
        """How many texts it reads at a time: 1, 2, or None where the file does not say."""
        if self.answering is not None:
            return 2
        return None if self.reading is None else self.reading.texts

    @property
    def max_length(self) -> int:
        """Tokens that it was trained and scored on at most; where the file does not say, its positions."""
        said = self.answering or self.reading
        return said.max_length if said else self.max_position_embeddings

    @property
    def labels(self) -> list[str]:
        """Their names, in the order of the logits."""
        return [self.id2label[str(number)] for number in range(len(self.id2label))]

    @property
    def head_size(self) -> int:
        """Features of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def kept_heads(self) -> int:
        """Attention heads of a layer."""
        return num_kept(self.num_attention_heads, self.width or 1, "heads")

    @property
    def kept_neurons(self) -> int:
        """Feed-forward neurons of a layer."""
        return num_kept(self.intermediate_size, self.width or 1, "neurons")

    def stored_bits(self, bits: int) -> float:
        """What a code of so many bits takes in the file: ternary ones less where a byte holds five."""
        return FIVE_TRITS if bits == 2 and self.trits_per_byte == 5 else bits

    @property
    def metadata(self) -> dict[str, str]:
        """Of model.safetensors."""
        return {"format": "pt", "bitladder_format": str(self.format)}

    def as_dict(self) -> dict[str, Any]:
        """config.json, without the keys that do not apply."""
        values = {**self.model_dump(by_alias=True), "bitladder_precision": self.precision.as_dict()}
        return {key: value for key, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _fits_together(self) -> "PackedConfig":
        precision, group_size = self.precision, self.precision.group_size or 1
        if precision.weights == FULL or precision.weight_quantizer is not None:
            raise ValueError(
                "bitladder_precision: packed weights have 1, 2, 4 or 8 bits, and no weight_quantizer"
            )
        if precision.scale_bits == 8 and self.format == 1:
            raise ValueError("bitladder_precision: scale_bits 8 needs bitladder_format 2")
        heads = self.num_attention_heads
        if self.hidden_size % heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {heads}"
            )
        for inputs in (self.hidden_size, self.kept_heads * self.head_size, self.kept_neurons):
            if inputs % group_size:
                raise ValueError(f"group_size {group_size} does not divide {inputs} inputs")
        if precision.activation_quantizer == "sign" and self.hidden_act == "relu":
            raise ValueError(
                "activation_quantizer sign needs values below zero, and hidden_act relu gives none"
            )
        if self.trits_per_byte and 2 not in (precision.weights, precision.embeddings):
            raise ValueError("bitladder_trits_per_byte: only where weights or embeddings have 2 bits")
        if set(self.id2label) != {str(number) for number in range(len(self.id2label))}:
            raise ValueError("id2label: its keys have to be 0, 1, 2 and so on")
        if twice := [name for name, count in Counter(self.id2label.values()).items() if count > 1]:
            raise ValueError(f"id2label: {twice} is the name of two labels")
        self._check_answering()
        self._check_kind()
        return self

    def _check_answering(self) -> None:
        if (self.architectures == [ANSWERER]) != (self.answering is not None):
            raise ValueError(f"bitladder_answering: needed by {ANSWERER}, and only there")
        if self.answering is not None and self.reading is not None:
            raise ValueError("bitladder_reading: not of question answering; bitladder_answering says it")
        if self.max_length > self.max_position_embeddings:
            raise ValueError(f"max_length {self.max_length} is more than max_position_embeddings")
        if self.answering is None:
            return
        if self.id2label != {"0": "start", "1": "end"}:
            raise ValueError("id2label: of a question-answering model 0 is start and 1 is end")

    def _check_kind(self) -> None:
        kind, labels = self.named_kind, len(self.id2label)
        for needing, head in (("token_classification", heads.TOKENS), ("embeddings", heads.VECTOR)):
            if (kind == needing) != (self.head is head):
                raise ValueError(f"bitladder_kind: {needing} needs {head.packed}, and the other way round")
        if (labels == 0) != (kind == "embeddings"):
            raise ValueError("id2label: a sentence encoder has no labels, and every other model has some")
        if kind is not None and self.answering is not None:
            raise ValueError(f"bitladder_kind: {kind} does not answer questions")
        if kind == "token_classification" and (wrong := bad_tags(list(self.id2label.values()))):
            raise ValueError(f"id2label: {wrong}")
        if kind == "reranking" and labels != 1:
            raise ValueError(f"id2label: reranking has one label, not {labels}")
        if (kind == "multi_label") != (self.thresholds is not None):
            raise ValueError("bitladder_thresholds: needed where bitladder_kind is multi_label, only there")
        if self.thresholds is not None and len(self.thresholds) != labels:
            raise ValueError(f"bitladder_thresholds: {len(self.thresholds)} for {labels} labels")


def read_config(folder: Path) -> PackedConfig:
    """The checked config.json of a packed folder. Raises FormatError naming each key that is wrong."""
    path = folder / CONFIG
    if not path.is_file() or path.stat().st_size > _MAX_CONFIG:
        raise FormatError(f"{path}: missing, or larger than {_MAX_CONFIG} bytes")
    values = parse_json(path.read_bytes(), str(path))
    kind = values.get("model_type") if isinstance(values, dict) else None
    if kind not in (None, MODEL_TYPE):
        raise FormatError(
            f"{folder}: holds a trained model (model_type {kind!r:.40}), not a packed one; those are made "
            "of rungs, as packed/w1a8 is of models/w1a8"
        )
    return parse_config(values, source=str(path))


def parse_config(values: Any, *, source: str) -> PackedConfig:
    """The same of what config.json holds. Raises FormatError as `read_config`."""
    try:
        return PackedConfig.model_validate(values)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
        raise FormatError(f"{source}: {'; '.join(problems)}") from None
