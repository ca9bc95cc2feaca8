"""`bitladder results`: metrics/results.json as a table, and under it what was counted."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bitladder import files
from pipeline import paths
from pipeline.evaluation import results as written
from pipeline.evaluation.results import ModelResult, Results
from pipeline.kinds import KINDS
from pipeline.kinds.metrics import TITLES
from pipeline.reporting import cells, claims
from pipeline.rungs import TEACHER
from pipeline.tasks import selection

UNUSUAL = "besides"
_UNBOUNDED = 1000


class NoResultsError(RuntimeError):
    """Nothing has been evaluated here yet."""


def main(as_json: bool) -> int:
    """Print the results.

    Raises:
        NoResultsError: there are none; it says which command makes them.
        OtherFormatError: another version wrote them.
    """
    results = read_results()
    if as_json:
        text = json.dumps(results.as_dict(), indent=2, sort_keys=True, allow_nan=False)
        sys.stdout.write(text + "\n")
        return 0
    found = rows(results, read_seconds(results))
    left = ("rung", "from", UNUSUAL)
    print_table(title(results), list(found[0]), [list(row.values()) for row in found], left=left)
    said = claims.lines(results.claims, score_name(results))
    print_lines(
        [*counted(results), "Seconds: training, where it was timed here.", *([""] if said else []), *said]
    )
    return 0


def print_lines(lines: Iterable[str]) -> None:
    """Cut between words where a terminal ends; whole elsewhere."""
    console = Console(highlight=False)
    for line in lines:
        console.print(Text(line), soft_wrap=not console.is_terminal)


def print_table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[str]
) -> None:
    """Wider than the terminal rather than with names and numbers cut short, which is what rich would do.

    Args:
        left: the columns of words; numbers stand on the right.
    """
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    for heading in headings:
        justify: Literal["left", "right"] = "left" if heading in left else "right"
        table.add_column(Text(heading), justify=justify, no_wrap=heading != UNUSUAL)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(highlight=False)
    needed = Console(width=_UNBOUNDED).measure(table)
    console.width = max(console.width, needed.minimum if console.is_terminal else needed.maximum)
    console.print(table)


def read_results(path: Path = paths.RESULTS) -> Results:
    if not path.is_file():
        raise NoResultsError(f"{path}: not there; `dvc repro evaluate` makes it")
    return written.read(path)


def read_seconds(results: Results) -> dict[str, float]:
    """How long each model's training took here, where it was timed."""
    found = {}
    for name, model in results.models.items():
        address = name if model.stage == name else f"{model.stage}@{name}"
        path = paths.WORK / "timings" / f"{address}.json"
        if path.is_file():
            found[name] = float(files.read_json(path)["seconds"])
    return found


def rows(results: Results, seconds: Mapping[str, float] | None = None) -> list[dict[str, str]]:
    """A row per model, by heading: the teacher, then each rung after the one it starts from.

    With what is unusual, if anything is; with the task's other metrics where the score is one of them; with
    the seconds of training where they are given.
    """
    found = []
    for name, model in in_order(results.models).items():
        row = {
            "rung": name,
            **dict(zip("WEA", map(str, model.bits), strict=True)),
            "from": model.parent or "-",
        }
        if any(one.unusual for one in results.models.values()):
            row[UNUSUAL] = ", ".join(model.unusual)
        row["score"] = cells.score(model)
        for heading, (split, metric) in beside(results).items():
            found_means = model.means_of(split, metric, results.models[TEACHER])
            row[heading] = cells.number(found_means.mean, found_means.std)
        row["gap"] = "-" if name == TEACHER else cells.gap(model)
        row |= {"MiB": f"{model.mib:.3f}", "ratio": f"{model.ratio:.1f}"}
        if seconds is not None:
            row["seconds"] = f"{seconds[name]:.0f}" if name in seconds else "-"
        found.append(row)
    return found


def beside(results: Results) -> dict[str, tuple[str, str]]:
    """What stands beside the score, by heading: split and metric. A split of another kind has its own."""
    scored = results.models[TEACHER].scores
    first = scored[results.split]
    headings = KINDS[results.kind].beside(results.metrics)
    found = {heading: (results.split, metric) for heading, metric in headings.items() if metric in first}
    others = {
        f"{TITLES[metric]} ({split})": (split, metric)
        for split, own in scored.items()
        for metric in own
        if metric not in first
    }
    return found | others


def in_order(models: Mapping[str, ModelResult]) -> dict[str, ModelResult]:
    """Roots first, then what starts from each, depth first; among siblings the widest first."""

    def from_parent(parents: set[str | None]) -> list[str]:
        children = [
            (-model.weight_bits, -model.activation_bits, name)
            for name, model in models.items()
            if model.parent in parents
        ]
        ranked = [name for *_, name in sorted(children)]
        return [one for child in ranked for one in (child, *from_parent({child}))]

    return {name: models[name] for name in from_parent({m.parent for m in models.values()} - models.keys())}


def title(results: Results) -> str:
    return f"{results.task}: {score_name(results)} on {results.split}"


def score_name(results: Results) -> str:
    kind = KINDS[results.kind]
    if kind.score_is != "mean":
        return TITLES[kind.counted(results.metrics)[0]]
    metrics = [metric.replace("_", " ") for metric in results.metrics]
    return metrics[0] if len(metrics) == 1 else f"mean of {' and '.join(metrics)}"


def counted(results: Results) -> list[str]:
    """What the numbers of the table are, a sentence each."""
    split, constant = results.split, results.majority_score
    unusual = [model.unusual for model in results.models.values()]
    seed = results.models[TEACHER].seed
    files_of = f"Files and sizes are those of seed {seed}; the gap is to the teacher of the same seed."
    always = KINDS[results.kind].constant_is
    chance = "" if constant is None else f" {always} scores {constant:.4f}."
    scored, read = results.rows[split], results.rows_read[split]
    part = f"{scored} of the {read} rows (data.max_validation_rows)"
    counted_rows = f"all {scored} rows" if read == scored else part
    return [
        f"Score: {score_name(results)} on {counted_rows} of {split}, {cells.of_seeds(results)}.{chance}",
        "Each rung (a model with fewer bits than the one it starts from) is scored from its packed file. "
        f"Checkpoints were {selection.said(results.checkpoint_selected_on, split)}. Gap: score less the "
        "teacher's.",
        "W, E, A: bits of weights, embeddings, activations; 32 is full precision. MiB: the whole "
        "model.safetensors; ratio: how many times larger the teacher's is.",
        *([files_of] * (results.num_seeds > 1)),
        *cells.mark_notes(results.models.values()),
        *([f"{UNUSUAL.capitalize()}: what is not the usual choice at these bits."] * any(unusual)),
        *cells.unusual_notes(unusual),
        *_of_kind(results),
    ]


def _of_kind(results: Results) -> list[str]:
    """What the metrics are, where that is not plain, and what answers are decided by."""
    kind = KINDS[results.kind]
    lines = [kind.metrics_are] if kind.metrics_are else []
    if any(getattr(model, kind.chosen_as or "", None) is not None for model in results.models.values()):
        chosen = selection.said(results.checkpoint_selected_on, results.split)
        lines.append(f"{kind.chosen_is}, which was {chosen} (results --json has it).")
    return lines
