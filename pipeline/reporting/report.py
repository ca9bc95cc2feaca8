"""The report: one HTML file that needs nothing else; no script, no clock, nothing of the machine it is from.

The page is report.html.j2. Every text in it is escaped by Jinja; only the plots made here are put in as
they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bitladder import files
from bitladder.packed.size import MIB, Sizes, account, summary
from pipeline import paths, record
from pipeline.evaluation import agreement
from pipeline.evaluation.agreement import Agreement
from pipeline.evaluation.results import ModelResult, Results
from pipeline.params import Params
from pipeline.record import Record, origins
from pipeline.reporting import cells, claims, figures, table
from pipeline.rungs import TEACHER
from pipeline.tasks import selection

_CLOSE = 0.01  # of the teacher's score


@dataclass(frozen=True)
class Contents:
    """Everything the report and the cards are made from, read and verified once.

    Attributes:
        results: metrics/results.json.
        records, agreements, sizes: of each delivered rung, from its packed folder.
        curves: of each delivered rung; columns `rung`, `step`, `loss`, `score` (on the split that chose the
            checkpoint; NaN where it was not measured).
        data: summary.json of the task's splits; None when it is not there.
    """

    params: Params
    results: Results
    records: Mapping[str, Record]
    agreements: Mapping[str, Agreement]
    sizes: Mapping[str, Sizes]
    curves: pd.DataFrame
    data: Mapping[str, Any] | None


def read(params: Params) -> Contents:
    """Raises IntegrityError when a packed folder is not what its manifest says, or not what was evaluated."""
    results = table.read_results()
    folders = {rung: paths.packed_dir(rung) for rung in params.deliver}
    for rung, folder in folders.items():
        evaluated, packed = results.models.get(rung), files.verify(folder)[paths.WEIGHTS]
        if evaluated is None or evaluated.digest != packed:
            stated = evaluated.digest if evaluated else None
            raise files.IntegrityError(
                f"{paths.RESULTS}: {rung} was evaluated as {stated}, packed is {packed}; run dvc repro"
            )
    data = paths.data_dir(params.task.name, "plain") / "summary.json"
    return Contents(
        params=params,
        results=results,
        records={rung: record.read(folder) for rung, folder in folders.items()},
        agreements={rung: agreement.read(folder) for rung, folder in folders.items()},
        sizes={rung: account(folder) for rung, folder in folders.items()},
        curves=pd.read_csv(paths.METRICS / "curves.csv"),
        data=files.read_json(data) if data.is_file() else None,
    )


def environment() -> Environment:
    """Of the templates in this folder; what goes into HTML is escaped."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def page(contents: Contents) -> str:
    """The whole of report.html."""
    results = contents.results
    # Plots are made here from numbers and checked names; names are escaped where they are drawn.
    size_plot = figures.score_against_size(
        results.models,
        score=f"{table.score_name(results)} on {results.split}",
        constant=results.majority_score,
    )
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            headline=headline(results),
            rows=table.rows(results),
            counted=table.counted(results),
            chosen=selection.said(results.checkpoint_selected_on, results.split),
            claims=claims.lines(results.claims, table.score_name(results)),
            lineage=lineage(results.models, contents.records),
            agreements=contents.agreements,
            parts=sizes_table(contents.sizes),
            size_lines={rung: summary(sizes) for rung, sizes in contents.sizes.items()},
            origins={rung: origins(found.init) for rung, found in contents.records.items()},
            data=contents.data,
            size_plot=Markup(size_plot),  # noqa: S704
            curves=Markup(figures.training_curves(contents.curves)),  # noqa: S704
        )
    )


def headline(results: Results) -> str:
    """The smallest rung within a point of the teacher; the best one when none is. None that has collapsed."""
    ranked = []
    for name, model in results.models.items():
        score, gap = model.means.mean, model.means.gap_mean
        if name != TEACHER and not model.collapsed_seeds and score is not None and gap is not None:
            is_close = gap >= -_CLOSE
            merits = (model.bytes, -score) if is_close else (-score, model.bytes)
            ranked.append((not is_close, *merits, name))
    if not ranked:
        return "No rung has a defined score and gives more than one answer."
    name = min(ranked)[-1]
    model, teacher = results.models[name], results.models[TEACHER]
    own = (
        f"{name} ({model.weight_bits}-bit weights, {model.activation_bits}-bit activations): "
        f"{table.score_name(results)} {model.means.mean:.4f} in {model.mib:.3f} MiB"
    )
    of_teacher = f"{teacher.means.mean:.4f} in {teacher.mib:.3f} MiB, {model.ratio:.1f} times as much"
    return f"{own}; the teacher's is {of_teacher}."


def lineage(
    models: Mapping[str, ModelResult], records: Mapping[str, Record]
) -> list[tuple[int, str, list[str]]]:
    """Each model after the one it starts from: at which depth, its name, and what it is in words."""
    depths: dict[str | None, int] = {}
    found = []
    for name, model in table.in_order(models).items():
        depths[name] = depths.get(model.parent, -1) + 1
        bits = " ".join(f"{part}{bits}" for part, bits in zip("WEA", model.bits, strict=True))
        words = [bits, cells.score(model), f"{model.mib:.3g} MiB"]
        if own := records.get(name):
            drawn = [part for part, origin in origins(own.init).items() if origin.source == "drawn"]
            words += [f"drawn at random: {', '.join(drawn)}"] * bool(drawn)
            words += [f"taught by {own.teacher}"] * (own.teacher not in (TEACHER, None))
        found.append((depths[name], name, words))
    return found


def sizes_table(sizes: Mapping[str, Sizes]) -> dict[str, Any]:
    """Bytes of every part of every packed file: `parts` names the columns, `rows` holds (rung, cells)."""
    names = list(dict.fromkeys(part.part for found in sizes.values() for part in found.parts))
    rows = []
    for rung, found in sizes.items():
        stored = {part.part: part.stored_bytes for part in found.parts}
        cells = [f"{stored[name]:,}" if name in stored else "-" for name in names]
        rows.append((rung, [*cells, f"{found.file_bytes:,}", f"{found.file_bytes / MIB:.3f}"]))
    return {"parts": [*names, "file", "MiB"], "rows": rows}
