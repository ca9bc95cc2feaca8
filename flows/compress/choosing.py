"""Which model a person gets: the smallest whose score lies close enough to the teacher's."""

from dataclasses import dataclass

from pipeline.evaluation.results import ModelResult, Results
from pipeline.reporting import table
from pipeline.rungs import TEACHER


@dataclass(frozen=True)
class Chosen:
    """Attributes:
    name: of the rung; the best one where none is close enough.
    is_close: whether its score lies within the points that were asked for.
    """

    name: str
    model: ModelResult
    is_close: bool


def choose(results: Results, max_drop: float) -> Chosen:
    """The smallest rung at most `max_drop` points (hundredths of the score) below the teacher; of equally
    large ones the best. A model that gives one answer to all rows is none."""
    rungs = {name: model for name, model in results.models.items() if name != TEACHER}
    close = {
        name: model
        for name, model in rungs.items()
        if model.gap is not None and 100 * model.gap >= -max_drop - 1e-9 and not model.collapsed
    }
    if close:
        name = min(close, key=lambda one: (close[one].bytes, -(close[one].score or 0.0)))
        return Chosen(name, close[name], True)
    name = max(rungs, key=lambda one: -1e9 if rungs[one].score is None else rungs[one].score or 0.0)
    return Chosen(name, rungs[name], False)


def sentences(results: Results, chosen: Chosen, max_drop: float) -> list[str]:
    """What was chosen, and what its score is worth."""
    found, model = [], chosen.model
    bound = f"{max_drop:g} point{'' if max_drop == 1 else 's'}"
    what = f"{chosen.name}: {table.score_name(results)} {_number(model.score)}, {_gap(model)}; {_size(model)}"
    if chosen.is_close:
        found.append(f"The smallest model within {bound} of the teacher is {what}")
    else:
        found.append(f"No model is within {bound} of the teacher. The best is {what}")
    num_rows = results.rows[results.split]
    found.append(
        f"Checkpoints were chosen on other rows; the model was chosen on these {num_rows} of "
        f"{results.split}, where one row more or less is {100 / num_rows:.2g} points."
    )
    for split in list(results.rows)[1:]:
        own, teacher = _mean(model, split), _mean(results.models[TEACHER], split)
        found.append(
            f"On {results.rows[split]} rows of {split}, which chose nothing: {_number(own)}, the teacher "
            f"{_number(teacher)}."
        )
    return found


def _mean(model: ModelResult, split: str) -> float | None:
    values = list(model.scores[split].values())
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _gap(model: ModelResult) -> str:
    return "no gap known" if model.gap is None else f"{100 * model.gap:+.1f} points"


def _size(model: ModelResult) -> str:
    return f"{model.mib:.2f} MiB, {model.ratio:.1f} times smaller"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
