"""Results as `evaluate` writes them: plain ones, in which a test changes what it is about."""

from typing import Any

from pipeline.evaluation.results import FORMAT, ClaimResult, ModelResult, Results, Value, difference
from pipeline.evaluation.seeds import over_seeds


def model(
    score: Value = 0.8, parent: str | None = "teacher", bits: tuple[int, int] = (1, 32), **changes: Any
) -> ModelResult:
    """A rung's, under a teacher of 0.9. `bits`: of weights and embeddings, and of activations."""
    values: dict[str, Any] = {
        "stage": "teacher" if bits == (32, 32) else "weights" if bits[1] == 32 else "weights_activations",
        "parent": parent,
        "weight_bits": bits[0],
        "embedding_bits": bits[0],
        "activation_bits": bits[1],
        "score": score,
        "scores": {"validation": {"accuracy": score}},
        "accuracy": score,
        "collapsed": False,
        "no_answer_threshold": None,
        "num_examples": 100,
        "bytes": bits[0] * 2**20,
        "mib": float(bits[0]),
        "digest": str(bits[0]),
        "label_agreement": None,
        "seed": 0,
        "selected_on": "selection",
        "steps": 40,
        "total_steps": 40,
        "augmented_steps": 0,
        "ancestors": ["pretrained"],
        "gap": difference(score, 0.9),
        "ratio": 32 / bits[0],
        "unusual": [],
    }
    return ModelResult(**values | changes)


def teacher(score: Value = 0.9, **changes: Any) -> ModelResult:
    return model(score, "pretrained", (32, 32), **{"gap": 0.0, **changes})


def results(models: dict[str, ModelResult], **changes: Any) -> Results:
    """Of these models on a task with one split of 100 rows."""
    values: dict[str, Any] = {
        "format": FORMAT,
        "task": "demo",
        "kind": "classification",
        "metrics": ["accuracy"],
        "split": "validation",
        "rows": {"validation": 100},
        "rows_read": {"validation": 100},
        "majority": {"validation": 0.4},
        "majority_score": 0.4,
        "num_seeds": 1,
        "checkpoint_selected_on": "selection",
        "models": models,
        "claims": [],
    }
    return Results(**values | changes)


def with_models(found: Results, **models: ModelResult) -> Results:
    """The same with these models in place of, or beside, its own."""
    return found.model_copy(update={"models": found.models | models})


def of_several_seeds(every: list[Results]) -> Results:
    """The first one's, with means over all; each is of the seed that is its number."""
    means = over_seeds({seed: one.models for seed, one in enumerate(every)})
    first = every[0]
    models = {name: model.model_copy(update={"seeds": means[name]}) for name, model in first.models.items()}
    return first.model_copy(update={"models": models, "num_seeds": len(every)})


def claim(measure: str | None = "score", **changes: Any) -> ClaimResult:
    """w1 leads w1_direct by 2 points, give or take 1, and that holds; without a measure it is not judged."""
    known: dict[str, Any] = {
        "values": {"w1": 0.82, "w1_direct": 0.8},
        "difference": 0.02,
        "standard_error": 0.005,
        "margin": 0.01,
        "differences": {"0": 0.02},
        "num_seeds": 1,
        "verdict": "holds",
        "rule": "holds when it holds",
    }
    unknown = {
        **dict.fromkeys(known),
        "differences": {},
        "num_seeds": 0,
        "verdict": "not judged",
        "rule": "-",
    }
    values: dict[str, Any] = {
        "claim": "stepped",
        "statement": "w1 beats w1_direct (both after 40 steps)",
        "rungs": ["w1", "w1_direct"],
        "measure": measure,
        **(known if measure else unknown),
        "collapsed": [],
        "score_is": None,
        "num_examples": 100,
        "total_steps": {"w1": 40, "w1_direct": 40},
        "augmented_steps": {"w1": 0, "w1_direct": 0},
        "equal_steps": True,
        "unequal": [],
    }
    return ClaimResult(**values | changes)
