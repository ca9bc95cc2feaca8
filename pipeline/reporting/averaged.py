"""What a table shows of a model: of several seeds the means and their spread, else the one score and gap.

The spread is the standard deviation over seeds, of the gap that of gaps taken seed by seed. Everything else
of a model, its size and its other metrics too, is that of the packed file, which is one seed's.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.reporting.numbers import number

Model = Mapping[str, Any]


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


def score_cell(model: Model) -> str:
    return _cell(score(model), spread(model))


def gap_cell(model: Model) -> str:
    deviation = model["seeds"]["gap_std"] if num_seeds(model) > 1 else None
    return _cell(gap(model), deviation, sign="+")


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
