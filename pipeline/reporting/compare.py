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

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bitladder import files
from pipeline.evaluation.results import check
from pipeline.reporting import averaged, claimed
from pipeline.reporting.comparison import (
    SQUAD,
    Cell,
    Column,
    Comparison,
    MismatchError,
    Row,
    compare,
)
from pipeline.reporting.table import of_split
from pipeline.rungs import TEACHER

MIB = 2**20
_UNBOUNDED = 1000
_NEEDED = ("task", "metrics", "split", "rows", "models", "claims")
Grid = tuple[list[str], list[list[str]]]


def main(given: Sequence[str], *, as_json: bool, as_markdown: bool) -> int:
    """Print the table.

    Raises:
        MismatchError: the files do not make one.
        OtherFormatError: another version wrote one of them.
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


def read(given: str) -> tuple[str, str, dict[str, Any]]:
    """Label, file and results of `FILE` or `LABEL=FILE`."""
    label, equals, path = given.partition("=")
    label, path = (label, path) if equals else ("", given)
    try:
        results = files.read_json(Path(path))
    except json.JSONDecodeError as error:
        raise MismatchError(f"{path}: no JSON ({error}); expected a results.json") from None
    if not isinstance(results, dict) or any(key not in results for key in _NEEDED):
        raise MismatchError(f"{path}: no results; expected what `dvc repro evaluate` writes, results.json")
    check(results, path)
    return label, path, results


def grids(found: Comparison) -> list[tuple[str, Grid]]:
    """Scores and gaps of GLUE's tasks and others, then of SQuAD, then claims; what has no row is left out."""
    apart = [column for column in found.columns if column.key in SQUAD]
    others = [column for column in found.columns if column.key not in SQUAD]
    made = []
    if others:
        made.append(("score, in points", _scores(found, others)))
        made.append(("gap to the own teacher, in points", _gaps(found, others)))
    if apart:
        made.append(("SQuAD: exact match and F1, gap of the F1, in points", _squad(found, apart)))
    if found.claims:
        made.append(("claims", claimed.grid(found.claims, _tasks(found))))
    return made


def notes(found: Comparison) -> list[str]:
    """What the numbers are, a sentence each."""
    two = [column.title for column in found.columns if "," in column.metric]
    return [
        *(average.says for average in found.averages),
        *(
            [f"{', '.join(two)}: the mean of both metrics, as GLUE has it; papers often print one."]
            * bool(two)
        ),
        *_of_seeds(found),
        *_of_selection(found),
        *(
            f"{column.title}: {column.rows[0]} of the {column.rows[1]} rows."
            for column in found.columns
            if column.rows[0] != column.rows[1]
        ),
        *_of_one_answer(found),
        *of_split(row.unusual for row in found.rows),
        *claimed.notes(found.claims, _tasks(found)),
        "Gap: seed by seed to the teacher of that seed. MiB: the packed file, the largest of all tasks'. "
        "A mean with an undefined score is undefined; papers count such a Matthews correlation as 0.",
    ]


def markdown(found: Comparison) -> str:
    """The same tables for a README."""
    parts = []
    for title, (headings, rows) in grids(found):
        aligned = ["---", *(["---:"] * (len(headings) - 1))]
        lines = [f"| {' | '.join(map(_cell_text, cells))} |" for cells in (headings, aligned, *rows)]
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
        "claims": [asdict(row) for row in found.claims],
        "notes": notes(found),
    }


def _print(found: Comparison) -> None:
    console = Console(highlight=False)
    for title, (headings, rows) in grids(found):
        table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
        for number, heading in enumerate(headings):
            table.add_column(
                Text(heading.replace(" (", "\n(")), justify="right" if number else "left", no_wrap=True
            )
        for row in rows:
            table.add_row(*map(Text, row))
        # Wider than the terminal is still better than numbers cut short, which is what rich would do.
        console.width = max(console.width, Console(width=_UNBOUNDED).measure(table).maximum)
        console.print(table)
        console.print()
    for line in notes(found):
        console.print(Text(line))


def _scores(found: Comparison, columns: Sequence[Column]) -> Grid:
    headings = ["model", "W-E-A", *map(_heading, columns), *(mean.title for mean in found.averages), "MiB"]
    return headings, [
        [
            row.name,
            _bits(row),
            *(_points(row.cells.get(column.key)) for column in columns),
            *(_mean(row, mean.columns, row.mean(mean)) for mean in found.averages),
            f"{max(row.bytes.values()) / MIB:.2f}",
        ]
        for row in found.rows
        if any(column.key in row.cells for column in columns)
    ]


def _gaps(found: Comparison, columns: Sequence[Column]) -> Grid:
    headings = ["model", *(column.title for column in columns), *(mean.title for mean in found.averages)]
    return headings, [
        [
            row.name,
            *(_gap(row.cells.get(column.key)) for column in columns),
            *(_mean(row, mean.columns, row.mean(mean, "gap"), sign="+") for mean in found.averages),
        ]
        for row in found.rows
        if not _is_teacher(row) and any(column.key in row.cells for column in columns)
    ]


def _squad(found: Comparison, columns: Sequence[Column]) -> Grid:
    headings = [f"{column.title} {what}" for column in columns for what in ("EM", "F1", "gap")]
    return ["model", "W-E-A", *headings, "MiB"], [
        [
            row.name,
            _bits(row),
            *(text for column in columns for text in _answers(row, row.cells.get(column.key))),
            f"{max(row.bytes.values()) / MIB:.2f}",
        ]
        for row in found.rows
        if any(column.key in row.cells for column in columns)
    ]


def _answers(row: Row, cell: Cell | None) -> list[str]:
    if cell is None:
        return ["-", "-", "-"]
    gap = "-" if _is_teacher(row) else _gap(cell)
    exact = _number(cell.metrics["exact_match"], cell.metrics_std["exact_match"])
    return [exact, _points(cell), gap]


def _of_seeds(found: Comparison) -> list[str]:
    """Over how many seeds the numbers of each column are means."""
    columns: dict[str, list[str]] = {}
    for column in found.columns:
        counts = [cell.num_seeds for _, cell in _cells(found, column)]
        fewest, most = min(counts), max(counts)
        columns.setdefault(str(most) if fewest == most else f"{fewest} to {most}", []).append(column.title)
    said = [f"{count} for {', '.join(titles)}" for count, titles in sorted(columns.items())]
    several = "Mean ± standard deviation over seeds. " if _has_spread(found) else ""
    return [f"{several}Seeds: {'; '.join(said)}."]


def _of_one_answer(found: Comparison) -> list[str]:
    """Where a model gives one answer, and what the most frequent one would score."""
    if not any(cell.collapsed for row in found.rows for cell in row.cells.values()):
        return []
    scores = [
        f"{column.title} {_number(column.constant)}"
        for column in found.columns
        if column.constant is not None
    ]
    chance = f" Always giving the most frequent one scores: {'; '.join(scores)}." if scores else ""
    return [averaged.SAYS_COLLAPSED + chance]


def _has_spread(found: Comparison) -> bool:
    return any(
        deviation is not None
        for row in found.rows
        for cell in row.cells.values()
        for deviation in (cell.std, cell.gap_std, *cell.metrics_std.values())
    )


def _of_selection(found: Comparison) -> list[str]:
    """What checkpoints were chosen on; the peers' habit is called optimistic, row by row."""
    held_out, optimistic = (_where(found, is_so) for is_so in (False, True))
    return [
        *([f"Checkpoints chosen on rows held out of train: {held_out}."] * bool(held_out)),
        *([f"Chosen on the split that is reported, so optimistic: {optimistic}."] * bool(optimistic)),
    ]


def _where(found: Comparison, optimistic: bool) -> str:
    """`CoLA, RTE`, and of columns that have both kinds their rows: `of QNLI the models w1, w2`."""
    titles: dict[str, list[str]] = {}
    for column in found.columns:
        cells = _cells(found, column)
        rows = [name for name, cell in cells if cell.is_optimistic == optimistic]
        if rows:
            some = "" if len(rows) == len(cells) else ", ".join(rows)
            titles.setdefault(some, []).append(column.title)
    return "; ".join(
        f"of {', '.join(each)} the models {rows}" if rows else ", ".join(each)
        for rows, each in titles.items()
    )


def _cells(found: Comparison, column: Column) -> list[tuple[str, Cell]]:
    """A column from above to below, with the names of the rows."""
    return [(row.name, row.cells[column.key]) for row in found.rows if column.key in row.cells]


def _tasks(found: Comparison) -> dict[str, str]:
    """Titles of tasks, of MNLI that of its first column: claims are about it."""
    return {column.task: column.title for column in found.columns if column.key == column.task}


def _heading(column: Column) -> str:
    return f"{column.title} ({column.metric})"


def _bits(row: Row) -> str:
    return ", ".join(["-".join(map(str, row.bits)), *row.unusual])


def _is_teacher(row: Row) -> bool:
    return row.name.split(" ")[-1] == TEACHER


def _points(cell: Cell | None) -> str:
    return "-" if cell is None else averaged.marked(_number(cell.score, cell.std), cell.collapsed)


def _gap(cell: Cell | None) -> str:
    return "-" if cell is None else averaged.marked(_number(cell.gap, cell.gap_std, sign="+"), cell.collapsed)


def _mean(row: Row, keys: Sequence[str], value: float | None, *, sign: str = "") -> str:
    """A dash where the model has not been scored on all of these; † where it has collapsed on one."""
    if not all(key in row.cells for key in keys):
        return "-"
    return averaged.marked(
        _number(value, sign=sign), [seed for key in keys for seed in row.cells[key].collapsed]
    )


def _number(value: float | None, deviation: float | None = None, *, sign: str = "") -> str:
    if value is None:
        return "undefined"
    return f"{100 * value:{sign}.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def _cell_text(text: str) -> str:
    return text.replace("|", "\\|")
