"""What every kind of task tells: how texts are read, what the answer is, how it is shown.

Shapes: L labels, S tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bitladder.packed.format import PackedConfig
from bitladder.text.tokens import Tokens, tokenize

Answer = dict[str, Any]  # as JSON: names and texts as they are, not cleaned for a terminal
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Reader:
    """A packed folder and what computes it.

    Attributes:
        logits: of rows of tokens, [L] or [L, S] each; raises ValueError where they are not finite.
        max_length: tokens that are read of a text, or of both together.
    """

    folder: Path
    config: PackedConfig
    logits: Callable[[Tokens], list[Floats]]
    max_length: int


class Kind:
    """A kind whose model reads a text, or two, and gives a row of logits.

    Attributes:
        columns: of the table that a served model gives, see `row`.
    """

    columns: ClassVar[Mapping[str, Literal["string", "double"]]]

    def answers(self, reader: Reader, texts: list[str], pairs: list[str] | None) -> list[Answer]:
        """One for each text, or pair of texts."""
        tokens = tokenize(texts, pairs, reader.folder, max_length=reader.max_length)
        return [self.answer(logits_L, reader.config) for logits_L in reader.logits(tokens)]

    def answer(self, logits_L: Floats, config: PackedConfig) -> Answer:
        """What a row of logits says."""
        raise NotImplementedError

    def lines(self, answer: Answer) -> list[str]:
        """An answer as it is printed."""
        raise NotImplementedError

    def row(self, answer: Answer) -> dict[str, Any]:
        """An answer as a row of a table with `columns`."""
        return {name: answer[name] for name in self.columns}
