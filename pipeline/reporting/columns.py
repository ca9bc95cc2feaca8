"""Results of several tasks side by side, and the two averages over GLUE that tables of papers mix.

Columns stand in GLUE's order. MNLI has two numbers, matched and mismatched. BinaryBERT and BiBERT average
nine numbers, with both; BiT averages eight, with MNLI-m alone, and prints the others' nine-number averages
beside its own. Only all eight tasks without WNLI make either; the mean of fewer is called what it is. SQuAD
stands apart and is in no average.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bitladder.packed.size import MIB
from pipeline.evaluation.results import ModelResult, Results, Value
from pipeline.kinds import KINDS
from pipeline.kinds.metrics import TITLES
from pipeline.reporting import claims
from pipeline.reporting.claims import labelled
from pipeline.reporting.table import in_order
from pipeline.rungs import TEACHER
from pipeline.tasks.selection import is_optimistic

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
_TITLES = NAMES | SQUAD


class MismatchError(ValueError):
    """These results do not make one table."""

    exit_code = 2


@dataclass(frozen=True)
class Source:
    """Results of one task: the ladder's label (empty where there is one alone), the file, what is in it."""

    label: str
    file: str
    results: Results


@dataclass(frozen=True)
class Cell:
    """A model on a column's split, means over its seeds; None is undefined.

    Attributes:
        metrics, metrics_std: one by one, with their spread, which one seed does not have.
        selected_on: what its checkpoint was chosen on.
        collapsed: the seeds whose model gives one answer to all rows of the task's first split.
    """

    score: Value
    gap: Value
    std: Value
    gap_std: Value
    num_seeds: int
    metrics: Mapping[str, Value]
    metrics_std: Mapping[str, Value]
    selected_on: str | None
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
    constant: Value
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

    @property
    def is_teacher(self) -> bool:
        return self.name.split(" ")[-1] == TEACHER

    @property
    def described(self) -> str:
        """`1-1-8, relu`: bits of weights, embeddings and activations, and what is unusual."""
        return ", ".join(["-".join(map(str, self.bits)), *self.unusual])

    @property
    def mib(self) -> str:
        """Of the largest file of all tasks'."""
        return f"{max(self.bytes.values()) / MIB:.2f}"

    def mean(self, average: Average, what: str = "score") -> Value:
        """None when a number is missing or undefined: no mean leaves out what it is named after."""
        values = [getattr(self.cells.get(key), what, None) for key in average.columns]
        defined = [value for value in values if value is not None]
        return sum(defined) / len(defined) if len(defined) == len(values) else None


@dataclass(frozen=True)
class Comparison:
    columns: list[Column]
    rows: list[Row]
    averages: list[Average]
    claims: list[claims.Row]

    def having(self, columns: Sequence[Column]) -> list[Row]:
        """The rows with a number in one of these columns."""
        return [row for row in self.rows if any(column.key in row.cells for column in columns)]

    def cells(self, column: Column) -> dict[str, Cell]:
        """A column from above to below, with the names of the rows."""
        return {row.name: row.cells[column.key] for row in self.rows if column.key in row.cells}


def compare(sources: Sequence[Source]) -> Comparison:
    """One table; several files of a task need labels that differ.

    Raises:
        MismatchError: two results of a task under one label, of different splits or metrics, or a model whose
            bits, or what is unusual of it, differ from task to task.
    """
    columns = _agreed(sources)
    one_teacher = _share_a_teacher(sources)
    rows: dict[str, Row] = {}
    for label in dict.fromkeys(source.label for source in sources):
        own = [source for source in sources if source.label == label]
        for name in in_order({name: model for one in own for name, model in one.results.models.items()}):
            shown = name if name == TEACHER and one_teacher else labelled(label, name)
            for source in own:
                if model := source.results.models.get(name):
                    row = rows.setdefault(shown, Row(shown, model.bits, tuple(model.unusual)))
                    _add(row, model, source)
    order = list(_TITLES)
    return Comparison(
        sorted(columns.values(), key=lambda c: (order.index(c.key) if c.key in order else len(order), c.key)),
        list(rows.values()),
        averages(columns),
        claims.gather((source.label, source.results) for source in sources),
    )


def averages(keys: Iterable[str]) -> list[Average]:
    """The means that these columns have, by name; none of a single task."""
    found = set(keys)
    eight, nine = (tuple(key for key in every if key in found) for every in (EIGHT, NINE))
    if len(eight) < 2:
        return []
    if eight == EIGHT:
        means = [Average("GLUE, 8", eight, "GLUE, 8: mean of 8 numbers, MNLI-m only (BiT's).")]
        says = "GLUE, 9: mean of 9 numbers, MNLI-m and -mm (BinaryBERT's and BiBERT's)."
        return [*means, *[Average("GLUE, 9", nine, says)] * (MISMATCHED in found)]
    means = [_of_some(eight, "tasks", " (MNLI-m only)" if "mnli" in found else "")]
    return [*means, *[_of_some(nine, "numbers", " (MNLI-m and -mm)")] * (MISMATCHED in found)]


def _of_some(keys: tuple[str, ...], unit: str, detail: str) -> Average:
    names = ", ".join(NAMES[key] for key in keys)
    says = f"mean of {len(keys)} {unit}: {names}{detail}; not GLUE's average."
    return Average(f"mean of {len(keys)}", keys, says)


def _columns(source: Source) -> list[Column]:
    """One; of MNLI two where both splits were scored."""
    found, kind = source.results, KINDS[source.results.kind]
    keys = [found.task, MISMATCHED] if found.task == "mnli" else [found.task]
    return [
        Column(
            key=key,
            title=_TITLES.get(key, key),
            task=found.task,
            metric=", ".join(TITLES[name] for name in kind.counted(found.metrics)),
            split=split,
            rows=(found.rows[split], found.rows_read[split]),
            constant=found.majority_score if split == found.split else found.majority[split],
            file=source.file,
        )
        for key, split in zip(keys, found.rows, strict=False)
    ]


def _agreed(sources: Sequence[Source]) -> dict[str, Column]:
    """The columns by key: one file for each task and label, one kind of number in each column."""
    columns: dict[str, Column] = {}
    given: dict[tuple[str, str], str] = {}
    for source in sources:
        key = (source.label, source.results.task)
        if key in given:
            raise MismatchError(
                f"{source.file}: results of {key[1]}, as {given[key]}; name ladders apart, as in "
                f"bit={source.file}"
            )
        given[key] = source.file
        for column in _columns(source):
            known = columns.setdefault(column.key, column)
            for what in ("metric", "split", "rows", "constant"):
                if getattr(known, what) != getattr(column, what):
                    raise MismatchError(
                        f"{column.file}: {what} of {column.title} is {getattr(column, what)}, {known.file} "
                        f"has {getattr(known, what)}; one column can hold one of them"
                    )
    return columns


def _add(row: Row, model: ModelResult, source: Source) -> None:
    """The file's bytes and the numbers of one model."""
    own = Row(row.name, model.bits, tuple(model.unusual))
    if own.described != row.described:
        raise MismatchError(
            f"{source.file}: {row.name} has {own.described} (bits of weights, embeddings, activations); "
            f"elsewhere {row.described}; name ladders apart, as in bit={source.file}"
        )
    row.bytes[source.results.task] = model.bytes
    for column in _columns(source):
        row.cells[column.key] = _cell(model, column, source.results)


def _cell(model: ModelResult, column: Column, results: Results) -> Cell:
    """Of the first split the task's score; of MNLI's second one its only metric."""
    is_first, teacher = column.split == results.split, results.models[TEACHER]
    found = {name: model.means_of(column.split, name, teacher) for name in model.scores[column.split]}
    means = model.means if is_first else next(iter(found.values()))
    return Cell(
        *(means.mean, means.gap_mean, means.std, means.gap_std, model.num_seeds),
        metrics={name: each.mean for name, each in found.items()},
        metrics_std={name: each.std for name, each in found.items()},
        selected_on=model.selected_on,
        collapsed=tuple(model.collapsed_seeds) if is_first else (),
    )


def _share_a_teacher(sources: Sequence[Source]) -> bool:
    """Whether all ladders descend from the same teacher of each task, and know as much of it.

    A teacher of three seeds here and of one there has two rows: each ladder's gaps are to its own row.
    """
    known = {source.results.task: source.results.models[TEACHER] for source in sources}
    pairs = [(source.results.models[TEACHER], known[source.results.task]) for source in sources]
    return all(
        (own.digest, own.selected_on, own.by_seed()) == (same.digest, same.selected_on, same.by_seed())
        for own, same in pairs
    )
