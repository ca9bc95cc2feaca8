"""Claims in words and figures: of one task for the terminal, the report and the cards; of several as a table.

How they are judged is in `pipeline.evaluation.claims`; nothing is judged here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.evaluation.results import ClaimResult, Results
from pipeline.ladder.claims import KINDS, qualified
from pipeline.reporting.cells import grouped, number, points

# Where the two rungs stand in the table, in place of their names.
PLACES = {"better": "the rung under *better*", "worse": "the one under *worse*"}
SIGNS = {"holds": "✓", "does not hold": "✗", "within noise": "≈", "not judged": "?"}
LEGEND = (
    "Claims: by how many points the better rung leads, ± half the 95 % interval (of accuracy, where it says "
    "so because the score is undefined). ✓: the claim holds. ✗: it does not, the worse rung leads. ≈: within "
    "noise, the data cannot tell. ?: not judged, a rung gives the same answer to every row or has no score."
)


def lines(claims: Sequence[ClaimResult], score_name: str) -> list[str]:
    """A line for each claim, then the rules they were judged by; nothing where nothing is claimed."""
    rules = dict.fromkeys(claim.rule for claim in claims if claim.measure)
    return [
        *(f"{verdict(claim)}: {sentence(claim, score_name)}" for claim in claims),
        *(f"A claim {rule}." for rule in rules),
    ]


def verdict(claim: ClaimResult) -> str:
    """With what else the rungs differ in: `holds (unequal steps)`."""
    return qualified(claim.verdict, claim.unequal if claim.measure else ())


def sentence(claim: ClaimResult, score_name: str) -> str:
    """What is claimed, its figures, which rung has collapsed, and what they rest on:
    `… accuracy 0.9380 against 0.8640, difference +0.0740 ± 0.0189 (95 %); 408 examples, one seed.`
    """
    figures = f"{score_name} is {claim.score_is}, and accuracy does not serve either"
    if claim.measure is not None and claim.values is not None:
        better, worse = (number(claim.values[name]) for name in claim.rungs)
        what = score_name
        if claim.measure != "score" and score_name != "accuracy":
            what = f"{claim.measure} ({score_name} is {claim.score_is})"
        difference = number(claim.difference, claim.margin, sign="+")
        figures = f"{what} {better} against {worse}, difference {difference} (95 %)"
    same = [f"{name} gives one answer to all rows" for name in claim.collapsed]
    return f"{claim.statement}. {'; '.join([figures, *same, rests_on(claim)])}."


def rests_on(claim: ClaimResult) -> str:
    """Number of examples and of seeds."""
    seeds = {0: "no seed", 1: "one seed"}.get(claim.num_seeds, f"{claim.num_seeds} seeds")
    return f"{claim.num_examples:,} examples, {seeds}"


@dataclass
class Row:
    """One claim over several tasks: its kind, the two rungs, and what each task's results say of it."""

    kind: str
    better: str
    worse: str
    by_task: dict[str, ClaimResult] = field(default_factory=dict)


def labelled(label: str, name: str) -> str:
    """A rung's name beside those of other ladders."""
    return f"{label} {name}" if label else name


def gather(sources: Iterable[tuple[str, Results]]) -> list[Row]:
    """From each ladder's label and results, in the order in which claims are met."""
    found: dict[tuple[str, ...], Row] = {}
    for label, results in sources:
        for claim in results.claims:
            key = (claim.claim, *(labelled(label, name) for name in claim.rungs))
            row = found.setdefault(key, Row(claim.claim, key[1], key[2]))
            row.by_task[results.task] = claim
    return list(found.values())


def grid(rows: Sequence[Row], tasks: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows; `tasks`: titles of the columns."""
    return ["claim", "better", "worse", *tasks.values(), "they also differ in"], [
        [
            row.kind,
            row.better,
            row.worse,
            *(_cell(row.by_task.get(task)) for task in tasks),
            _unequal(row, tasks),
        ]
        for row in rows
    ]


def notes(rows: Sequence[Row], tasks: Mapping[str, str]) -> list[str]:
    """What each claim says, what differences and signs mean and rest on; of rules that not all follow, which
    tasks do.
    """
    found = [
        (title, row.by_task[task]) for row in rows for task, title in tasks.items() if task in row.by_task
    ]
    if not found:
        return []
    judged = [(title, claim) for title, claim in found if claim.measure]
    rules = grouped((claim.rule, title) for title, claim in judged)
    rested = "; ".join(f"{of}: {b}" for b, of in grouped((rests_on(c), title) for title, c in judged).items())
    kinds = [kind for kind in dict.fromkeys(row.kind for row in rows) if kind in KINDS]
    return [
        LEGEND,
        *[f"Claims rest on: {rested}."] * bool(judged),
        *(f"A claim {rule if len(rules) == 1 else f'on {of} {rule}'}." for rule, of in rules.items()),
        *(f"{kind}: {KINDS[kind].statement.format(**PLACES)}." for kind in kinds),
    ]


def _cell(claim: ClaimResult | None) -> str:
    """`+7.4 ± 1.9 ✓`; accuracy's difference where a score is undefined, which is said."""
    if claim is None:
        return "-"
    sign = SIGNS[claim.verdict]
    if claim.measure is None:
        return sign
    instead = "" if claim.measure == "score" else f" {claim.measure}"
    return f"{points(claim.difference, claim.margin, sign='+')}{instead} {sign}"


def _unequal(row: Row, tasks: Mapping[str, str]) -> str:
    """`steps and data`, of all tasks alike; else task by task."""
    said = grouped(
        (" and ".join(row.by_task[t].unequal), title) for t, title in tasks.items() if t in row.by_task
    )
    if len(said) == 1:
        return next(iter(said)) or "-"
    return "; ".join(f"{of}: {what}" for what, of in said.items() if what)
