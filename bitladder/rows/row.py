"""What a model is asked in one row: a text, a pair of texts, or a question and its context."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bitladder.packed.format import PackedConfig
from bitladder.text.given import TextError, require_text


@dataclass(frozen=True)
class Row:
    """A text, and where the model reads two, the second; `number`: of its line, or its place in a list."""

    number: int
    text: str
    pair: str | None = None


@dataclass(frozen=True)
class Bad:
    """A row that has no answer; `reason` is one line."""

    number: int
    reason: str


@dataclass(frozen=True)
class Names:
    """What the columns or keys of a row are called.

    Attributes:
        num_texts: that the model reads at a time; None where its file does not say: a row may have a pair.
    """

    text: str
    pair: str
    num_texts: int | None

    @property
    def needed(self) -> tuple[str, ...]:
        return (self.text, self.pair) if self.num_texts == 2 else (self.text,)


def names_for(config: PackedConfig, text: str | None = None, pair: str | None = None) -> Names:
    """`text` and `text_pair`, of question answering `question` and `context`, unless others are given.

    Raises TextError when a second column is named and the model reads single texts.
    """
    if pair is not None and config.num_texts == 1:
        raise TextError(f"--text-pair: {pair!r}; the model reads single texts, so leave it out")
    is_answering = config.answering is not None
    usual = ("question", "context") if is_answering else ("text", "text_pair")
    return Names(text or usual[0], pair or usual[1], config.num_texts or (None if pair is None else 2))


def row(number: int, fields: Mapping[str, Any], names: Names) -> Row:
    """Take the named texts of a row, and leave the rest of it.

    Raises TextError in one line: a text is missing, empty, no text, or not UTF-8.
    """
    has_pair = names.num_texts == 2 or (names.num_texts is None and fields.get(names.pair) is not None)
    if names.num_texts == 1 and fields.get(names.pair) is not None:
        raise TextError(f"{names.pair}: the model reads single texts; leave it out")
    return Row(number, _text(fields, names.text), _text(fields, names.pair) if has_pair else None)


def row_of_text(number: int, text: str, names: Names) -> Row:
    """A row that is one text. Raises TextError as `row`, and when the model reads pairs."""
    if names.num_texts == 2:
        raise TextError(f"one text; the model reads two: {names.text!r} and {names.pair!r}")
    return row(number, {names.text: text}, names)


def _text(fields: Mapping[str, Any], name: str) -> str:
    if name not in fields:
        there = ", ".join(map(repr, list(fields)[:10])) or "nothing"
        raise TextError(f"{name}: not there; there is {there:.200}")
    text = require_text(fields[name], name)
    if not text.strip():
        raise TextError(f"{name}: empty")
    return text
