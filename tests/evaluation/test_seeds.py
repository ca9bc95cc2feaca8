"""Mean and spread over seeds: by hand, against numpy, and never prettier than the seeds were."""

from typing import Any

import numpy as np
import pytest
import some_results
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.results import Means, ModelResult, Scores, Value, difference
from pipeline.evaluation.seeds import mean, over_seeds, spread

scores = st.floats(-1, 1, allow_nan=False)


def models(score: Value, teacher: Value = 0.9) -> dict[str, ModelResult]:
    return {
        "teacher": some_results.teacher(teacher, scores=on_both_splits(teacher)),
        "w1": some_results.model(
            score,
            accuracy=0.5,
            collapsed=score is None,
            gap=difference(score, teacher),
            scores=on_both_splits(score),
        ),
    }


def on_both_splits(score: Value) -> Scores:
    """Half as much on the second one."""
    return {"validation": {"f1": score}, "second": {"f1": None if score is None else score / 2}}


def test_three_seeds_worked_by_hand() -> None:
    found = over_seeds({2: models(0.9, 0.9), 0: models(0.5, 0.7), 1: models(0.7, 0.8)})["w1"]
    assert found.scores == {"0": 0.5, "1": 0.7, "2": 0.9}
    assert found.accuracies == {"0": 0.5, "1": 0.5, "2": 0.5}
    assert found.collapsed == {"0": False, "1": False, "2": False}
    assert found.num_seeds == 3
    assert found.mean == pytest.approx(0.7)
    assert found.std == pytest.approx(0.2)  # squares 0.04, 0 and 0.04, divided by 2
    assert found.gap_mean == pytest.approx(-0.1)  # -0.2, -0.1, 0: each to its own teacher
    assert found.gap_std == pytest.approx(0.1)


def test_the_seeds_that_collapsed_are_named() -> None:
    by_seed = {0: models(0.5), 1: models(None), 2: models(0.7)}
    found = by_seed[0]["w1"].model_copy(update={"seeds": over_seeds(by_seed)["w1"]})
    assert found.collapsed_seeds == ["1"]
    assert models(None)["w1"].model_copy(update={"seed": 7}).collapsed_seeds == ["7"]
    assert models(0.5)["w1"].collapsed_seeds == []


def test_every_metric_of_every_split_has_mean_and_spread_like_the_score() -> None:
    found = over_seeds({2: models(0.9, 0.9), 0: models(0.5, 0.7), 1: models(0.7, 0.8)})["w1"]
    score = {key: getattr(found, key) for key in Means.model_fields}
    assert found.metrics["validation"]["f1"].as_dict() == pytest.approx(score)
    halves = {key: value / 2 for key, value in score.items()}
    assert found.metrics["second"]["f1"].as_dict() == pytest.approx(halves)


@given(st.lists(scores, min_size=2, max_size=9))
def test_mean_and_spread_are_those_of_numpy(values: list[float]) -> None:
    assert mean(values) == pytest.approx(np.mean(values), abs=1e-12)
    assert spread(values) == pytest.approx(np.std(values, ddof=1), abs=1e-9)


@given(st.lists(scores, min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_counts_for_nothing(values: list[float], random: Any) -> None:
    by_seed = {seed: models(score) for seed, score in enumerate(values)}
    shuffled = list(by_seed.items())
    random.shuffle(shuffled)
    assert over_seeds(dict(shuffled)) == over_seeds(by_seed)


@given(scores)
def test_one_seed_has_a_mean_and_no_spread(score: float) -> None:
    found = over_seeds({7: models(score)})["w1"]
    assert (found.mean, found.std, found.gap_std, found.num_seeds) == (score, None, None, 1)


@given(st.lists(scores, min_size=1, max_size=5))
def test_a_collapsed_training_is_not_left_out_of_the_mean(values: list[float]) -> None:
    by_seed = {seed: models(score) for seed, score in enumerate([*values, None])}
    found = over_seeds(by_seed)["w1"]
    assert (found.mean, found.std, found.gap_mean, found.gap_std) == (None, None, None, None)
    assert found.metrics["second"]["f1"] == Means(**dict.fromkeys(Means.model_fields))
    assert found.num_seeds == len(values) + 1


def test_a_model_that_one_seed_lacks_has_no_mean() -> None:
    assert set(over_seeds({0: models(0.5), 1: {"teacher": models(0.5)["teacher"]}})) == {"teacher"}
    assert over_seeds({}) == {}
