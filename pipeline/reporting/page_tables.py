"""The tables of report.html: headings, and rows of text. The template makes cards of the rows on a phone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitladder.packed.size import MIB, Sizes
from pipeline.evaluation.agreement import Agreement
from pipeline.evaluation.errors import Errors
from pipeline.evaluation.results import Results
from pipeline.record import Record, origins
from pipeline.reporting import table
from pipeline.reporting.speed import Speeds
from pipeline.rungs import TEACHER

CLASSES = 12  # that are shown: those with most errors, where there are more


@dataclass(frozen=True)
class PageTable:
    """Attributes:
    left: headings of columns of words, which stand on the left; the first column always does.
    bars: by row, the share of a bar behind its last cell; None without bars.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[str] = ()
    bars: Sequence[float] | None = None


def results_of(results: Results, speeds: Speeds | None) -> PageTable:
    """As the terminal has them, with milliseconds where they were measured."""
    rows = table.rows(results)
    if speeds:
        for row in rows:
            own = speeds.models.get(row["rung"])
            row["ms"] = f"{own.milliseconds.median:.3g}" if own else "-"
    return PageTable(list(rows[0]), [list(row.values()) for row in rows], left=("from", table.UNUSUAL))


def speeds_of(speeds: Speeds) -> PageTable:
    """The fastest first."""
    ranked = sorted(speeds.models.items(), key=lambda one: one[1].milliseconds.median)
    most = max(speed.milliseconds.median for _, speed in ranked)
    rows = []
    for name, speed in ranked:
        own, times = speed.milliseconds, speeds.times_as_fast(name)
        spread = f"{own.low:.3g}-{own.high:.3g}"
        rows.append([name, speed.engine, f"{times:.2f}" if times else "-", spread, f"{own.median:.3g}"])
    return PageTable(
        ["model", "engine", "times as fast as the teacher", "quartiles, ms", "one text, ms"],
        rows,
        left=("engine",),
        bars=[speed.milliseconds.median / most for _, speed in ranked],
    )


def classes_of(errors: Errors, name: str) -> PageTable | None:
    """By class, the teacher's errors and the model's; those with most of them where there are many."""
    own, teacher = errors.models[name], errors.models[TEACHER]
    if errors.classes is None or own.wrong is None or teacher.wrong is None:
        return None
    rows_of, wrong, others = errors.classes, own.wrong, teacher.wrong
    most = sorted(rows_of, key=lambda one: -wrong[one])[:CLASSES]
    shown = [one for one in rows_of if one in most]
    rows = [
        [one, f"{rows_of[one]:,}", _share(others[one], rows_of[one]), _share(wrong[one], rows_of[one])]
        for one in shown
    ]
    bars = [wrong[one] / max(rows_of[one], 1) for one in shown]
    return PageTable(["class", "rows", f"wrong: {TEACHER}", f"wrong: {name}"], rows, bars=bars)


def furthest_of(errors: Errors, name: str, texts: Mapping[int, str]) -> PageTable | None:
    """The rows on which the model is furthest from its teacher."""
    rows = [
        [texts.get(one.row, f"row {one.row}"), one.truth, one.teacher, one.model, f"{one.distance:.3f}"]
        for one in errors.models[name].furthest
    ]
    headings = ["text", "right", TEACHER, name, "distance"]
    return PageTable(headings, rows, left=("text", "right", TEACHER, name)) if rows else None


def sizes_of(sizes: Mapping[str, Sizes]) -> PageTable:
    """Bytes of every part of every packed file."""
    names = list(dict.fromkeys(part.part for found in sizes.values() for part in found.parts))
    rows = []
    for rung, found in sizes.items():
        stored = {part.part: part.stored_bytes for part in found.parts}
        cells = [f"{stored[name]:,}" if name in stored else "-" for name in names]
        rows.append([rung, *cells, f"{found.file_bytes:,}", f"{found.file_bytes / MIB:.3f}"])
    return PageTable(["bytes", *names, "file", "MiB"], rows)


def agreements_of(agreements: Mapping[str, Agreement]) -> PageTable:
    """Packed against trained, by torch and by our kernels."""
    rows = []
    for rung, agreement in agreements.items():
        for split, found in agreement.splits.items():
            row = [rung, split, f"{found.rows:,}"]
            for own in (found, found.by_kernels):
                row.append(f"{own.largest_logit_difference:.3g}" if own else "-")
                row.append(f"{own.label_agreement:.2%}" if own and own.label_agreement is not None else "-")
            rows.append(row)
    headings = [
        "rung",
        "split",
        "rows",
        "largest difference of a logit",
        "equal labels",
        "difference, by kernels",
        "equal labels, by kernels",
    ]
    return PageTable(headings, rows, left=("split",))


def data_of(data: Mapping[str, Any]) -> PageTable:
    """Rows and labels of each split; how many rows stand twice."""
    rows = []
    for split, found in data["splits"].items():
        labels = ", ".join(f"{label}: {count:,}" for label, count in found["labels"].items())
        twice = [found.get("duplicates"), found.get("rows_also_in_train")]
        rows.append([split, f"{found['rows']:,}", labels, *("-" if n is None else f"{n:,}" for n in twice)])
    return PageTable(["split", "rows", "labels", "duplicates", "also in train"], rows, left=("labels",))


def first_weights_of(records: Mapping[str, Record]) -> PageTable:
    """Where each part of each rung's first weights came from."""
    rows = [
        [rung, part, str(origin)]
        for rung, found in records.items()
        for part, origin in origins(found.init).items()
    ]
    return PageTable(["rung", "part", "first weights"], rows, left=("part", "first weights"))


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.1%})" if whole else f"{part:,}"
