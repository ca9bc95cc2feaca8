"""Claims of several tasks side by side: a row for each, a column for each task, in points.

How they are judged is in `pipeline.evaluation.claims`; nothing is judged here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.evaluation.claims import SCORE
from pipeline.reporting.verdicts import verdict

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


def gather(sources: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[Claimed]:
    """From (label, file, results) of each task, in the order in which they are met."""
    found: dict[tuple[str, ...], Claimed] = {}
    for label, _, results in sources:
        for claim in results["claims"]:
            better, worse = (f"{label} {name}".strip() for name in claim["rungs"])
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


def notes(claims: Sequence[Claimed]) -> list[str]:
    """The rules they were judged by, each once."""
    every = [claim for row in claims for claim in row.by_task.values()]
    rules = dict.fromkeys(claim["rule"] for claim in every if claim["measure"])
    return [
        *["Difference in points ± half the 95 % interval."] * bool(rules),
        *(f"A claim {rule}." for rule in rules),
    ]
