"""A request's body as rows, or one line that says what is wrong with it; and how OpenAPI describes it."""

import json
from dataclasses import dataclass
from typing import Any

from bitladder.predict import PackedModel
from bitladder.rows.row import Names, Row, row, row_of_text
from bitladder.serving.limits import Limits, RefusedError
from bitladder.text.given import TextError
from bitladder.text.tokens import read_tokenizer


@dataclass(frozen=True)
class Asked:
    """The rows; `is_list`: the answer is a list too."""

    rows: list[Row]
    is_list: bool


def read(body: bytes, names: Names, limits: Limits) -> Asked:
    """A row, or a list of such: a string, or an object with the texts by name.

    Raises RefusedError, 413 for too many rows, 422 for what is no row.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(422, f"the body is no JSON: {error}") from None
    if not isinstance(value, list):
        return Asked([_row(0, value, names, "")], False)
    if len(value) > limits.rows:
        raise RefusedError(413, f"{len(value)} rows; a request may have {limits.rows}")
    return Asked([_row(number, one, names, f"[{number}] ") for number, one in enumerate(value)], True)


def _row(number: int, value: Any, names: Names, where: str) -> Row:
    try:
        if isinstance(value, str):
            return row_of_text(number, value, names)
        if not isinstance(value, dict):
            raise TextError(f"{value!r:.40} is no text, and no object with {names.text!r}")
        if unknown := sorted(value.keys() - {names.text, names.pair}):
            raise TextError(f"{unknown[0]!r:.80}: unknown; known are {names.text!r} and {names.pair!r}")
        return row(number, value, names)
    except TextError as error:
        raise RefusedError(422, f"{where}{error}") from None


def require_few_tokens(row: Row, model: PackedModel, limits: Limits) -> None:
    """Raises TextError when a row has more tokens than the limit.

    A token is a byte at least, so short texts need no counting.
    """
    if len(f"{row.text}{row.pair or ''}".encode()) <= limits.tokens:
        return
    texts = [row.text] if row.pair is None else [row.text, row.pair]
    encodings = read_tokenizer(model.folder).encode_batch(texts, add_special_tokens=False)
    if (found := sum(map(len, encodings))) > limits.tokens:
        raise TextError(f"{found} tokens; a text, or a pair, may have {limits.tokens}")


def schema(names: Names, limits: Limits) -> dict[str, Any]:
    """Of the body, for OpenAPI."""
    text = {"type": "string", "pattern": r"\S"}  # an empty one is refused, and one of blanks
    texts = dict.fromkeys((names.text, names.pair)[: names.num_texts or 2], text)
    one: dict[str, Any] = {
        "type": "object",
        "properties": texts,
        "required": list(names.needed),
        "additionalProperties": False,
    }
    rows = [one] if names.num_texts == 2 else [text, one]
    example = {name: f"A {name.replace('_', ' ')}." for name in texts}
    several = {"type": "array", "items": {"anyOf": rows}, "maxItems": limits.rows}
    return {"anyOf": [*rows, several], "examples": [example, [example]]}
