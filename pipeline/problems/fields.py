"""Problems of single fields: pydantic's findings as sentences a person can act on.

A finding of pydantic names a rule ("float_type"); here it becomes what stands in the file, what it was taken
for, and what would have been right. Unknown keys get the nearest known one, or the sections that know them.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.problems.problem import Problem, did_you_mean, listed

Schema = dict[str, Any]  # JSON Schema, or a part of one
Place = tuple[int | str, ...]

_LONGEST_SHOWN = 60
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}
_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing_size": "a smaller number",
    "float_type": "a number",
    "string_type": "text",
    "list_type": "a list, as in [a, b]",
    "dict_type": "a mapping of names",
    "model_type": "a mapping of keys",
}
_ENDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}
_NUMBER = re.compile(r"[-+]?\d*\.?\d+(e[-+]?\d+)?", re.IGNORECASE)


def field_problems(root: type[BaseModel], error: ValidationError) -> list[Problem]:
    """Every field that the model refused, in the model's order."""
    schema = root.model_json_schema()
    found = ((_dotted(item["loc"]), _sentence(schema, item)) for item in error.errors(include_url=False))
    return [Problem(field, sentence) for field, sentence in dict.fromkeys(found)]


def _dotted(location: Place) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]"]
    return "".join(parts).removeprefix(".")


def _sentence(schema: Schema, item: ErrorDetails) -> str:
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "missing":
        return "missing"
    if kind == "wrong":
        return str(item["msg"])
    if kind == "extra_forbidden":
        return _unknown_key(schema, item["loc"])
    if kind == "invalid_key" or item["loc"][-1] == "[key]":
        return "this key is not text; put it in quotes"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    if kind == "literal_error":
        allowed = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        suggestion = did_you_mean(value, allowed) if isinstance(value, str) else ""
        return f"{_shown(value)} is not allowed; {suggestion}allowed: {listed(allowed)}"
    if kind in _EXPECTED:
        return _wrong_type(value, _EXPECTED[kind])
    if kind.startswith(("greater_than", "less_than")):
        return f"{_shown(value)} is not allowed; expected {_range(_at(schema, item['loc']))}"
    if kind in ("too_short", "too_long"):
        end = f"least {context['min_length']}" if kind == "too_short" else f"most {context['max_length']}"
        return f"has {context['actual_length']} entries; expected at {end}"
    rule = item["msg"].lower().removeprefix("input ").replace(" after validation", "")
    return f"{_shown(value)} is not allowed; {rule}"


def _wrong_type(value: object, expected: str) -> str:
    if value is None:
        return f"empty; expected {expected}"
    remedy = ""
    if isinstance(value, str) and "number" in expected and _NUMBER.fullmatch(value):
        remedy = ": write it without quotes"
    elif expected == "text" and not isinstance(value, list | dict):
        remedy = ": put it in quotes"
    kind = "a mapping" if isinstance(value, dict) else _KINDS.get(type(value), f"a {type(value).__name__}")
    return f"{_shown(value)} is {kind}; expected {expected}{remedy}"


def _range(number: Schema) -> str:
    """What a number may be: "a whole number from 1 to 1024", "a number of at least 0 and less than 1"."""
    if number["type"] == "integer":
        first = number.get("minimum", number.get("exclusiveMinimum", 0) + 1)
        last = number.get("maximum", number.get("exclusiveMaximum", 0) - 1)
        return f"a whole number from {first} to {last}"
    ends = (f"{said} {number[name]:.10g}" for name, said in _ENDS.items() if name in number)
    return f"a number of {' and '.join(ends)}"


def _shown(value: object) -> str:
    """The value as written, shortened; what a collection holds is never walked, it may be huge."""
    if isinstance(value, list | dict | set | tuple):
        return f"[{len(value)} entries]"
    text = repr(value) if isinstance(value, str | bytes) else str(value)
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _unknown_key(schema: Schema, location: Place) -> str:
    section, key = location[:-1], str(location[-1])
    known = list(_at(schema, section)["properties"])
    entry = section[:2] if len(section) > 1 else ()  # the same rung comes before all others
    places = list(_having(key, schema, _at(schema, entry), _dotted(entry))) if entry else []
    suggestion = "" if places else did_you_mean(key, known)
    places = places or list(_having(key, schema, schema))
    if not suggestion and places:
        suggestion = f"it belongs under {' or '.join(places)}; "
    return f"unknown key; {suggestion}known: {listed(known)}"


def _at(schema: Schema, place: Place) -> Schema:
    """The schema of what stands in a place of the file."""
    found = schema
    for step in place:
        field = found.get("properties", {}).get(step)
        found = _inside(schema, field or found.get("additionalProperties") or found["items"])
    return found


def _inside(schema: Schema, part: Schema) -> Schema:
    """`X` of `X | None`, and what a reference stands for."""
    part = part.get("anyOf", [part])[0]
    return schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def _having(key: str, schema: Schema, part: Schema, place: str = "") -> Iterator[str]:
    """The sections that know the key; a mapping of names shows as `<name>`, a list as `[n]`."""
    part = _inside(schema, part)
    fields = part.get("properties", {})
    if place and key in fields:
        yield place
    below = {f".{name}": field for name, field in fields.items()}
    below |= {".<name>": part.get("additionalProperties"), "[n]": part.get("items")}
    for name, field in below.items():
        if field:
            yield from _having(key, schema, field, f"{place}{name}".removeprefix("."))
