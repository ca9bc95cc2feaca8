"""The report: one HTML file that needs nothing else, neither another file nor the network.

The page is report.html.j2. Every text in it is escaped by Jinja. It runs two scripts, which it names by their
digests, so that no other can run: the library that draws the charts, and report.js. There is no clock in it,
and of the computer that it was made on only what `pipeline.reporting.speed` measured, if that is given.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bitladder import files
from bitladder.packed.size import Sizes, account, summary
from pipeline import paths, record
from pipeline.evaluation import agreement, errors
from pipeline.evaluation.agreement import Agreement
from pipeline.evaluation.errors import Errors
from pipeline.evaluation.results import Results
from pipeline.params import Params
from pipeline.record import Record
from pipeline.reporting import charts, claims, lineage, page_tables, table
from pipeline.reporting.headline import headline
from pipeline.reporting.speed import Speeds
from pipeline.rungs import TEACHER
from pipeline.tasks import selection

LONGEST_TEXT = 400  # characters of a row that the page quotes


@dataclass(frozen=True)
class Contents:
    """Everything the report and the cards are made from, read and verified once.

    Attributes:
        results: metrics/results.json.
        records, agreements, sizes: of each delivered rung, from its packed folder.
        curves: of each delivered rung; columns `rung`, `step`, `loss`, `score` (on the split that chose the
            checkpoint; NaN where it was not measured).
        data: summary.json of the task's splits; None when it is not there.
        errors: metrics/errors.json.
        texts: of the rows that it names, by their numbers in the first validation split.
    """

    params: Params
    results: Results
    records: Mapping[str, Record]
    agreements: Mapping[str, Agreement]
    sizes: Mapping[str, Sizes]
    curves: pd.DataFrame
    data: Mapping[str, Any] | None
    errors: Errors
    texts: Mapping[int, str]


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
    wrong = errors.read()
    return Contents(
        params=params,
        results=results,
        records={rung: record.read(folder) for rung, folder in folders.items()},
        agreements={rung: agreement.read(folder) for rung, folder in folders.items()},
        sizes={rung: account(folder) for rung, folder in folders.items()},
        curves=pd.read_csv(paths.METRICS / "curves.csv"),
        data=files.read_json(data) if data.is_file() else None,
        errors=wrong,
        texts=texts(params, wrong),
    )


def texts(params: Params, found: Errors) -> dict[int, str]:
    """What stands in the rows that `found` names, cut where it is long; nothing where there is no data."""
    from pipeline.data.tables import read_split

    folder = paths.data_dir(params.task.name, "plain")
    if not (folder / f"{found.split}.parquet").is_file():
        return {}
    rows = sorted({one.row for own in found.models.values() for one in own.furthest})
    columns = list(params.task.sentence_columns)
    shown = read_split(folder, found.split)[columns].iloc[rows]
    return {row: _quoted(cells) for row, cells in zip(rows, shown.to_numpy().tolist(), strict=True)}


def _quoted(cells: list[Any]) -> str:
    text = " / ".join(" ".join(str(cell).split()) for cell in cells)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


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


def page(contents: Contents, speeds: Speeds | None = None, *, mark: str = "") -> str:
    """The whole of report.html; `mark` says what it was made from, so that one can tell whether it is old."""
    results = contents.results
    found = headline(results, speeds)
    specs = _charts(contents, speeds)
    scripts = [charts.library(), charts.SCRIPT.read_text(encoding="utf-8")]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            params=contents.params,
            mark=mark,
            headline=found,
            tables=page_tables,
            counted=table.counted(results),
            chosen=selection.said(results.checkpoint_selected_on, results.split),
            claims=claims.lines(results.claims, table.score_name(results)),
            chains=lineage.chains(results.models, contents.records),
            contents=contents,
            errors=contents.errors,
            erring=_erring(contents, found.model),
            speeds=speeds,
            size_lines={rung: summary(sizes) for rung, sizes in contents.sizes.items()},
            curves=[name.removeprefix(CURVE) for name in specs if name.startswith(CURVE)],
            charts=Markup(_as_data(specs)),  # noqa: S704 - nothing in it can end the element
            scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own and the library's
            allowed=" ".join(f"'sha256-{_digest(script)}'" for script in scripts),
            licences=charts.licences(),
        )
    )


CURVE = "curve-"  # and the rung: names of charts, which are ids of elements


def _charts(contents: Contents, speeds: Speeds | None) -> dict[str, charts.Spec]:
    """By the id of the element that each is drawn in."""
    results = contents.results
    at = charts.points(results.models, speeds)
    axes = {"mib": "MiB of the file"} | ({"ms": f"ms for one text on {speeds.processor}"} if speeds else {})
    return {
        f"score-{x}": charts.score_against(
            x,
            at,
            title=title,
            score=table.score_name(results),
            teacher=results.models[TEACHER].means.mean,
        )
        for x, title in axes.items()
    } | {f"{CURVE}{rung}": spec for rung, spec in charts.training_curves(contents.curves).items()}


def _erring(contents: Contents, first: str | None) -> list[str]:
    """Rungs whose errors are shown, the headline's first."""
    names = [name for name in contents.params.deliver if name in contents.errors.models]
    return sorted(names, key=lambda name: name != first)


def _as_data(value: Any) -> str:
    """JSON that no browser takes for markup."""
    return json.dumps(value, allow_nan=False, sort_keys=True).replace("<", "\\u003c")


def _digest(script: str) -> str:
    return b64encode(sha256(script.encode()).digest()).decode()
