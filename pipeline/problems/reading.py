"""The text of params.yaml as plain values, by the parser DVC itself uses (ruamel, YAML 1.2).

So `1e-5` is a number to both, `yes` is text to both, and a key written twice is refused by both.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

MOST_BYTES = 1_000_000
MOST_LEVELS = 50  # libyaml recurses, and ends the process by a segmentation fault at some ten thousand


class UnreadableError(ValueError):
    """The file holds no mapping of plain values; the message is the one problem it has."""


def read_mapping(path: Path) -> dict[Any, Any]:
    """The file's values. Keys and values are whatever YAML made of them: nothing is checked yet.

    Raises:
        UnreadableError: the file is missing, not UTF-8, not YAML, or no mapping.
    """
    text = _read_text(path)
    try:
        _require_shallow(text)
        value = YAML(typ="safe").load(text)
    except UnreadableError:
        raise
    except (YAMLError, ValueError, TypeError) as error:
        raise UnreadableError(_sentence(error, text)) from None
    if value is None:
        raise UnreadableError("the file is empty; expected sections such as `task:` and `weights:`")
    if not isinstance(value, dict):
        raise UnreadableError(f"the top level is a {type(value).__name__}; expected sections such as `task:`")
    return value


def _require_shallow(text: str) -> None:
    level = 0
    for event in YAML(typ="safe").parse(text):  # as a stream: nothing is built yet
        kind = type(event).__name__
        level += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if level > MOST_LEVELS:
            raise UnreadableError(f"nests deeper than {MOST_LEVELS} levels")


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
    if len(content) > MOST_BYTES:
        raise UnreadableError(f"{len(content):,} bytes; expected at most {MOST_BYTES:,}")
    if content.startswith(b"\xef\xbb\xbf"):
        raise UnreadableError("starts with a byte order mark; save the file as UTF-8 without one")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"line {line}: byte {content[error.start]:#04x} is not UTF-8") from None


def _sentence(error: Exception, text: str) -> str:
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return f"not YAML: {' '.join(str(error).split())}"
    mark = error.problem_mark
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if line[mark.column : mark.column + 1] == "\t":
        return f"line {mark.line + 1}: a tab where YAML wants spaces"
    return f"line {mark.line + 1}, column {mark.column + 1}: {' '.join(str(error.problem).split())}"
