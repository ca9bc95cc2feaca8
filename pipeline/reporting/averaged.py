"""What a table shows of a model: of several seeds the means and their spread, else the one score and gap.

The spread is the standard deviation over seeds, of the gap that of gaps taken seed by seed. The same of each
metric of each split. Everything else of a model, as its size, is that of the packed file, so of one seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.evaluation.seeds import collapsed
from pipeline.reporting.numbers import number

Model = Mapping[str, Any]
COLLAPSED = "†"
SAYS_COLLAPSED = f"{COLLAPSED}: gives one answer to all rows; of several seeds at least one model does."


def num_seeds(model: Model) -> int:
    return int((model.get("seeds") or {}).get("num_seeds", 1))


def score(model: Model) -> float | None:
    """Mean over seeds; None where it is undefined for one of them."""
    found: float | None = model["seeds"]["mean"] if num_seeds(model) > 1 else model["score"]
    return found


def gap(model: Model) -> float | None:
    found: float | None = model["seeds"]["gap_mean"] if num_seeds(model) > 1 else model["gap"]
    return found


def spread(model: Model) -> float | None:
    """Of the score; None with one seed."""
    found: float | None = model["seeds"]["std"] if num_seeds(model) > 1 else None
    return found


def gap_spread(model: Model) -> float | None:
    found: float | None = model["seeds"]["gap_std"] if num_seeds(model) > 1 else None
    return found


def marked(text: str, seeds: Sequence[str]) -> str:
    """A score or gap; with † where the models of some seeds have collapsed."""
    return f"{text} {COLLAPSED}" if seeds else text


def mark_note(models: Iterable[Model]) -> list[str]:
    """What † says, where one of these has it."""
    return [SAYS_COLLAPSED] if any(map(collapsed, models)) else []


def score_cell(model: Model) -> str:
    return marked(_cell(score(model), spread(model)), collapsed(model))


def gap_cell(model: Model) -> str:
    return marked(_cell(gap(model), gap_spread(model), sign="+"), collapsed(model))


def metric(model: Model, split: str, name: str) -> tuple[float | None, float | None]:
    """One metric on one split, and its spread."""
    if num_seeds(model) == 1:
        return model["scores"][split][name], None
    found = model["seeds"]["metrics"][split][name]
    return found["mean"], found["std"]


def metric_gap(model: Model, teacher: Model, split: str, name: str) -> tuple[float | None, float | None]:
    """One metric less the teacher's, and its spread."""
    if num_seeds(model) == 1:
        own, best = (one["scores"][split][name] for one in (model, teacher))
        return None if own is None or best is None else own - best, None
    found = model["seeds"]["metrics"][split][name]
    return found["gap_mean"], found["gap_std"]


def metric_cell(model: Model, split: str, name: str) -> str:
    return _cell(*metric(model, split, name))


def over_seeds(models: Mapping[str, Model]) -> dict[str, dict[str, Any]]:
    """The models with mean score and gap in place of one seed's, and the score's `spread`."""
    return {
        name: {**model, "score": score(model), "gap": gap(model), "spread": spread(model)}
        for name, model in models.items()
    }


def said(results: Mapping[str, Any]) -> str:
    """`one seed`, or what the numbers are of several."""
    counts = sorted({num_seeds(model) for model in results["models"].values()})
    if counts == [1]:
        return "one seed"
    most = max(results["models"].values(), key=num_seeds)
    names = ", ".join(most["seeds"]["scores"])
    less = "" if len(counts) == 1 else f" (some models have {counts[0]})"
    return f"mean ± standard deviation over {counts[-1]} seeds ({names}){less}"


def _cell(value: float | None, deviation: float | None, *, sign: str = "") -> str:
    shown = number(value, sign=sign)
    return shown if value is None or deviation is None else f"{shown} ± {deviation:.4f}"
