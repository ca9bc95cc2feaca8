"""`bitladder predict DIR TEXT [TEXT]`: run a packed model on one sentence, one pair, or a question and its
context.

Neither torch nor transformers is imported where the kernels run the model: its text is tokenized by
tokenizer.json, which transformers reads too. Elsewhere torch runs it, and has to be installed.

Shapes: B texts, L labels, S tokens.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitladder import runtime
from bitladder.packed import format

if TYPE_CHECKING:
    from bitladder.text.spans import Span
    from bitladder.text.tokens import Tokens

Answer = dict[str, Any]
Floats = NDArray[np.float32]
AT_ONCE = 64


class Answering(Protocol):
    """A `runtime.Model`, or a `PackedBert` that transformers loaded."""

    def logits(
        self, input_ids: ArrayLike, attention_mask: ArrayLike, token_type_ids: ArrayLike, /
    ) -> Floats: ...


def main(folder: str, text: str, text_pair: str | None = None, as_json: bool = False) -> int:
    """Print the label and every label's probability, a regression's value, or the answer to a question.

    Raises as `load_logits` does, and ValueError as `predict`.
    """
    answer = predict(folder, text, text_pair)
    if as_json:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n")
        return 0
    sys.stdout.write("\n".join(_lines(answer)) + "\n")
    return 0


def predict(folder: str, text: str, text_pair: str | None = None) -> Answer:
    """`label` and `scores` (probabilities by label name, most probable first), `score` of a regression, or
    what `answer_questions` gives for a question.

    Raises:
        ValueError: the model's output is not finite, or a question has no context.
    """
    answer: Answer = load(folder)(text, text_pair)
    return answer


class PackedModel:
    """A packed folder that answers texts; made by `load`.

    Attributes:
        folder: where it lies.
        config: its config.json.
    """

    def __init__(self, folder: str, model: Answering) -> None:
        self.folder, self.config, self._model = folder, format.read_config(Path(folder)), model

    def __call__(self, texts: str | list[str], pairs: str | list[str] | None = None) -> Any:
        """What the model says of a text, or of each text of a list; `pairs`: second sentences, or contexts.

        A classifier's answer has `label` and `scores`, a regression's `score`, that to a question what
        `answer_questions` says.

        Raises:
            ValueError: the model's output is not finite, or a question has no context.
        """
        if isinstance(texts, str):
            return self([texts], None if pairs is None else [str(pairs)])[0]
        seconds = [pairs] if isinstance(pairs, str) else pairs
        if self.config.answering is None:
            longest = self.config.max_position_embeddings
            return classify(self._model, self.folder, texts, seconds, max_length=longest)
        if seconds is None:
            raise ValueError(f"{self.folder}: answers questions from a context; give one (--context TEXT)")
        return answer_questions(self._model, self.folder, texts, seconds)

    def logits(
        self,
        input_ids: ArrayLike,
        attention_mask: ArrayLike | None = None,
        token_type_ids: ArrayLike | None = None,
    ) -> Floats:
        """[B, L] of a classifier or a regression, [B, 2, S] of question answering. Args are [B, S]."""
        ids = np.asarray(input_ids)
        mask = np.ones_like(ids) if attention_mask is None else attention_mask
        segments = np.zeros_like(ids) if token_type_ids is None else token_type_ids
        return self._model.logits(ids, mask, segments)


def load(folder: str | Path) -> PackedModel:
    """The packed model of a published folder. Raises as `load_logits`."""
    return PackedModel(str(folder), load_logits(str(folder)))


def load_logits(folder: str) -> Answering:
    """The model of a published packed folder, as kernels run it, or else torch.

    Raises:
        IntegrityError, FormatError: as `runtime.load`.
        UnsupportedError: there is no kernel for it and no torch.
    """
    try:
        return runtime.load(folder)
    except runtime.UnsupportedError as error:
        if find_spec("torch") is None or find_spec("transformers") is None:
            advice = "torch would run it: pip install 'bitladder[train]'"
            raise runtime.UnsupportedError(f"{folder}: {error}; {advice}") from None
    from bitladder.transformers_model.model import load as load_torch

    return load_torch(folder)


def classify(
    model: Answering, folder: str, texts: list[str], pairs: list[str] | None, *, max_length: int
) -> list[Answer]:
    """For each text, or pair, `label` and `scores`; or `score` of a regression.

    Raises:
        ValueError: the model's output is not finite.
    """
    from bitladder.text.tokens import tokenize

    names = [printable(label) for label in format.read_config(Path(folder)).labels]
    tokens = tokenize(texts, pairs, Path(folder), max_length=max_length)
    return [_label(logits_L, names) for logits_L in _logits(model, tokens, folder)]


def answer_questions(
    model: Answering, folder: str, questions: list[str], contexts: list[str]
) -> list[Answer]:
    """For each question `answer` (None: there is none), and where it stands in the context: `start`, `end`.

    `score`: logit of its first token plus logit of its last. Where questions may have no answer also
    `margin`, how much more the model believes in that, and `threshold`, over which it says so.

    Raises:
        ValueError: the model's output is not finite.
    """
    from bitladder.text.cutting import cut
    from bitladder.text.spans import best_spans

    own = format.read_config(Path(folder)).answering
    if own is None:
        raise ValueError(f"{folder}: this model answers no questions")
    pieces = cut(
        questions,
        contexts,
        Path(folder),
        max_length=own.max_length,
        doc_stride=own.doc_stride,
        max_question_length=own.max_question_length,
    )
    logits_N2S = _logits(model, pieces.tokens, folder)
    spans = best_spans(logits_N2S, pieces, max_answer_length=own.max_answer_length)
    return [_answer(span, own.no_answer_threshold) for span in spans]


def printable(text: str) -> str:
    """Without control characters: a label's name comes from a file and goes to a terminal."""
    return "".join(character for character in text if character.isprintable())


def _logits(model: Answering, tokens: "Tokens", folder: str) -> list[Floats]:
    """[L], or [2, S], of each row."""
    found: list[Floats] = []
    for batch in tokens.batches(AT_ONCE):
        logits = model.logits(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
        if not np.isfinite(logits).all():
            raise ValueError(f"{folder}: the model's output is not finite")
        found += list(logits)
    return found


def _label(logits_L: Floats, names: list[str]) -> Answer:
    if len(logits_L) == 1:
        return {"score": float(logits_L[0])}
    shares_L = np.exp(logits_L.astype(np.float64) - logits_L.max())
    shares_L /= shares_L.sum()
    ranked = sorted(zip(shares_L.tolist(), names, strict=True), key=lambda pair: -pair[0])
    return {"label": ranked[0][1], "scores": {name: share for share, name in ranked}}


def _answer(span: "Span", threshold: float | None) -> Answer:
    place: Answer = {"answer": span.text, "start": span.start, "end": span.end, "score": span.score}
    if threshold is None:
        return place
    doubt = {"margin": span.margin, "threshold": threshold}
    if span.margin > threshold:
        return {**place, "answer": None, "start": None, "end": None, **doubt}
    return {**place, **doubt}


def _lines(answer: Answer) -> list[str]:
    if "answer" in answer:
        place = "" if answer["start"] is None else f"  characters {answer['start']} to {answer['end']}"
        found = "no answer" if answer["answer"] is None else printable(answer["answer"])
        return [found, *([place] if place else [])]
    if "label" not in answer:
        return [f"score {answer['score']:.4f}"]
    return [answer["label"], *(f"  {name} {share:.4f}" for name, share in answer["scores"].items())]
