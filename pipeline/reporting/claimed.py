"""Claims of several tasks side by side: a row for each, a column for each task, in points.

How they are judged is in `pipeline.evaluation.claims`; nothing is judged here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.evaluation.claims import SCORE
from pipeline.reporting.verdicts import rests_on, verdict

HEADINGS = ("claim", "better", "worse")
_DASH = "-"

Claim = Mapping[str, Any]


@dataclass
class Claimed:
    """One claim.

    Attributes:
        kind: its name, `stepped` for one.
        better, worse: the two rungs.
        by_task: what each task's results say of it.
    """

    kind: str
    better: str
    worse: str
    by_task: dict[str, Claim] = field(default_factory=dict)


def labelled(label: str, name: str) -> str:
    """A rung's name beside those of other ladders."""
    return f"{label} {name}" if label else name


def gather(sources: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[Claimed]:
    """From (label, file, results) of each task, in the order in which they are met."""
    found: dict[tuple[str, ...], Claimed] = {}
    for label, _, results in sources:
        for claim in results["claims"]:
            better, worse = (labelled(label, name) for name in claim["rungs"])
            row = found.setdefault((claim["claim"], better, worse), Claimed(claim["claim"], better, worse))
            row.by_task[results["task"]] = claim
    return list(found.values())


def grid(claims: Sequence[Claimed], tasks: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows; `tasks`: titles of the columns."""
    return [*HEADINGS, *tasks.values()], [
        [row.kind, row.better, row.worse, *(cell(row.by_task.get(task)) for task in tasks)] for row in claims
    ]


def cell(claim: Claim | None) -> str:
    """`+7.4 ± 1.9: holds (unequal data)`; accuracy's difference where a score is undefined, which is said."""
    if claim is None:
        return _DASH
    if claim["measure"] is None:
        return verdict(claim)
    instead = "" if claim["measure"] == SCORE else f" {claim['measure']}"
    return f"{100 * claim['difference']:+.1f} ± {100 * claim['margin']:.1f}{instead}: {verdict(claim)}"


def notes(claims: Sequence[Claimed], tasks: Mapping[str, str]) -> list[str]:
    """What differences and verdicts mean and rest on; of rules that not all follow, which tasks do."""
    found = [
        (title, claim) for row in claims for task, title in tasks.items() if (claim := row.by_task.get(task))
    ]
    if not found:
        return []
    judged = [(title, claim) for title, claim in found if claim["measure"]]
    rules = _titles((claim["rule"], title) for title, claim in judged)
    bases = _titles((rests_on(claim), title) for title, claim in judged)
    rested = "; ".join(f"{of}: {basis}" for basis, of in bases.items())
    return [
        "Claims: difference in points ± half its 95 % interval. accuracy: where the score is undefined; not "
        "judged: where a rung gives one answer to all rows, or has no score.",
        *[f"Claims rest on: {rested}."] * bool(judged),
        *(f"A claim {rule if len(rules) == 1 else f'on {of} {rule}'}." for rule, of in rules.items()),
    ]


def _titles(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Of each text the titles it is said of, each once."""
    found: dict[str, dict[str, None]] = {}
    for text, title in said:
        found.setdefault(text, {})[title] = None
    return {text: ", ".join(titles) for text, titles in found.items()}
