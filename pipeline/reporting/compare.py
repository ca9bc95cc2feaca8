"""`bitladder compare FILE...`: results of several tasks as one table, for the terminal, Markdown or JSON.

Scores are in points, a hundred times what `bitladder results` shows, as papers print them; JSON has them as
they are.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.evaluation import results
from pipeline.reporting import cells, claims
from pipeline.reporting.cells import grouped, marked, points
from pipeline.reporting.columns import SQUAD, Average, Cell, Column, Comparison, Row, Source, compare
from pipeline.reporting.table import print_lines, print_table

BITS = "W-E-A"
HELD_OUT = "Checkpoints chosen on rows held out of train"
OPTIMISTIC = "Chosen on the split that is reported, so optimistic"
Grid = tuple[list[str], list[list[str]]]


def main(given: Sequence[str], *, as_json: bool, as_markdown: bool) -> int:
    """Print the table.

    Raises:
        MismatchError: the files do not make one.
        OtherFormatError: one is no results.json of this version.
        FileNotFoundError: one is not there.
    """
    found = compare([read(one) for one in given])
    if as_json:
        sys.stdout.write(json.dumps(data(found), indent=2, allow_nan=False) + "\n")
    elif as_markdown:
        sys.stdout.write(markdown(found))
    else:
        _print(found)
    return 0


def read(given: str) -> Source:
    """`FILE` or `LABEL=FILE`."""
    label, equals, path = given.partition("=")
    label, path = (label, path) if equals else ("", given)
    return Source(label, path, results.read(Path(path)))


def grids(found: Comparison) -> list[tuple[str, Grid]]:
    """Scores and gaps of GLUE's tasks and others, then of SQuAD, then claims; what has no row is left out."""
    apart = [column for column in found.columns if column.key in SQUAD]
    others = [column for column in found.columns if column.key not in SQUAD]
    made = [
        ("score, in points", _scores(found, others)),
        ("gap to the own teacher, in points", _gaps(found, others)),
        ("SQuAD: exact match and F1, gap of the F1, in points", _squad(found, apart)),
        ("claims", claims.grid(found.claims, _tasks(found))),
    ]
    return [(title, grid) for title, grid in made if grid[1]]


def notes(found: Comparison) -> list[str]:
    """What the numbers are, a sentence each."""
    two = ", ".join(column.title for column in found.columns if "," in column.metric)
    return [
        f"{BITS}: bits of weights, embeddings and activations; 32 is full precision.",
        *(average.says for average in found.averages),
        *([f"{two}: the mean of both metrics, as GLUE has it; papers often print one."] * bool(two)),
        *_of_seeds(found),
        *_of_selection(found),
        *(
            f"{column.title}: {column.rows[0]} of the {column.rows[1]} rows."
            for column in found.columns
            if column.rows[0] != column.rows[1]
        ),
        *_of_one_answer(found),
        *cells.unusual_notes(row.unusual for row in found.rows),
        "Gap: seed by seed to the teacher of that seed. MiB: the packed file, the largest of all tasks'. "
        "A mean with an undefined score is undefined; papers count such a Matthews correlation as 0.",
        *claims.notes(found.claims, _tasks(found)),
    ]


def markdown(found: Comparison) -> str:
    """The same tables for a page."""
    parts = []
    for title, (headings, rows) in grids(found):
        aligned = ["---", *(["---:"] * (len(headings) - 1))]
        escaped = ([cell.replace("|", "\\|") for cell in line] for line in (headings, aligned, *rows))
        lines = [f"| {' | '.join(line)} |" for line in escaped]
        parts.append("\n".join([f"{title[0].upper()}{title[1:]}:", "", *lines]))
    return "\n\n".join([*parts, "\n".join(f"- {line}" for line in notes(found))]) + "\n"


def data(found: Comparison) -> dict[str, Any]:
    """Everything, scores as they are and not in points."""
    return {
        "columns": [asdict(column) for column in found.columns],
        "models": {
            row.name: {
                "bits": dict(zip(("weights", "embeddings", "activations"), row.bits, strict=True)),
                "unusual": list(row.unusual),
                "bytes": row.bytes,
                "scores": {
                    key: asdict(cell) | {"optimistic": cell.is_optimistic} for key, cell in row.cells.items()
                },
                "averages": {
                    average.title: {"score": row.mean(average), "gap": row.mean(average, "gap")}
                    for average in found.averages
                },
            }
            for row in found.rows
        },
        "averages": {average.title: list(average.columns) for average in found.averages},
        "claims": [
            vars(row) | {"by_task": {task: claim.as_dict() for task, claim in row.by_task.items()}}
            for row in found.claims
        ],
        "notes": notes(found),
    }


def _print(found: Comparison) -> None:
    for title, (headings, rows) in grids(found):
        broken = [heading.replace(" (", "\n(") for heading in headings]
        print_table(title, broken, rows, left=broken[:1])
        print_lines([""])
    print_lines(notes(found))


def _scores(found: Comparison, columns: Sequence[Column]) -> Grid:
    headings = [f"{column.title} ({column.metric})" for column in columns]
    return ["model", BITS, *headings, *(mean.title for mean in found.averages), "MiB"], [
        [
            *(row.name, row.described),
            *(_score(row.cells.get(column.key)) for column in columns),
            *(_mean(row, mean) for mean in found.averages),
            row.mib,
        ]
        for row in found.having(columns)
    ]


def _gaps(found: Comparison, columns: Sequence[Column]) -> Grid:
    headings = ["model", *(column.title for column in columns), *(mean.title for mean in found.averages)]
    return headings, [
        [
            row.name,
            *(_gap(row.cells.get(column.key)) for column in columns),
            *(_mean(row, mean, "gap", sign="+") for mean in found.averages),
        ]
        for row in found.having(columns)
        if not row.is_teacher
    ]


def _squad(found: Comparison, columns: Sequence[Column]) -> Grid:
    headings = [f"{column.title} {what}" for column in columns for what in ("EM", "F1", "gap")]
    return ["model", BITS, *headings, "MiB"], [
        [row.name, row.described, *(text for column in columns for text in _answers(row, column)), row.mib]
        for row in found.having(columns)
    ]


def _answers(row: Row, column: Column) -> list[str]:
    cell = row.cells.get(column.key)
    exact = points(cell.metrics["exact_match"], cell.metrics_std["exact_match"]) if cell else "-"
    return [exact, _score(cell), "-" if row.is_teacher else _gap(cell)]


def _score(cell: Cell | None) -> str:
    return "-" if cell is None else marked(points(cell.score, cell.std), cell.collapsed)


def _gap(cell: Cell | None) -> str:
    return "-" if cell is None else marked(points(cell.gap, cell.gap_std, sign="+"), cell.collapsed)


def _mean(row: Row, average: Average, what: str = "score", *, sign: str = "") -> str:
    """A dash where the model has not been scored on all of these; † where it has collapsed on one."""
    if not all(key in row.cells for key in average.columns):
        return "-"
    seeds = [seed for key in average.columns for seed in row.cells[key].collapsed]
    return marked(points(row.mean(average, what), sign=sign), seeds)


def _of_seeds(found: Comparison) -> list[str]:
    """Over how many seeds the numbers of each column are means."""
    counts = {column.title: {c.num_seeds for c in found.cells(column).values()} for column in found.columns}
    said = grouped((" to ".join(map(str, sorted({min(n), max(n)}))), title) for title, n in counts.items())
    several = "Mean ± standard deviation over seeds. " if max(map(max, counts.values())) > 1 else ""
    return [f"{several}Seeds: {'; '.join(f'{count} for {of}' for count, of in sorted(said.items()))}."]


def _of_one_answer(found: Comparison) -> list[str]:
    """Where a model gives one answer, and what the most frequent one would score."""
    if not any(cell.collapsed for row in found.rows for cell in row.cells.values()):
        return []
    known = [column for column in found.columns if column.constant is not None]
    scores = "; ".join(f"{column.title} {points(column.constant)}" for column in known)
    chance = f" Always giving the most frequent one scores: {scores}." if scores else ""
    return [cells.SAYS_COLLAPSED + chance]


def _of_selection(found: Comparison) -> list[str]:
    """What checkpoints were chosen on; the peers' habit is called optimistic.

    `CoLA, RTE`, and of columns that have both kinds their rows: `of QNLI the models w1, w2`.
    """
    notes = []
    for habit, optimistic in ((HELD_OUT, False), (OPTIMISTIC, True)):
        said = []
        for column in found.columns:
            every = found.cells(column)
            rows = [name for name, cell in every.items() if cell.is_optimistic == optimistic]
            if rows:
                said.append(("" if len(rows) == len(every) else ", ".join(rows), column.title))
        where = (f"of {of} the models {rows}" if rows else of for rows, of in grouped(said).items())
        notes += [f"{habit}: {'; '.join(where)}."] * bool(said)
    return notes


def _tasks(found: Comparison) -> dict[str, str]:
    """Titles of tasks, of MNLI that of its first column: claims are about it."""
    return {column.task: column.title for column in found.columns if column.key == column.task}
