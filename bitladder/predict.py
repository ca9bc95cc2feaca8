"""A packed folder as a model that answers texts, and `bitladder predict DIR TEXT [TEXT]`.

Neither torch nor transformers is imported where the kernels run the model: its text is tokenized by
tokenizer.json, which transformers reads too. Elsewhere torch runs it, and has to be installed.

Shapes: B texts, L labels, S tokens.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike

from bitladder import runtime
from bitladder.packed.format import AnsweringFields, PackedConfig, read_config
from bitladder.packed.reading import Floats
from bitladder.runtime.kernels.engines import Choice
from bitladder.text.cutting import cut
from bitladder.text.spans import Span, best_spans
from bitladder.text.tokens import Tokens, tokenize

if TYPE_CHECKING:
    from bitladder.transformers_model.model import PackedBert

Answer = dict[str, Any]
AT_ONCE = 64


def load(folder: str | Path) -> "PackedModel":
    """The packed model of a published folder, run by the kernels, or else by torch.

    Raises:
        IntegrityError: a file is not what the manifest promises.
        FormatError: the folder is not laid out as docs/file-format.md says.
        UnsupportedError: there is no kernel for it and no torch.
        EngineError, ThreadsError: BITLADDER_ENGINE or BITLADDER_THREADS says what cannot be.
    """
    folder = Path(folder)
    try:
        return PackedModel(folder, runtime.load(folder))
    except runtime.UnsupportedError as error:
        if find_spec("torch") is None or find_spec("transformers") is None:
            advice = "torch would run it: pip install 'bitladder[train]'"
            raise runtime.UnsupportedError(f"{folder}: {error}; {advice}") from None
    from bitladder.transformers_model.model import load as load_torch

    return PackedModel(folder, load_torch(folder))


class PackedModel:
    """A packed folder that answers texts; made by `load`. Safe to call from several threads.

    Attributes:
        folder: where it lies.
        config: its config.json.
    """

    def __init__(self, folder: Path, model: "runtime.Model | PackedBert") -> None:
        """`model`: computes the logits."""
        self.folder, self.config, self._model = folder, read_config(folder), model

    @property
    def engine(self) -> Choice:
        """What computes, `lookup`, `dot_products` or `torch`, and why: see `bitladder doctor`."""
        return self._model.engine

    @overload
    def __call__(self, texts: str, pairs: str | None = None, *, max_length: int | None = None) -> Answer: ...

    @overload
    def __call__(
        self, texts: list[str], pairs: list[str] | None = None, *, max_length: int | None = None
    ) -> list[Answer]: ...

    def __call__(
        self, texts: str | list[str], pairs: str | list[str] | None = None, *, max_length: int | None = None
    ) -> Answer | list[Answer]:
        """What the model says of a text, or of each text of a list.

        A classifier: `label`, and `scores`, probabilities by label's name, most probable first. A regression:
        `score`. Question answering: `answer` (None: there is none), and where it stands in the context,
        `start` and `end`; `score`, logit of its first token plus logit of its last; where questions may have
        no answer also `margin`, how much more the model believes in that, and `threshold`, over which it
        says so.

        Args:
            pairs: as many second sentences, or contexts in which questions are answered.
            max_length: tokens of a text, or of both together, that are read; the rest is cut. All that the
                model has positions for unless given. Question answering reads long contexts in windows.

        Raises:
            ValueError: a question has no context, there is not a pair for each text, or the model's output
                is not finite.
        """
        if isinstance(texts, str):
            if pairs is not None and not isinstance(pairs, str):
                raise ValueError(f"pairs: {len(pairs)} texts for a single one; give one text")
            return self([texts], None if pairs is None else [pairs], max_length=max_length)[0]
        if isinstance(pairs, str) or (pairs is not None and len(pairs) != len(texts)):
            raise ValueError(f"pairs: give a list of {len(texts)}, one for each text")
        if not texts:
            return []
        if self.config.answering is None:
            longest = max_length or self.config.max_position_embeddings
            tokens = tokenize(texts, pairs, self.folder, max_length=longest)
            return [_label(logits_L, self.config) for logits_L in self._logits(tokens)]
        if pairs is None:
            raise ValueError(
                f"{self.folder}: questions need a context, as second text (command line: --context)"
            )
        return self._answer_questions(texts, pairs, self.config.answering)

    def logits(
        self,
        input_ids: ArrayLike,
        attention_mask: ArrayLike | None = None,
        token_type_ids: ArrayLike | None = None,
    ) -> Floats:
        """[B, L] of a classifier or a regression; [B, 2, S] of question answering, of padding -1e4.

        Args are [B, S], as a tokenizer gives them: 1 in the mask is a token, which all are unless given.
        """
        ids = np.asarray(input_ids)
        mask = np.ones_like(ids) if attention_mask is None else attention_mask
        segments = np.zeros_like(ids) if token_type_ids is None else token_type_ids
        return self._model.logits(ids, mask, segments)

    def _answer_questions(
        self, questions: list[str], contexts: list[str], own: AnsweringFields
    ) -> list[Answer]:
        pieces = cut(
            questions,
            contexts,
            self.folder,
            max_length=own.max_length,
            doc_stride=own.doc_stride,
            max_question_length=own.max_question_length,
        )
        spans = best_spans(self._logits(pieces.tokens), pieces, max_answer_length=own.max_answer_length)
        return [_answer(span, own.no_answer_threshold) for span in spans]

    def _logits(self, tokens: Tokens) -> list[Floats]:
        """[L], or [2, S], of each row."""
        found: list[Floats] = []
        for batch in tokens.batches(AT_ONCE):
            logits = self._model.logits(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
            if not np.isfinite(logits).all():
                raise ValueError(f"{self.folder}: the model's output is not finite")
            found += list(logits)
        return found


def main(folder: str, text: str, text_pair: str | None = None, as_json: bool = False) -> int:
    """Print the label and every label's probability, a regression's value, or the answer to a question.

    Raises as `load` does, and ValueError as `PackedModel`.
    """
    answer = load(folder)(text, text_pair)
    shown = json.dumps(answer, ensure_ascii=False, allow_nan=False) if as_json else "\n".join(_lines(answer))
    sys.stdout.write(shown + "\n")
    return 0


def printable(text: str) -> str:
    """Without control characters: a label's name comes from a file and goes to a terminal."""
    return "".join(character for character in text if character.isprintable())


def _label(logits_L: Floats, config: PackedConfig) -> Answer:
    if len(logits_L) == 1:
        return {"score": float(logits_L[0])}
    shares_L = np.exp(logits_L.astype(np.float64) - logits_L.max())
    shares_L /= shares_L.sum()
    names = [printable(label) for label in config.labels]
    ranked = sorted(zip(shares_L.tolist(), names, strict=True), key=lambda pair: -pair[0])
    return {"label": ranked[0][1], "scores": {name: share for share, name in ranked}}


def _answer(span: Span, threshold: float | None) -> Answer:
    found: Answer = {"answer": span.text, "start": span.start, "end": span.end, "score": span.score}
    if threshold is not None:
        found |= {"margin": span.margin, "threshold": threshold}
        if span.margin > threshold:
            found |= {"answer": None, "start": None, "end": None}
    return found


def _lines(answer: Answer) -> list[str]:
    if "answer" in answer:
        place = "" if answer["start"] is None else f"  characters {answer['start']} to {answer['end']}"
        found = "no answer" if answer["answer"] is None else printable(answer["answer"])
        return [found, *([place] if place else [])]
    if "label" not in answer:
        return [f"score {answer['score']:.4f}"]
    return [answer["label"], *(f"  {name} {share:.4f}" for name, share in answer["scores"].items())]
