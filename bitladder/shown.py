"""What goes to a terminal: without control characters, two names never alike, whatever it can show.

Nothing here touches JSON's keys and values: they are what was meant, exactly.
"""

import codecs
import json
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import IO, Any

FALLBACK = "bitladder.shown"  # an error handler for outputs that lack a character
_IN_ASCII = {"±": "+-", "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "→": "->", "’": "'"}  # noqa: RUF001
# Letters of other alphabets that are drawn like Latin ones.
_DRAWN_ALIKE = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеорсухѕіјΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",  # noqa: RUF001
    "ABESIJKMHOPCTYXaeopcyxsijABEZHIKMNOPTYXo",
)


def printable(text: str) -> str:
    """With control, invisible and other unprintable characters written as escapes, such as \\x1b."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def apart(names: Iterable[str]) -> dict[str, str]:
    """How each name is shown: as it is, but in quotes and escaped where two would look alike."""
    shown = {name: printable(name) for name in names}
    looks = Counter(map(_look, shown.values()))
    shown = {name: own if looks[_look(own)] == 1 else ascii(name) for name, own in shown.items()}
    return shown if len(set(shown.values())) == len(shown) else {name: ascii(name) for name in shown}


def misfits(**names: Sequence[str]) -> str:
    """`missing a, b; unexpected c`: each kind of misfit that has a name; empty when none has."""
    return "; ".join(f"{kind} {', '.join(found)}" for kind, found in names.items() if found)


def as_json(value: Any, indent: int | None = None) -> str:
    """Characters that stdout cannot take as JSON's escapes; without `indent` on one line."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, allow_nan=False)
    return text


def never_fail(*streams: IO[str]) -> None:
    """Have outputs that lack a character (of ASCII, say) write something like it: ± as +-, é as \\xe9."""
    for stream in streams:
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors=FALLBACK)


def _look(text: str) -> str:
    """The same for texts that are drawn alike: composed and not, blanks, marks that nobody sees."""
    drawn = unicodedata.normalize("NFKD", text).translate(_DRAWN_ALIKE)
    seen = (one for one in drawn if not "\ufe00" <= one <= "\ufe0f" and one != "\u034f")
    return "".join(unicodedata.normalize("NFKC", "".join(seen)).split())


def _in_its_place(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    found = (_IN_ASCII.get(one) or one.encode("unicode_escape").decode() for one in lacking)
    return "".join(found), error.end


codecs.register_error(FALLBACK, _in_its_place)
