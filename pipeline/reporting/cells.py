"""How a score is written: with its spread where it is a mean over seeds, marked where it means nothing.

The spread is the standard deviation over seeds, of the gap that of gaps taken seed by seed. Everything else
of a model, as its size, is that of the packed file, so of one seed.
"""

from collections.abc import Iterable, Sequence

from pipeline.evaluation.results import ModelResult, Results, Value
from pipeline.record import SUMS_OF_TWO

COLLAPSED = "†"
SAYS_COLLAPSED = (
    f"{COLLAPSED}: the model gives the same answer to every row (of several seeds, at least one does)."
)
_SAYS_SUMS_OF_TWO = f"{SUMS_OF_TWO.capitalize()}: each weight is two 1-bit codes, of which W and E count one."


def number(value: Value, spread: Value = None, *, sign: str = "") -> str:
    """`0.9380 ± 0.0102`; `sign`: `+` shows it of positive numbers too."""
    if value is None:
        return "undefined"
    return f"{value:{sign}.4f}" + ("" if spread is None else f" ± {spread:.4f}")


def points(value: Value, spread: Value = None, *, sign: str = "") -> str:
    """`93.8 ± 1.0`: hundredths, as papers print scores."""
    if value is None:
        return "undefined"
    return f"{100 * value:{sign}.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")


def marked(text: str, seeds: Sequence[str]) -> str:
    """A score, gap or name; with † where the models of some seeds have collapsed."""
    return f"{text} {COLLAPSED}" if seeds else text


def score(model: ModelResult) -> str:
    return marked(number(model.means.mean, model.means.std), model.collapsed_seeds)


def gap(model: ModelResult) -> str:
    return marked(number(model.means.gap_mean, model.means.gap_std, sign="+"), model.collapsed_seeds)


def mark_notes(models: Iterable[ModelResult]) -> list[str]:
    """What † says, where one of these has it."""
    return [SAYS_COLLAPSED] if any(model.collapsed_seeds for model in models) else []


def unusual_notes(unusual: Iterable[Iterable[str]]) -> list[str]:
    """What 1 bit means where weights are split, if any are. `unusual`: of every model shown."""
    return [_SAYS_SUMS_OF_TWO] if any(SUMS_OF_TWO in words for words in unusual) else []


def of_seeds(results: Results) -> str:
    """`one seed`, or what the numbers are of several."""
    counts = sorted({model.num_seeds for model in results.models.values()})
    if counts == [1]:
        return "one seed"
    most = max(results.models.values(), key=lambda model: model.num_seeds)
    less = "" if len(counts) == 1 else f" (some models have {counts[0]})"
    return f"mean ± standard deviation over {counts[-1]} seeds ({', '.join(most.by_seed())}){less}"


def grouped(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Of each text the titles it is said of, each once: `{text: "CoLA, RTE"}`."""
    found: dict[str, dict[str, None]] = {}
    for text, title in said:
        found.setdefault(text, {})[title] = None
    return {text: ", ".join(titles) for text, titles in found.items()}
