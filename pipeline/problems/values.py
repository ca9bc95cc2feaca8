"""Typed look-ups in a file that may be wrong anywhere: what is missing or of another type reads as None.

Contradictions are looked for in everything that can be read, so one wrong field does not hide the others.
"""

from collections.abc import Mapping
from typing import Any


class Values:
    """The parsed file; every look-up takes the path of keys, as in `text("weights", "w1", "init_from")`."""

    def __init__(self, mapping: Mapping[Any, Any]) -> None:
        self._mapping = mapping

    def raw(self, *path: str) -> object:
        value: object = self._mapping
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def text(self, *path: str) -> str | None:
        value = self.raw(*path)
        return value if isinstance(value, str) else None

    def whole(self, *path: str) -> int | None:
        value = self.raw(*path)
        return value if type(value) is int else None

    def number(self, *path: str) -> float | None:
        value = self.raw(*path)
        return value if type(value) is int or type(value) is float else None

    def texts(self, *path: str) -> list[str]:
        """The entries of a list that are text; empty when it is no list."""
        value = self.raw(*path)
        return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []

    def names(self, *path: str) -> list[str]:
        """The keys of a mapping that are text; empty when it is no mapping."""
        value = self.raw(*path)
        return [key for key in value if isinstance(key, str)] if isinstance(value, Mapping) else []

    def written(self, *path: str) -> bool:
        """Whether something stands there, right or wrong."""
        return self.raw(*path) is not None
