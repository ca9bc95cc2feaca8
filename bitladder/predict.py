"""A packed folder as a model that answers texts, and `bitladder predict DIR TEXT [TEXT]`.

Neither torch nor transformers is imported where the kernels run the model: its text is tokenized by
tokenizer.json, which transformers reads too. Elsewhere torch runs it, and has to be installed.

Shapes: B texts, L labels, S tokens.
"""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitladder import runtime, shown
from bitladder.answers import KINDS, Answer, Kind, Reader
from bitladder.answers.embeddings import Form, formed
from bitladder.packed.format import read_config
from bitladder.packed.inputs import NumTextsError
from bitladder.packed.reading import Floats
from bitladder.runtime.kernels.engines import Choice
from bitladder.text.given import TextError, require_text, require_texts
from bitladder.text.tokens import Tokens, tokenize

if TYPE_CHECKING:
    from bitladder.transformers_model.base import PackedBert

Texts = list[str] | tuple[str, ...]  # or an array, or a column of a table
AT_ONCE = 64
ENCODED = 4096  # texts that are tokenized together
LEAST_TOKENS = 4  # of a pair: [CLS], [SEP], [SEP] and one that says something


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
        """Which engine computes, and why: see `bitladder doctor`."""
        return self._model.engine

    def __reduce__(self) -> tuple[Callable[[str], "PackedModel"], tuple[str]]:
        """Where another process finds it: its folder is opened there, and checked again."""
        return load, (str(self.folder.absolute()),)

    @overload
    def __call__(self, texts: str, pairs: str | None = None, *, max_length: int | None = None) -> Answer: ...

    @overload
    def __call__(
        self, texts: Texts, pairs: Texts | None = None, *, max_length: int | None = None
    ) -> list[Answer]: ...

    def __call__(
        self,
        texts: str | Texts,
        pairs: str | Texts | None = None,
        *,
        max_length: int | None = None,
    ) -> Answer | list[Answer]:
        """What the model says of a text, or of each text of a list, which is what it says of that one alone.

        A classifier: `label` and `scores`; of several labels at once `labels`, `scores` and `thresholds`; a
        regression and a reranker: `score`; question answering: `answer`, `start`, `end`, `score`; token
        classification: `entities`; a sentence encoder: `vector`, of which `encode` gives arrays. What each of
        them is stands in `bitladder.answers`, a file a kind.

        Args:
            pairs: as many second sentences, or contexts in which questions are answered.
            max_length: tokens of a text, or of both together, that are read; the rest is cut. As many as the
                model was scored on unless given. Question answering reads long contexts in windows of it.

        Raises:
            TextError: what should be a text is none.
            NumTextsError: the model reads pairs and was given single texts, or the other way round.
            ValueError: there is not a pair for each text, `max_length` is more than the model has positions
                for, or its output is not finite.
        """
        if isinstance(texts, str):
            if pairs is not None and not isinstance(pairs, str):
                raise ValueError("pairs: several texts for a single one; give one text")
            return self([texts], None if pairs is None else [pairs], max_length=max_length)[0]
        firsts = require_texts(texts, "texts")
        if isinstance(pairs, str):
            raise ValueError(f"pairs: give a list of {len(firsts)}, one for each text")
        seconds = None if pairs is None else require_texts(pairs, "pairs")
        if seconds is not None and len(seconds) != len(firsts):
            raise ValueError(f"pairs: {len(seconds)} for {len(firsts)} texts; give one for each text")
        self.require_num_texts(1 if seconds is None else 2)
        longest = self._longest(max_length)
        if not firsts:
            return []
        return self.kind.answers(Reader(self.folder, self.config, self._logits, longest), firsts, seconds)

    def encode(
        self, texts: str | Texts, *, form: Form = "float32", max_length: int | None = None
    ) -> NDArray[Any]:
        """A sentence encoder's vectors [N, E], of length 1; of a single text [E].

        Args:
            form: float32; or int8 or binary (packed bits), see `bitladder.answers.embeddings.formed`.
            max_length: tokens of a text that are read; as many as the model was scored on unless given.

        Raises:
            TextError: what should be a text is none.
            ValueError: the model is no sentence encoder, `form` is not known, `max_length` is more than the
                model has positions for, or its output is not finite.
        """
        if self.config.kind != "embeddings":
            raise ValueError(f"{self.folder}: gives no vectors, its task is {self.config.kind}")
        if isinstance(texts, str):
            found: NDArray[Any] = self.encode([texts], form=form, max_length=max_length)[0]
            return found
        given, longest = require_texts(texts, "texts"), self._longest(max_length)
        vectors_NE = np.zeros((len(given), self.config.hidden_size), np.float32)
        for start in range(0, len(given), ENCODED):  # what is known of the tokens takes more than the vectors
            tokens = tokenize(given[start : start + ENCODED], None, self.folder, max_length=longest)
            vectors_NE[start : start + ENCODED] = self._logits(tokens)
        return formed(vectors_NE, form)

    def require_num_texts(self, given: int) -> None:
        """Raises NumTextsError unless the model reads so many texts at a time; older files do not say it."""
        if self.config.num_texts in (given, None):
            return
        if self.config.answering is not None:
            raise NumTextsError(
                f"{self.folder}: questions need a context, as second text (command line: --context)"
            )
        if given == 1:
            raise NumTextsError(f"{self.folder}: reads pairs, and was given one text; give the second too")
        raise NumTextsError(f"{self.folder}: reads single texts, and was given two; leave the second out")

    def logits(
        self,
        input_ids: ArrayLike,
        attention_mask: ArrayLike | None = None,
        token_type_ids: ArrayLike | None = None,
    ) -> Floats:
        """[B, L]; of question answering and token classification [B, L, S], of padding -1e4; of a sentence
        encoder its vectors [B, E].

        Args are [B, S], as a tokenizer gives them: 1 in the mask is a token, which all are unless given.
        """
        return self._model.logits(input_ids, attention_mask, token_type_ids)

    def _longest(self, asked: int | None) -> int:
        room = self.config.max_position_embeddings
        if asked is not None and not LEAST_TOKENS <= asked <= room:
            raise ValueError(f"max_length: {asked}; from {LEAST_TOKENS} to {room} tokens are right")
        return self.config.max_length if asked is None else asked

    def _logits(self, tokens: Tokens) -> list[Floats]:
        """[L], or [L, S], of each row."""
        found: list[Floats] = []
        for batch in tokens.batches(AT_ONCE):
            logits = self._model.logits(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
            if not np.isfinite(logits).all():
                raise ValueError(f"{self.folder}: the model's output is not finite")
            found += list(logits)
        return found


def main(
    folder: str, text: str, text_pair: str | None = None, context: str | None = None, as_json: bool = False
) -> int:
    """Print what the model says of a text, or of two: a label, labels, a score, an answer, entities.

    Args:
        text_pair, context: a second sentence, or what a question is answered from; one of them at most.

    Raises as `load` does, and ValueError as `PackedModel`.
    """
    if text_pair is not None and context is not None:
        raise TextError("--context: there is a second text already; give one of them")
    for name, given in {"TEXT": text, "TEXT_PAIR": text_pair, "--context": context}.items():
        if given is not None:
            require_text(given, name)
    model = load(folder)
    if context is not None and model.config.answering is None:
        raise NumTextsError(f"--context: {folder} answers no questions, its task is {model.config.kind}")
    answer = model(text, text_pair if context is None else context)
    sys.stdout.write((shown.as_json(answer) if as_json else "\n".join(model.kind.lines(answer))) + "\n")
    return 0
