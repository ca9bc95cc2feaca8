"""A model's record and results as MLflow's params, tags and metrics, within MLflow's limits.

MLflow cuts a long parameter without a word, stores infinity as 1.8e308 and sorts it first. So values are
cut visibly here, and a number that is not finite never becomes a metric: its name goes into the tag
`bitladder.invalid` instead.

    training/<column of curve.csv>   by step, while training
    trained/<split>/<metric>         the trained model, as its record says
    eval/score, eval/<split>/<metric>, eval/gap    the packed model (the teacher as it is)
    eval/seeds/mean, std, gap_mean, gap_std, num_seeds    over several seeds, where there are
    size/mib, size/bytes, size/ratio               the written weights file
    sign_flips/<tensor>              by step: share of latent weights whose sign changed since initialization
    trained/sign_flips               the same of the trained model, mean over tensors
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.claim_kinds import qualified
from pipeline.record import Record, bits, origins, quantizers
from pipeline.tasks.selection import is_optimistic
from pipeline.tracking.execution import WEIGHTS, Model, finite

SCHEMA_VERSION = "1"
CURVE = paths.CURVE
MAX_KEY = 250
MAX_VALUE = 5000


@dataclass(frozen=True)
class Point:
    """One metric value; `final` ones belong to the model, the others to its training."""

    key: str
    value: float
    step: int
    final: bool


def params(record: Record) -> dict[str, str]:
    """What the model was made with, flat."""
    values: dict[str, Any] = {
        "task": record.task,
        "stage": record.stage,
        "init_from": record.parent,
        "teacher": record.teacher,
        "data": record.data.get("kind"),
        "seed": record.seed,
        "steps": record.steps,
        "best_step": record.best_step,
        "selected_on": record.selected_on,
        "bits": bits(record),
        "quantizers": quantizers(record.precision),
        "init": {selector: str(origin) for selector, origin in origins(record.init).items()},
        "settings": record.settings,
    }
    return {legal_key(key): cut(value) for key, value in flatten(values) if value is not None}


def tags(model: Model, evaluated_on: str | None) -> dict[str, str]:
    """What identifies the model: the same on its run, its logged model and its registered version."""
    own = model.record
    values: dict[str, Any] = {
        "name": own.name,
        "score": model.score,
        "num_seeds": model.num_seeds if model.num_seeds > 1 else None,
        "mean": model.mean,
        "collapsed": ", ".join(model.collapsed) or None,
        "mib": model.mib,
        "weight_bits": own.precision.weights,
        "embedding_bits": own.precision.embeddings,
        "activation_bits": own.precision.activations,
        "digest": own.digest,
        "init_from": own.parent,
        "init_from_digest": own.parent_digest,
        "teacher_digest": own.teacher_digest,
        "evaluated_on": evaluated_on if model.result else None,
        "invalid": ", ".join(sorted(invalid(model))) or None,
        "teacher": own.teacher,
        "task": own.task,
        "stage": own.stage,
        "seed": own.seed,
        "selected_on": own.selected_on,
        "optimistic": "chosen on the split that is reported" if is_optimistic(own.selected_on) else None,
        "data": own.data,
        "record_digest": model.files["record.json"],
        "packed_digest": (model.packed or {}).get(WEIGHTS),
        "key": model.key,
        "schema_version": SCHEMA_VERSION,
    }
    return {f"bitladder.{key}": cut(value) for key, value in flatten(values) if value is not None}


def verdicts(claims: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of an execution's claims, by kind and pair: holds, does not hold, within noise, not judged; and
    what else the rungs differ in.
    """
    return {
        legal_key(f"claim/{_pair(claim)}"): qualified(claim["verdict"], claim["unequal"]) for claim in claims
    }


def margins(claims: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """The difference of each claim, which its verdict may rest on, and half its 95 % interval."""
    found = [
        (legal_key(f"claim/{_pair(claim)}/{what}"), finite(claim[what]))
        for claim in claims
        for what in ("difference", "margin")
    ]
    return [(key, value) for key, value in found if value is not None]


def points(model: Model) -> list[Point]:
    """Every finite number known about the model."""
    found = [(key, finite(value), step, final) for key, value, step, final in _values(model)]
    return [Point(key, value, step, final) for key, value, step, final in found if value is not None]


def invalid(model: Model) -> set[str]:
    """Names of the metrics that have, at some step, no finite value where there should be one."""
    return {key for key, value, _, _ in _values(model) if finite(value) is None}


def short(digest: str | None) -> str:
    """The first ten digits: enough to compare by eye."""
    return (digest or "")[:10]


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted names."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def legal_key(key: str) -> str:
    """`key` with what MLflow refuses replaced."""
    return re.sub(r"[^\w\-./ ]", "_", key, flags=re.ASCII)[:MAX_KEY]


def cut(value: Any) -> str:
    """`value` as text that MLflow keeps whole."""
    text = repr(value) if isinstance(value, float) else str(value)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}... (cut, {len(text)} characters)"


def _values(model: Model) -> Iterator[tuple[str, Any, int, bool]]:
    """Every value that ought to be a number: key, value, step, whether it describes the finished model."""
    for step, column, value in _curve(model.folder / CURVE):
        yield legal_key(f"training/{column}"), value, step, False
    for split, scores in model.record.scores.items():
        for metric, score in scores.items():
            yield legal_key(f"trained/{split}/{metric}"), score, model.record.best_step, True
    if shares := model.record.sign_flips:
        yield "trained/sign_flips", sum(shares.values()) / len(shares), model.record.best_step, True
    yield from _sign_flips(model.folder / paths.SIGN_FLIPS)
    if model.result is not None:
        yield from _evaluation(model.result)


def _evaluation(result: dict[str, Any]) -> Iterator[tuple[str, Any, int, bool]]:
    yield "eval/score", result.get("score"), 0, True
    for split, scores in result.get("scores", {}).items():
        for metric, score in scores.items():
            yield legal_key(f"eval/{split}/{metric}"), score, 0, True
    yield from _over_seeds(result.get("seeds") or {})
    places = {"gap": "eval/gap", "mib": "size/mib", "bytes": "size/bytes", "ratio": "size/ratio"}
    for name, key in places.items():
        if result.get(name) is not None:
            yield key, result[name], 0, True


def _over_seeds(seeds: dict[str, Any]) -> Iterator[tuple[str, Any, int, bool]]:
    if seeds.get("num_seeds", 1) > 1:
        for name in ("mean", "std", "gap_mean", "gap_std", "num_seeds"):
            yield f"eval/seeds/{name}", seeds[name], 0, True


def _pair(claim: Mapping[str, Any]) -> str:
    return f"{claim['claim']}/{'-over-'.join(claim['rungs'])}"


def _curve(path: Path) -> Iterator[tuple[int, str, float | None]]:
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = int(row.pop("step"))
            yield from ((step, column, _number(text)) for column, text in row.items() if text)


def _sign_flips(path: Path) -> Iterator[tuple[str, float | None, int, bool]]:
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = legal_key(f"sign_flips/{row['tensor']}")
            yield key, _number(row["share"]), int(row["step"]), False


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
