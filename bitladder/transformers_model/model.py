"""A packed folder as a transformers model.

`bitladder.register()` makes transformers know these classes, so that `AutoModelForSequenceClassification`,
`AutoModelForTokenClassification` or `AutoModelForQuestionAnswering`, `.from_pretrained(DIR)`, and
`transformers.pipeline("text-classification", model=DIR)` (or "token-classification") load a packed folder
like any other. (transformers 5 has no pipeline for question answering.)

The folder has a model type of its own, `bitladder-bert`, and not a `quantization_config`: a transformers
that does not know our quantizer *skips* it with a warning and draws every weight at random, while one that
does not know our model type refuses the folder. Someone who asks for `BertForSequenceClassification` by
name is refused by the attention implementation that config.json names, which is registered nowhere.

Loading is strict: the manifest first, then config.json by an allow-list, then names, shapes and dtypes of
all tensors from the file's header, and only then are tensors read, from safetensors alone. All computing is
in float32: half precision is how side parameters are stored, not how they are used.

On a CPU that has kernels for it they answer in place of the torch layers, whoever calls the model;
by_kernels.py says when they do not. Its parameters want no gradients, so that a call without
`torch.no_grad()` is answered so too; who wants some says `model.requires_grad_()`. `model.by_kernels =
False` leaves everything to torch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertTokenizer,
)
from transformers.loss.loss_utils import ForSequenceClassificationLoss
from transformers.modeling_outputs import (
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.models.bert.modeling_bert import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from transformers.utils import logging
from transformers.utils.generic import can_return_tuple

from bitladder.modeling.sentence_bert import BertForSentenceEmbedding
from bitladder.packed import format
from bitladder.transformers_model.base import BitladderBertConfig, PackedBert


class PackedBertForSequenceClassification(PackedBert, BertForSequenceClassification):
    """One label or several, a number, or a rank: all that a head on the first token says."""

    architecture = format.CLASSIFIER

    @can_return_tuple  # type: ignore[untyped-decorator]  # transformers' own
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **options: Any,
    ) -> Any:
        """As transformers' own."""
        given = (input_ids, attention_mask, token_type_ids)
        others = {"position_ids": position_ids, "inputs_embeds": inputs_embeds, **options}

        def output(logits_BL: Any) -> SequenceClassifierOutput:
            loss: Any = (
                None if labels is None else ForSequenceClassificationLoss(labels, logits_BL, self.config)
            )
            return SequenceClassifierOutput(loss=loss, logits=logits_BL)

        return self._answered(given, others, partial(super().forward, labels=labels), output)


class PackedBertForTokenClassification(PackedBert, BertForTokenClassification):
    """Logits of each token's tag; `bitladder.text.entities` makes entities of tags.

    Of padding they are -1e4 where the kernels answer; transformers leaves there what it happens to compute.
    """

    architecture = format.TAGGER

    @can_return_tuple  # type: ignore[untyped-decorator]  # transformers' own
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **options: Any,
    ) -> Any:
        """As transformers' own."""
        given = (input_ids, attention_mask, token_type_ids)
        others = {"position_ids": position_ids, "inputs_embeds": inputs_embeds, "labels": labels, **options}

        def output(logits_BLS: Any) -> TokenClassifierOutput:
            return TokenClassifierOutput(logits=logits_BLS.transpose(1, 2).contiguous())

        return self._answered(given, others, super().forward, output)


class PackedBertForQuestionAnswering(PackedBert, BertForQuestionAnswering):
    """Logits of the answer's first token and of its last; `bitladder.text.spans` makes answers of them.

    Of padding they are -1e4 where the kernels answer; transformers leaves there what it happens to compute.
    """

    architecture = format.ANSWERER

    @can_return_tuple  # type: ignore[untyped-decorator]  # transformers' own
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **options: Any,
    ) -> Any:
        """As transformers' own."""
        given = (input_ids, attention_mask, token_type_ids)
        # What a loss is taken of includes the logits of padding, and those are torch's to give.
        places = {"start_positions": start_positions, "end_positions": end_positions}
        others = {"position_ids": position_ids, "inputs_embeds": inputs_embeds, **places, **options}

        def output(logits_B2S: Any) -> QuestionAnsweringModelOutput:
            start_BS, end_BS = (one.contiguous() for one in logits_B2S.unbind(dim=1))
            return QuestionAnsweringModelOutput(start_logits=start_BS, end_logits=end_BS)

        return self._answered(given, others, super().forward, output)


class PackedBertForSentenceEmbedding(PackedBert, BertForSentenceEmbedding):
    """A vector of length 1 for each text, as `logits`."""

    architecture = format.ENCODER

    @can_return_tuple  # type: ignore[untyped-decorator]  # transformers' own
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **options: Any,
    ) -> Any:
        """As `BertForSentenceEmbedding`."""
        given = (input_ids, attention_mask, token_type_ids)

        def output(vectors_BE: Any) -> SequenceClassifierOutput:
            return SequenceClassifierOutput(logits=vectors_BE)

        return self._answered(given, options, super().forward, output)


_CLASSES: dict[str, type[PackedBert]] = {
    own.architecture: own
    for own in (
        PackedBertForSequenceClassification,
        PackedBertForTokenClassification,
        PackedBertForQuestionAnswering,
        PackedBertForSentenceEmbedding,
    )
}


def load(folder: Path | str) -> PackedBert:
    """The packed model of a published folder, in eval mode. Raises as `from_pretrained` does."""
    kind = _class_of(Path(folder))
    with _without_a_bar():
        return cast("PackedBert", kind.from_pretrained(str(folder), local_files_only=True))


def load_unpublished(folder: Path) -> PackedBert:
    """The same from a folder that is being written and has no manifest yet."""
    with _without_a_bar():
        return cast("PackedBert", _class_of(folder)._load(str(folder), local_files_only=True))


def register() -> None:
    """Tell transformers' Auto classes about packed folders. Twice is as good as once."""
    AutoConfig.register(format.MODEL_TYPE, BitladderBertConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(
        BitladderBertConfig, PackedBertForSequenceClassification, exist_ok=True
    )
    AutoModelForTokenClassification.register(
        BitladderBertConfig, PackedBertForTokenClassification, exist_ok=True
    )
    AutoModelForQuestionAnswering.register(BitladderBertConfig, PackedBertForQuestionAnswering, exist_ok=True)
    AutoModel.register(BitladderBertConfig, PackedBertForSentenceEmbedding, exist_ok=True)
    AutoTokenizer.register(BitladderBertConfig, tokenizer_class=BertTokenizer, exist_ok=True)


@contextmanager
def _without_a_bar() -> Iterator[None]:
    """transformers draws one on stderr for each model that it loads."""
    was_drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_drawn:
            logging.enable_progress_bar()


def _class_of(folder: Path) -> type[PackedBert]:
    [name] = format.read_config(folder).architectures
    return _CLASSES[name]
