"""Texts as users give them, checked before a tokenizer, which says less, sees them."""

from collections.abc import Iterable, Mapping
from typing import Any

_BYTES = range(0xDC80, 0xDD00)  # how Python writes a byte that is not UTF-8 (PEP 383)


class TextError(ValueError):
    """What should be text is none; the message names the argument."""

    exit_code = 2


def require_text(value: Any, name: str) -> str:
    """The same text. Raises TextError, which names the argument, when it is something else or not UTF-8."""
    if not isinstance(value, str):
        raise TextError(f"{name}: {value!r:.80} is no text, but a {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        what = f"the byte 0x{code - 0xDC00:02x}" if code in _BYTES else f"the lone surrogate U+{code:04X}"
        raise TextError(f"{name}: {what} at character {error.start} is not UTF-8, as texts are") from None
    return value


def require_texts(values: Any, name: str) -> list[str]:
    """Several texts as a list: of a list, a tuple, an array, a column of a table. Raises TextError."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TextError(f"{name}: {values!r:.80} is no list of texts, but a {type(values).__name__}")
    return [require_text(value, f"{name}[{number}]") for number, value in enumerate(values)]
