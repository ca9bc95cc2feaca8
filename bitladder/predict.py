"""A packed folder as a model that answers texts, and `bitladder predict DIR TEXT [TEXT]`.

Neither torch nor transformers is imported where the kernels run the model: its text is tokenized by
tokenizer.json, which transformers reads too. Elsewhere torch runs it, and has to be installed.

Shapes: B texts, L labels, S tokens.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike

from bitladder import runtime
from bitladder.answers import KINDS, Answer, Kind, Reader
from bitladder.packed.format import read_config
from bitladder.packed.reading import Floats
from bitladder.runtime.kernels.engines import Choice
from bitladder.text.tokens import Tokens

if TYPE_CHECKING:
    from bitladder.transformers_model.model import PackedBert

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
    def kind(self) -> Kind:
        """Of task: how texts are read and what an answer is."""
        return KINDS[self.config.kind]

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

        A classifier: `label` and `scores`; of several labels at once `labels`, `scores` and `thresholds`; a
        regression and a reranker: `score`; question answering: `answer`, `start`, `end`, `score`; token
        classification: `entities`. What each of them is stands in `bitladder.answers`, a file a kind.

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
        longest = max_length or self.config.max_position_embeddings
        return self.kind.answers(Reader(self.folder, self.config, self._logits, longest), texts, pairs)

    def logits(
        self,
        input_ids: ArrayLike,
        attention_mask: ArrayLike | None = None,
        token_type_ids: ArrayLike | None = None,
    ) -> Floats:
        """[B, L]; of question answering and token classification [B, L, S], of padding -1e4.

        Args are [B, S], as a tokenizer gives them: 1 in the mask is a token, which all are unless given.
        """
        ids = np.asarray(input_ids)
        mask = np.ones_like(ids) if attention_mask is None else attention_mask
        segments = np.zeros_like(ids) if token_type_ids is None else token_type_ids
        return self._model.logits(ids, mask, segments)

    def _logits(self, tokens: Tokens) -> list[Floats]:
        """[L], or [L, S], of each row."""
        found: list[Floats] = []
        for batch in tokens.batches(AT_ONCE):
            logits = self._model.logits(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
            if not np.isfinite(logits).all():
                raise ValueError(f"{self.folder}: the model's output is not finite")
            found += list(logits)
        return found


def main(folder: str, text: str, text_pair: str | None = None, as_json: bool = False) -> int:
    """Print what the model says of a text, or of two: a label, labels, a score, an answer, entities.

    Raises as `load` does, and ValueError as `PackedModel`.
    """
    model = load(folder)
    answer = model(text, text_pair)
    as_text = "\n".join(model.kind.lines(answer))
    shown = json.dumps(answer, ensure_ascii=False, allow_nan=False) if as_json else as_text
    sys.stdout.write(shown + "\n")
    return 0
