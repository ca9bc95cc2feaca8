"""Nested mappings as one flat list, for what compares or keeps them value by value."""

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(values: Mapping[str, Any], separator: str = ".") -> Iterator[tuple[str, Any]]:
    """Each value that is no mapping, under the names that lead to it: `{"a": {"b": 1}}` has `a.b`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}{separator}{rest}", each) for rest, each in leaves(value, separator))
        else:
            yield name, value
