"""Results of several tasks side by side, and the two averages over GLUE that tables of papers mix.

Columns stand in GLUE's order. MNLI has two numbers, matched and mismatched. BinaryBERT and BiBERT average
nine numbers, with both; BiT averages eight, with MNLI-m alone, and prints the others' nine-number averages
beside its own. Only all eight tasks without WNLI make either; the mean of fewer is called what it is. SQuAD
stands apart and is in no average.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.evaluation.seeds import by_seed, collapsed
from pipeline.evaluation.selection import is_optimistic
from pipeline.reporting import averaged
from pipeline.reporting.claimed import Claimed, gather, labelled
from pipeline.reporting.table import in_order
from pipeline.rungs import TEACHER

MISMATCHED = "mnli-mm"
NAMES = {
    "cola": "CoLA",
    "sst2": "SST-2",
    "mrpc": "MRPC",
    "stsb": "STS-B",
    "qqp": "QQP",
    "mnli": "MNLI-m",
    MISMATCHED: "MNLI-mm",
    "qnli": "QNLI",
    "rte": "RTE",
    "wnli": "WNLI",
}
NINE = tuple(name for name in NAMES if name != "wnli")
EIGHT = tuple(name for name in NINE if name != MISMATCHED)
SQUAD = {"squad": "SQuAD 1.1", "squad_v2": "SQuAD 2.0"}
_METRICS = {
    "accuracy": "accuracy",
    "f1": "F1",
    "matthews_correlation": "Matthews",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "exact_match": "EM",
}
BITS = ("weight_bits", "embedding_bits", "activation_bits")


class MismatchError(ValueError):
    """These results do not make one table."""

    exit_code = 2


@dataclass(frozen=True)
class Cell:
    """A model on a column's split, means over its seeds; None is undefined.

    Attributes:
        metrics, metrics_std: one by one, with their spread, which one seed does not have.
        selected_on: what its checkpoint was chosen on.
        collapsed: the seeds whose model gives one answer to all rows of the task's first split.
    """

    score: float | None
    gap: float | None
    std: float | None
    gap_std: float | None
    num_seeds: int
    metrics: Mapping[str, float | None]
    metrics_std: Mapping[str, float | None]
    selected_on: str
    collapsed: tuple[str, ...]

    @property
    def is_optimistic(self) -> bool:
        return is_optimistic(self.selected_on)


@dataclass(frozen=True)
class Column:
    """One number of a task.

    Attributes:
        metric: what the number is; of two metrics it is the mean.
        rows: that were scored, of so many.
        constant: what always giving the most frequent answer scores; None where that has no score.
        file: the results that it comes from.
    """

    key: str
    title: str
    task: str
    metric: str
    split: str
    rows: tuple[int, int]
    constant: float | None
    file: str


@dataclass(frozen=True)
class Average:
    """A mean over columns, and what it may be called."""

    title: str
    columns: tuple[str, ...]
    says: str


@dataclass
class Row:
    """One model: its bits, what else is unusual of it, its file's bytes by task, its numbers by column."""

    name: str
    bits: tuple[int, int, int]
    unusual: tuple[str, ...] = ()
    bytes: dict[str, int] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)

    def mean(self, average: Average, what: str = "score") -> float | None:
        """None when a number is missing or undefined: no mean leaves out what it is named after."""
        values = [getattr(self.cells.get(key), what, None) for key in average.columns]
        defined = [value for value in values if value is not None]
        return sum(defined) / len(defined) if len(defined) == len(values) else None


@dataclass(frozen=True)
class Comparison:
    columns: list[Column]
    rows: list[Row]
    averages: list[Average]
    claims: list[Claimed]


def compare(sources: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Comparison:
    """One table from (label, file, results) of each task; several files of a task need labels that differ.

    Raises:
        MismatchError: two results of a task under one label, of different splits or metrics, or a model whose
            bits, or what is unusual of it, differ from task to task.
    """
    columns: dict[str, Column] = {}
    rows: dict[str, Row] = {}
    given: dict[tuple[str, str], str] = {}
    one_teacher = _share_a_teacher(sources)
    for label, file, results in sources:
        key = (label, results["task"])
        if key in given:
            raise MismatchError(
                f"{file}: results of {key[1]}, as {given[key]}; name ladders apart, as in bit={file}"
            )
        given[key] = file
        for column in _columns(file, results):
            _agree(columns.setdefault(column.key, column), column)
            _fill(rows, column, label, results, one_teacher=one_teacher)
    ordered = sorted(columns.values(), key=lambda column: _place(column.key))
    rows_in_order = _in_order(sources, rows, one_teacher)
    return Comparison(ordered, rows_in_order, averages(columns), gather(sources))


def averages(keys: Iterable[str]) -> list[Average]:
    """The means that these columns have, by name; none of a single task."""
    found = set(keys)
    eight = tuple(key for key in EIGHT if key in found)
    nine = tuple(key for key in NINE if key in found)
    if len(eight) < 2:
        return []
    whole = eight == EIGHT
    means = [_average(eight, "8" if whole else "", "MNLI-m only (BiT's)" if whole else _matched(eight))]
    if MISMATCHED in found:
        says = "MNLI-m and -mm (BinaryBERT's and BiBERT's)" if whole else "MNLI-m and -mm"
        means.append(_average(nine, "9" if whole else "", says))
    return means


def _average(keys: tuple[str, ...], of_glue: str, says: str) -> Average:
    names = ", ".join(NAMES[key] for key in keys)
    if of_glue:
        return Average(f"GLUE, {of_glue}", keys, f"GLUE, {of_glue}: mean of {of_glue} numbers, {says}.")
    detail = f" ({says})" if says else ""
    unit = "numbers" if MISMATCHED in keys else "tasks"
    return Average(
        f"mean of {len(keys)}", keys, f"mean of {len(keys)} {unit}: {names}{detail}; not GLUE's average."
    )


def _matched(keys: tuple[str, ...]) -> str:
    return "MNLI-m only" if "mnli" in keys else ""


def _columns(file: str, results: Mapping[str, Any]) -> list[Column]:
    """One; of MNLI two where both splits were scored."""
    task, splits = results["task"], list(results["rows"])
    keys = [task, MISMATCHED] if task == "mnli" else [task]
    titles = {**NAMES, **SQUAD}
    return [
        Column(
            key=key,
            title=titles.get(key, key),
            task=task,
            metric="F1"
            if results.get("kind") == "question_answering"
            else ", ".join(_METRICS[name] for name in results["metrics"]),
            split=split,
            rows=(results["rows"][split], results.get("rows_read", results["rows"])[split]),
            constant=results["majority_score"] if split == results["split"] else results["majority"][split],
            file=file,
        )
        for key, split in zip(keys, splits, strict=False)
    ]


def _agree(known: Column, column: Column) -> None:
    for what in ("metric", "split", "rows", "constant"):
        if getattr(known, what) != getattr(column, what):
            raise MismatchError(
                f"{column.file}: {what} of {column.title} is {getattr(column, what)}, {known.file} has "
                f"{getattr(known, what)}; one column can hold one of them"
            )


def _fill(
    rows: dict[str, Row], column: Column, label: str, results: Mapping[str, Any], *, one_teacher: bool
) -> None:
    models = results["models"]
    for name, model in models.items():
        shown, bits = _name(label, name, one_teacher), tuple(model[key] for key in BITS)
        row = rows.setdefault(shown, Row(shown, bits, tuple(model["unusual"])))
        own, known = _said(bits, model["unusual"]), _said(row.bits, row.unusual)
        if own != known:
            raise MismatchError(
                f"{column.file}: {shown} has {own}; elsewhere {known}; name ladders apart, as in "
                f"bit={column.file}"
            )
        row.bytes[column.task] = model["bytes"]
        row.cells[column.key] = _cell(model, models[TEACHER], column, column.split == results["split"])


def _cell(model: Mapping[str, Any], teacher: Mapping[str, Any], column: Column, is_first: bool) -> Cell:
    """Of the first split the task's score; of MNLI's second one its only metric."""
    found = {name: averaged.metric(model, column.split, name) for name in model["scores"][column.split]}
    only = next(iter(found))
    score, std = (averaged.score(model), averaged.spread(model)) if is_first else found[only]
    gap, gap_std = (
        (averaged.gap(model), averaged.gap_spread(model))
        if is_first
        else averaged.metric_gap(model, teacher, column.split, only)
    )
    return Cell(
        *(score, gap, std, gap_std, averaged.num_seeds(model)),
        metrics={name: value for name, (value, _) in found.items()},
        metrics_std={name: deviation for name, (_, deviation) in found.items()},
        selected_on=model["selected_on"],
        collapsed=tuple(collapsed(model)) if is_first else (),
    )


def _share_a_teacher(sources: Sequence[tuple[str, str, Mapping[str, Any]]]) -> bool:
    """Whether all ladders descend from the same teacher of each task, and know as much of it.

    A teacher of three seeds here and of one there has two rows: each ladder's gaps are to its own row.
    """
    known: dict[str, list[Any]] = {}
    for _, _, results in sources:
        teacher = results["models"][TEACHER]
        found = (teacher["digest"], teacher["selected_on"], by_seed(teacher))
        known.setdefault(results["task"], []).append(found)
    return all(found == same[0] for same in known.values() for found in same)


def _name(label: str, name: str, one_teacher: bool) -> str:
    return name if name == TEACHER and one_teacher else labelled(label, name)


def _in_order(
    sources: Sequence[tuple[str, str, Mapping[str, Any]]], rows: Mapping[str, Row], one_teacher: bool
) -> list[Row]:
    """Ladder by ladder in the order given, each as `bitladder results` has it."""
    ordered: dict[str, Row] = {}
    for label in dict.fromkeys(label for label, _, _ in sources):
        models: dict[str, Any] = {}
        for other, _, results in sources:
            models |= results["models"] if other == label else {}
        for name in in_order(models):
            shown = _name(label, name, one_teacher)
            ordered.setdefault(shown, rows[shown])
    return list(ordered.values())


def _place(key: str) -> tuple[int, str]:
    known = [*NAMES, *SQUAD]
    return (known.index(key) if key in known else len(known), key)


def _said(bits: Iterable[int], unusual: Iterable[str]) -> str:
    return ", ".join(["-".join(map(str, bits)) + " bits", *unusual])
