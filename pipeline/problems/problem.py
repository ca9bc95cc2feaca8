"""One thing wrong with params.yaml: where it is and what would have been right."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

from pipeline.rungs import Rung

_LONGEST_LINE = 500
_COMMIT = re.compile(r"[0-9a-f]{40}")

Found = Iterator[tuple[str, str]]  # a field of a rung, and what is wrong with it


@dataclass(frozen=True)
class Problem:
    """`field` is dotted, as in `weights.w1.bits`; `sentence` names the value and what is allowed."""

    field: str
    sentence: str

    def __str__(self) -> str:
        """One line, whatever was in the file."""
        line = f"{self.field}: {self.sentence}"
        line = line if line.isprintable() else ascii(line)[1:-1]
        return line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + "..."


def of_rung(name: str, rung: Rung, *found: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """What was found, with the rung's own place before each field."""
    for field, sentence in chain.from_iterable(found):
        yield Problem(f"{rung.stage}.{name}.{field}", sentence)


def unknown(
    what: str, word: str, known: Iterable[str], *, which: str = "known", among: Iterable[str] | None = None
) -> str:
    """`no rung 'w44'; did you mean 'w4'? known: teacher, w4, w8`. `among`: those listed, if not all known."""
    known = list(known)
    return f"no {what} {word!r}; {did_you_mean(word, known)}{which}: {listed(among or known)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "did you mean 'w2'? " when one known word is close, else nothing; ends in a space for what follows."""
    close = get_close_matches(word.replace("-", "_"), list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def from_here(path: Path) -> str:
    """What to say behind a path that is not there: a relative one leads somewhere else in another folder."""
    if path.is_absolute():
        return ""
    return (
        f" in {Path.cwd()}; it is a relative path, and an absolute one is right wherever it is read "
        "(`dvc exp run --temp` works in a copy of the project elsewhere)"
    )


def listed(words: Iterable[object]) -> str:
    return ", ".join(str(word) for word in words)


def pinned(section: str, revision: str | None) -> Iterator[Problem]:
    """What is wrong with a revision of the Hub, where only a commit names the same bytes for ever."""
    if revision is None:
        yield Problem(f"{section}.revision", f"missing; {section}.source: hub needs a commit (40 hex digits)")
    elif not _COMMIT.fullmatch(revision):
        sentence = f"{revision!r} can change; write a commit (40 hex digits), which cannot"
        yield Problem(f"{section}.revision", sentence)
