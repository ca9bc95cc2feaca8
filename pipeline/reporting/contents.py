"""Everything the report and the cards are made from, read and verified once."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bitladder import files
from bitladder.packed.size import Sizes, account
from pipeline import paths, record
from pipeline.params import Params
from pipeline.parts import part_of
from pipeline.record import Record
from pipeline.reporting.table import read_results

CURVES = paths.METRICS / "curves.csv"
Point = tuple[int, float, float | None]
Groups = Mapping[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class Contents:
    """Attributes:
    results: metrics/results.json.
    records, agreements, sizes: of each delivered rung, from its packed folder.
    curves: (step, loss, score on the split that chose the checkpoint) of each delivered rung.
    sign_flips: of each delivered rung, by group of matrices, (step, share of signs changed since its start).
    data: summary.json of the task's splits; None when it is not there.
    """

    params: Params
    results: Mapping[str, Any]
    records: Mapping[str, Record]
    agreements: Mapping[str, Mapping[str, Any]]
    sizes: Mapping[str, Sizes]
    curves: Mapping[str, list[Point]]
    sign_flips: Mapping[str, Groups]
    data: Mapping[str, Any] | None


def read(params: Params) -> Contents:
    """Raises IntegrityError when a packed folder is not what its manifest says, or not what was evaluated."""
    results = read_results()
    folders = {rung: paths.packed_dir(rung) for rung in params.deliver}
    for rung, folder in folders.items():
        _check_evaluated(rung, files.verify(folder), results)
    return Contents(
        params=params,
        results=results,
        records={rung: record.read(folder) for rung, folder in folders.items()},
        agreements={rung: files.read_json(folder / "agreement.json") for rung, folder in folders.items()},
        sizes={rung: account(folder) for rung, folder in folders.items()},
        curves=_curves(),
        sign_flips={rung: groups for rung in params.deliver if (groups := _sign_flips(rung))},
        data=_data_summary(params.task.name),
    )


def _check_evaluated(rung: str, digests: Mapping[str, str], results: Mapping[str, Any]) -> None:
    stated = results["models"].get(rung, {}).get("digest")
    if stated != digests["model.safetensors"]:
        raise files.IntegrityError(
            f"{paths.METRICS / 'results.json'}: {rung} was evaluated as {stated}, "
            f"packed is {digests['model.safetensors']}; run dvc repro"
        )


def _curves() -> dict[str, list[Point]]:
    curves: dict[str, list[Point]] = {}
    with CURVES.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            score = float(row["score"]) if row["score"] else None
            curves.setdefault(row["rung"], []).append((int(row["step"]), float(row["loss"]), score))
    return curves


def _sign_flips(rung: str) -> Groups:
    """Means over the tables and over each layer's matrices; nothing where there is no file."""
    path = paths.model_dir(rung) / paths.SIGN_FLIPS
    shares: dict[str, dict[int, list[float]]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                steps = shares.setdefault(_group(row["tensor"]), {})
                steps.setdefault(int(row["step"]), []).append(float(row["share"]))
    return {group: [(step, fmean(each)) for step, each in steps.items()] for group, steps in shares.items()}


def _group(tensor: str) -> str:
    section, *rest = part_of(tensor).split(".")
    return f"layer {rest[0]}" if section == "encoder" else section


def _data_summary(task: str) -> dict[str, Any] | None:
    path = paths.data_dir(task, "plain") / "summary.json"
    return dict(files.read_json(path)) if path.is_file() else None
