"""Problems of single fields: pydantic's findings as sentences a person can act on.

A finding of pydantic names a rule ("float_type"); here it becomes what stands in the file, what it was taken
for, and what would have been right. Unknown keys get the nearest known one, or the sections that know them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.problems.problem import Problem, did_you_mean, listed

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
_OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def field_problems(root: type[BaseModel], error: ValidationError) -> list[Problem]:
    """Every field that the model refused, in the model's order."""
    found = ((_dotted(item["loc"]), _sentence(root, item)) for item in error.errors(include_url=False))
    return [Problem(field, sentence) for field, sentence in dict.fromkeys(found)]


def _dotted(location: tuple[int | str, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]"]
    return "".join(parts).removeprefix(".")


def _sentence(root: type[BaseModel], item: ErrorDetails) -> str:
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "missing":
        return "missing"
    if kind == "wrong":
        return str(item["msg"])
    if kind == "extra_forbidden":
        return _unknown_key(root, item["loc"])
    if kind == "invalid_key" or item["loc"][-1] == "[key]":
        return "this key is not text; put it in quotes"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    if kind == "literal_error":
        allowed = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        suggestion = did_you_mean(value, allowed) if isinstance(value, str) else ""
        return f"{_shown(value)} is not allowed; {suggestion}allowed: {listed(allowed)}"
    if kind in ("too_short", "too_long"):
        bound = (
            f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        )
        return f"has {context['actual_length']} entries; expected {bound}"
    if kind in _EXPECTED:
        return _wrong_type(value, _EXPECTED[kind])
    if kind in _OUT_OF_RANGE and (expected := _range(root, item["loc"])):
        return f"{_shown(value)} is not allowed; expected {expected}"
    return f"{_shown(value)} is not allowed; {item['msg'].lower().removeprefix('input ')}"


def _wrong_type(value: object, expected: str) -> str:
    if value is None:
        return f"empty; expected {expected}"
    if isinstance(value, str) and "number" in expected and _is_number(value):
        return f"{value!r} is text; expected {expected}: write it without quotes"
    if expected == "text" and not isinstance(value, list | dict):
        return f"{_shown(value)} is {_kind(value)}; expected text: put it in quotes"
    return f"{_shown(value)} is {_kind(value)}; expected {expected}"


def _range(root: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Both ends of what a field may be, "a whole number from 1 to 1024"; nothing where it has only one."""
    is_entry = isinstance(location[-1], int)  # of a list
    *parents, key = (str(part) for part in (location[:-1] if is_entry else location))
    schema = _section_at(root, parents).model_json_schema()["properties"][key]
    schema = schema["items"] if is_entry else schema
    numbers = (kind for kind in schema.get("anyOf", [schema]) if kind.get("type") in ("integer", "number"))
    limits: dict[str, Any] = next(numbers, {})
    low = _end(limits, minimum="at least", exclusiveMinimum="more than")
    high = _end(limits, maximum="at most", exclusiveMaximum="less than")
    if not (low and high):
        return ""
    if limits["type"] == "integer":
        first = limits.get("minimum", limits.get("exclusiveMinimum", 0) + 1)
        last = limits.get("maximum", limits.get("exclusiveMaximum", 0) - 1)
        return f"a whole number from {first} to {last}"
    return f"a number of {low} and {high}"


def _end(limits: Mapping[str, Any], **words: str) -> str:
    return "".join(f"{said} {limits[name]:.10g}" for name, said in words.items() if name in limits)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a mapping" if isinstance(value, dict) else f"a {type(value).__name__}")


def _shown(value: object) -> str:
    """The value as written, shortened; what a collection holds is never walked, it may be huge."""
    if isinstance(value, list | dict | set | tuple):
        return f"[{len(value)} entries]"
    text = repr(value) if isinstance(value, str | bytes) else str(value)
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _unknown_key(root: type[BaseModel], location: tuple[int | str, ...]) -> str:
    *parents, key = (str(part) for part in location)
    known = list(_section_at(root, parents).model_fields)
    elsewhere = [place for place, section in _sections(root) if key.replace("-", "_") in section.model_fields]
    at_hand = _at_hand(elsewhere, parents)
    suggestion = "" if at_hand else did_you_mean(key, known)
    if not suggestion and elsewhere:
        suggestion = f"it belongs under {' or '.join(at_hand or elsewhere)}; "
    return f"unknown key; {suggestion}known: {listed(known)}"


def _at_hand(places: Iterable[str], parents: Sequence[str]) -> list[str]:
    """Those of the places that are of the same entry of a mapping, as of the same rung, by its name."""
    entry = ".".join(parents[:2])
    named = [place.replace(f"{parents[0]}.<name>", entry) for place in places] if len(parents) > 1 else []
    return [place for place in named if place.startswith(f"{entry}.")]


def _section_at(root: type[BaseModel], location: list[str]) -> type[BaseModel]:
    annotation: Any = root
    for name in location:
        inside = _without_none(annotation)
        annotation = inside.model_fields[name].annotation if _is_section(inside) else get_args(inside)[-1]
    section: type[BaseModel] = _without_none(annotation)
    return section


def _sections(root: type[BaseModel], place: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section below, with its dotted place; a mapping of names shows as `<name>`, a list as `[n]`."""
    for name, field in root.model_fields.items():
        inside, below = _without_none(field.annotation), f"{place}{name}"
        if get_args(inside) and _is_section(entry := _without_none(get_args(inside)[-1])):
            of_list = get_origin(inside) is list
            inside, below = entry, f"{below}[n]" if of_list else f"{below}.<name>"
        if _is_section(inside):
            yield below, inside
            yield from _sections(inside, f"{below}.")


def _without_none(annotation: Any) -> Any:
    """`X` of `X | None` and of `Annotated[X, ...]`."""
    args = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return args[0]
    return next(arg for arg in args if arg is not type(None)) if type(None) in args else annotation


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
