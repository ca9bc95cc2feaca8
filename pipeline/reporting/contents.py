"""Everything the report and the cards are made from, read and verified once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bitladder import files
from bitladder.packed.size import Sizes, account
from pipeline import paths, record
from pipeline.evaluation import agreement
from pipeline.evaluation.agreement import Agreement
from pipeline.evaluation.results import Results
from pipeline.params import Params
from pipeline.parts import part_of
from pipeline.record import Record
from pipeline.reporting.table import read_results


@dataclass(frozen=True)
class Contents:
    """Attributes:
    results: metrics/results.json.
    records, agreements, sizes: of each delivered rung, from its packed folder.
    curves: of each delivered rung; columns `rung`, `step`, `loss`, `score` (on the split that chose the
        checkpoint; NaN where it was not measured).
    sign_flips: of each delivered rung, means over the tables and over each layer's matrices; columns `rung`,
        `group`, `step`, `share` (of signs changed since the rung's start).
    data: summary.json of the task's splits; None when it is not there.
    """

    params: Params
    results: Results
    records: Mapping[str, Record]
    agreements: Mapping[str, Agreement]
    sizes: Mapping[str, Sizes]
    curves: pd.DataFrame
    sign_flips: pd.DataFrame
    data: Mapping[str, Any] | None


def read(params: Params) -> Contents:
    """Raises IntegrityError when a packed folder is not what its manifest says, or not what was evaluated."""
    results = read_results()
    folders = {rung: paths.packed_dir(rung) for rung in params.deliver}
    for rung, folder in folders.items():
        evaluated, packed = results.models.get(rung), files.verify(folder)[paths.WEIGHTS]
        if evaluated is None or evaluated.digest != packed:
            stated = evaluated.digest if evaluated else None
            raise files.IntegrityError(
                f"{paths.RESULTS}: {rung} was evaluated as {stated}, packed is {packed}; run dvc repro"
            )
    summary = paths.data_dir(params.task.name, "plain") / "summary.json"
    return Contents(
        params=params,
        results=results,
        records={rung: record.read(folder) for rung, folder in folders.items()},
        agreements={rung: agreement.read(folder) for rung, folder in folders.items()},
        sizes={rung: account(folder) for rung, folder in folders.items()},
        curves=pd.read_csv(paths.METRICS / "curves.csv"),
        sign_flips=pd.concat([_sign_flips(rung) for rung in params.deliver], ignore_index=True),
        data=files.read_json(summary) if summary.is_file() else None,
    )


def _sign_flips(rung: str) -> pd.DataFrame:
    """Empty where there is no file."""
    path = paths.model_dir(rung) / paths.SIGN_FLIPS
    if not path.is_file():
        return pd.DataFrame(columns=["rung", "group", "step", "share"])
    found = pd.read_csv(path)
    found = found.assign(rung=rung, group=found["tensor"].map(_group))
    return found.groupby(["rung", "group", "step"], sort=False)["share"].mean().reset_index()


def _group(tensor: str) -> str:
    section, *rest = part_of(tensor).split(".")
    return f"layer {rest[0]}" if section == "encoder" else section
