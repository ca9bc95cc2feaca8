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
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.leaves import leaves
from pipeline.paths import WEIGHTS
from pipeline.record import Record, bits, origins, quantizers
from pipeline.tasks.selection import is_optimistic
from pipeline.tracking.execution import Model

MAX_KEY = 250
MAX_VALUE = 5000


@dataclass(frozen=True)
class Point:
    """One metric value, None where not finite; `final` ones belong to the model, others to its training."""

    key: str
    value: float | None
    step: int = 0
    final: bool = True


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
    return flat(values)


def tags(model: Model, evaluated_on: str | None) -> dict[str, str]:
    """What identifies the model: the same on its run, its logged model and its registered version."""
    own, result = model.record, model.result
    values: dict[str, Any] = {
        "evaluated_on": evaluated_on if result else None,
        "invalid": ", ".join(sorted({point.key for point in points(model) if point.value is None})) or None,
        "seed": own.seed,
        "selected_on": own.selected_on,
        "optimistic": "chosen on the split that is reported" if is_optimistic(own.selected_on) else None,
        "data": own.data,
        "record_digest": model.files["record.json"],
        "packed_digest": (model.packed or {}).get(WEIGHTS),
        "key": model.key,
        "schema_version": "1",
    }
    if result is not None:
        values |= {"score": result.score, "mib": result.mib}
        values["collapsed"] = ", ".join(result.collapsed_seeds) or None
        if result.num_seeds > 1:
            values |= {"num_seeds": result.num_seeds, "mean": result.means.mean}
    return origin(own) | {f"bitladder.{key}": value for key, value in flat(values).items()}


def origin(own: Record) -> dict[str, str]:
    """The tags that say which model it is and what it was made from."""
    values = {
        "name": own.name,
        "task": own.task,
        "stage": own.stage,
        "weight_bits": own.precision.weights,
        "embedding_bits": own.precision.embeddings,
        "activation_bits": own.precision.activations,
        "digest": own.digest,
        "init_from": own.parent,
        "init_from_digest": own.parent_digest,
        "teacher": own.teacher,
        "teacher_digest": own.teacher_digest,
    }
    return {f"bitladder.{key}": value for key, value in flat(values).items()}


def points(model: Model) -> list[Point]:
    """Every number that there should be about the model."""
    own = model.record
    found = [
        Point(f"training/{column}", _number(text), int(row["step"]), final=False)
        for row in _rows(model.folder / paths.CURVE)
        for column, text in row.items()
        if column != "step" and text
    ]
    found += [Point(f"trained/{key}", score, own.best_step) for key, score in leaves(own.scores, "/")]
    if shares := own.sign_flips:
        found.append(Point("trained/sign_flips", sum(shares.values()) / len(shares), own.best_step))
    found += [
        Point(f"sign_flips/{row['tensor']}", _number(row["share"]), int(row["step"]), final=False)
        for row in _rows(model.folder / paths.SIGN_FLIPS)
    ]
    result = model.result
    if result is None:
        return found
    found.append(Point("eval/score", result.score))
    found += [Point(f"eval/{key}", score) for key, score in leaves(result.scores, "/")]
    if result.seeds is not None and result.num_seeds > 1:
        names = ("mean", "std", "gap_mean", "gap_std", "num_seeds")
        found += [Point(f"eval/seeds/{name}", getattr(result.seeds, name)) for name in names]
    if result.gap is not None:
        found.append(Point("eval/gap", result.gap))
    return [*found, *(Point(f"size/{name}", getattr(result, name)) for name in ("mib", "bytes", "ratio"))]


def flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Nested mappings as text by dotted names; None is left out."""
    return {legal_key(key): cut(value) for key, value in leaves(values) if value is not None}


def legal_key(key: str) -> str:
    """`key` with what MLflow refuses replaced."""
    return re.sub(r"[^\w\-./ ]", "_", key, flags=re.ASCII)[:MAX_KEY]


def cut(value: Any) -> str:
    """`value` as text that MLflow keeps whole."""
    text = repr(value) if isinstance(value, float) else str(value)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}... (cut, {len(text)} characters)"


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
