"""What the papers claim, held against this ladder's own results.

Two rungs are compared by their accuracy on the first validation split, which chose no checkpoint. The noise
is that of drawing the validation examples: the standard error of the difference of two independent
proportions. Both rungs answer the same examples, which makes the true noise smaller, and were trained once,
which makes it larger: the spread over seeds is not in it.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

Models = Mapping[str, Mapping[str, Any]]
BITS = ("weight_bits", "embedding_bits", "activation_bits")
RULE = (
    "holds (does not hold): the difference in accuracy is more than 2 standard errors above (below) zero; "
    "within noise otherwise; the standard error is sqrt(p(1-p)/n + q(1-q)/n)"
)
# What a rung's name ends in, who of the two should win, and what that would show.
_PAIRS = {
    "_direct": (
        True,
        "Reached step by step, {better} beats {worse}, which goes from the teacher in one step",
    ),
    "_random": (
        False,
        "With a random encoder, {better} beats {worse}, whose weights descend from pre-trained ones",
    ),
}


def claims(models: Models) -> list[dict[str, Any]]:
    """One entry per pair of delivered rungs of equal bits that a claim is about. `models`: results.json's."""
    return [_claim(models, better, worse, words) for better, worse, words in _pairs(models)]


def standard_error(p: float, q: float, num_examples: int) -> float:
    """Of the difference of two shares, each of `num_examples`."""
    return math.sqrt((p * (1 - p) + q * (1 - q)) / num_examples)


def verdict(difference: float, error: float) -> str:
    if abs(difference) <= 2 * error:
        return "within noise"
    return "holds" if difference > 0 else "does not hold"


def _pairs(models: Models) -> Iterator[tuple[str, str, str]]:
    for name in models:
        for ending, (base_wins, words) in _PAIRS.items():
            base = name.removesuffix(ending)
            if base != name and base in models and _bits(models[base]) == _bits(models[name]):
                yield (base, name, words) if base_wins else (name, base, words)


def _bits(model: Mapping[str, Any]) -> list[int]:
    return [model[key] for key in BITS]


def _claim(models: Models, better: str, worse: str, words: str) -> dict[str, Any]:
    p, q = models[better]["accuracy"], models[worse]["accuracy"]
    num_examples = models[better]["num_examples"]
    known = p is not None and q is not None
    error = standard_error(p, q, num_examples) if known else None
    steps = {name: models[name]["total_steps"] for name in (better, worse)}
    return {
        "statement": f"{words.format(better=better, worse=worse)} ({_training(steps)})",
        "rungs": [better, worse],
        "accuracy": {better: p, worse: q},
        "difference": p - q if known else None,
        "standard_error": error,
        "num_examples": num_examples,
        "num_seeds": 1,
        "total_steps": steps,
        "equal_steps": len(set(steps.values())) == 1,
        "verdict": verdict(p - q, error) if error is not None else "not judged",
        "rule": RULE,
    }


def _training(steps: Mapping[str, int]) -> str:
    if len(set(steps.values())) == 1:
        return f"both after {next(iter(steps.values()))} steps"
    return ", ".join(f"{name} after {count} steps" for name, count in steps.items()) + ": not equal training"
