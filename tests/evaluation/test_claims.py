"""Claims are judged by paired differences, over examples and over seeds, and say what they rest on."""

import math
from collections.abc import Set
from typing import Any

import numpy as np
import pytest
import some_results
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.evaluation.claims import (
    Score,
    combined,
    judge,
    measured,
    scores_without_each,
    standard_error,
    verdict,
)
from pipeline.evaluation.results import ClaimResult, ModelResult, OverSeeds, Value
from pipeline.kinds import metrics
from pipeline.kinds.metrics import Array
from pipeline.ladder.claims import KINDS
from pipeline.params import Claim


def of_predictions(names: list[str]) -> Score:
    """The mean of these metrics, from rows of prediction and label."""
    return lambda rows: metrics.mean_score(metrics.compute(names, rows[:, 0], rows[:, 1]))


def of_marks(rows: Array) -> float:
    return float(rows.mean())


STEPPED = Claim(claim="stepped", better="w1a8", worse="w1a8_direct")
SHARES = st.floats(-1, 1, allow_nan=False)
ACCURACY = of_predictions(["accuracy"])
LABELS = st.integers(0, 1)


def model(
    score: Value,
    *,
    accuracy: Value = None,
    steps: int = 400,
    augmented: int = 0,
    seeds: list[Value] | None = None,
    collapsed: Set[int] = frozenset(),
    mib: float = 13.5,
) -> ModelResult:
    """`seeds`: the score of each, the first of them the published one."""
    found = some_results.model(
        score,
        accuracy=score if accuracy is None else accuracy,
        collapsed=0 in collapsed,
        num_examples=1000,
        total_steps=steps,
        augmented_steps=augmented,
        mib=mib,
    )
    if seeds is None:
        return found
    scores = {str(seed): value for seed, value in enumerate(seeds)}
    means = OverSeeds(
        scores=scores,
        accuracies={seed: 0.5 if value is None else value for seed, value in scores.items()},
        collapsed={seed: int(seed) in collapsed for seed in scores},
        num_seeds=len(seeds),
        metrics={},
        **dict.fromkeys(("mean", "std", "gap_mean", "gap_std")),
    )
    return found.model_copy(update={"seeds": means})


def without(right: float) -> dict[str, Any]:
    """Of a model that is right on the first share of 1000 examples."""
    labels = np.arange(1000) % 2
    rows = np.stack([np.where(np.arange(1000) < 1000 * right, labels, 1 - labels), labels], axis=1)
    left = scores_without_each(rows, of_predictions(["accuracy"]))
    return {"score": left, "accuracy": left}


def judged(stepped: float, direct: float, **changes: Any) -> ClaimResult:
    models = {"w1a8": model(stepped, **changes), "w1a8_direct": model(direct)}
    [claim] = judge([STEPPED], models, {"w1a8": without(stepped), "w1a8_direct": without(direct)})
    return claim


def over_seeds(better: list[Value], worse: list[Value], collapsed: Set[int] = frozenset()) -> ClaimResult:
    """`collapsed`: seeds of the worse one."""
    models = {"w1a8": model(0.95, seeds=better), "w1a8_direct": model(0.85, seeds=worse, collapsed=collapsed)}
    [claim] = judge([STEPPED], models, {"w1a8": without(0.95), "w1a8_direct": without(0.85)})
    return claim


def test_a_clear_difference_holds() -> None:
    claim = judged(0.95, 0.85)
    assert claim.verdict == "holds"
    assert claim.rungs == ["w1a8", "w1a8_direct"]
    assert claim.difference == pytest.approx(0.10)


def test_a_clear_difference_the_other_way_does_not_hold() -> None:
    assert judged(0.85, 0.95).verdict == "does not hold"


def test_one_example_is_noise() -> None:
    """1 example in 1000: its error is as large as itself."""
    claim = judged(0.901, 0.900)
    assert claim.standard_error == pytest.approx(0.001, rel=1e-3)
    assert claim.verdict == "within noise"


def test_pairing_sees_what_two_independent_shares_would_not() -> None:
    """10 examples in 1000, all one way: z is 3.2 when paired, 0.8 for independent shares."""
    claim = judged(0.91, 0.90)
    assert claim.standard_error == pytest.approx(math.sqrt(0.01 * 0.99 / 999))
    assert claim.verdict == "holds"


def test_it_says_what_it_rests_on() -> None:
    claim = judged(0.95, 0.85, steps=2000)
    assert (claim.num_seeds, claim.num_examples) == (1, 1000)
    assert claim.total_steps == {"w1a8": 2000, "w1a8_direct": 400}
    assert claim.equal_steps is False
    assert claim.unequal == ["steps"]
    assert "w1a8 after 2000 steps, w1a8_direct after 400 steps: not equal training" in claim.statement
    assert "not what another seed would give" in claim.rule
    assert claim.margin == pytest.approx(1.962 * claim.standard_error, rel=1e-3)


def test_equal_steps_are_said_once() -> None:
    claim = judged(0.95, 0.85)
    assert claim.equal_steps is True
    assert claim.unequal == []
    assert claim.statement.endswith("(both after 400 steps)")


def test_with_seeds_it_is_the_mean_and_the_spread_counts() -> None:
    claim = over_seeds([0.95, 0.93, 0.94], [0.85, 0.86, 0.90])
    assert claim.values == {"w1a8": pytest.approx(0.94), "w1a8_direct": pytest.approx(0.87)}
    assert claim.differences == {
        "0": pytest.approx(0.10),
        "1": pytest.approx(0.07),
        "2": pytest.approx(0.04),
    }
    # Spread over seeds: 0.03 / sqrt(3). Over examples: 100 of 1000 differ, all one way.
    expected = math.sqrt(0.03**2 / 3 + 0.1 * 0.9 / 999)
    assert claim.standard_error == pytest.approx(expected)
    assert claim.num_seeds == 3
    assert "spread of the difference over seeds" in claim.rule


def test_a_spread_over_three_seeds_is_worth_a_wide_interval() -> None:
    """A mean difference of 3.3 standard errors: with many seeds it would hold."""
    claim = over_seeds([0.95, 0.93, 0.94], [0.85, 0.86, 0.90])
    assert claim.difference > 3.3 * claim.standard_error
    assert claim.margin > 2.5 * claim.standard_error
    wide = over_seeds([0.99, 0.80, 0.95], [0.85, 0.84, 0.84])
    assert wide.verdict == "within noise"
    assert wide.margin > 4 * wide.standard_error


def test_the_same_on_every_seed_leaves_the_examples_as_doubt() -> None:
    claim = over_seeds([0.95, 0.95], [0.85, 0.85])
    assert claim.standard_error == pytest.approx(math.sqrt(0.1 * 0.9 / 999))


def test_with_a_model_that_collapsed_for_one_seed_accuracies_are_shown_and_nothing_is_judged() -> None:
    claim = over_seeds([0.95, 0.93], [0.85, None])
    assert (claim.measure, claim.num_seeds) == ("accuracy", 2)
    assert claim.differences == {"0": pytest.approx(0.10), "1": pytest.approx(0.43)}
    assert claim.score_is == "undefined for w1a8_direct of seed 1"
    assert claim.verdict == "not judged"


def test_a_score_that_one_example_alone_defines_is_judged_by_accuracy_and_says_so() -> None:
    """Matthews correlation of a model that gave the other answer once."""
    models = {"w1a8": model(0.95), "w1a8_direct": model(0.85)}
    left = {"w1a8": without(0.95), "w1a8_direct": without(0.85)}
    left["w1a8"]["score"] = np.where(np.arange(1000) == 7, np.nan, left["w1a8"]["score"])
    [claim] = judge([STEPPED], models, left)
    assert (claim.measure, claim.score_is) == ("accuracy", "undefined for w1a8 without one example")
    assert claim.verdict == "holds"


def test_ways_that_saw_other_shares_of_augmented_rows_differ_in_data() -> None:
    claim = judged(0.95, 0.85, steps=500, augmented=100)
    assert claim.unequal == ["steps", "data"]
    assert "not equal data: of their steps on augmented rows, w1a8 100 of 500, w1a8_direct none of 400" in (
        claim.statement
    )


def test_twice_the_steps_on_the_same_data_is_the_same_data() -> None:
    models = {"w1a8": model(0.9, steps=800, augmented=800), "w1a8_direct": model(0.8, augmented=400)}
    [claim] = judge([STEPPED], models, {"w1a8": without(0.9), "w1a8_direct": without(0.8)})
    assert claim.unequal == ["steps"]


def test_a_claim_about_the_data_does_not_call_it_unequal() -> None:
    models = {"a": model(0.9, augmented=400), "b": model(0.8)}
    [claim] = judge(
        [Claim(claim="augmentation", better="a", worse="b")], models, {"a": without(0.9), "b": without(0.8)}
    )
    assert claim.unequal == []


def test_splitting_is_compared_with_both_sizes() -> None:
    models = {"a": model(0.9), "b": model(0.8, mib=16.4)}
    [claim] = judge(
        [Claim(claim="no_splitting", better="a", worse="b")], models, {"a": without(0.9), "b": without(0.8)}
    )
    assert claim.statement.endswith("(both after 400 steps; a 13.500 MiB, b 16.400 MiB)")


def test_beside_an_undefined_score_accuracies_are_shown() -> None:
    models = {"w1a8": model(0.4, accuracy=0.95), "w1a8_direct": model(None, accuracy=0.85)}
    left = {"w1a8": without(0.95), "w1a8_direct": without(0.85)}
    [claim] = judge([STEPPED], models, left)
    assert (claim.measure, claim.values) == ("accuracy", {"w1a8": 0.95, "w1a8_direct": 0.85})
    assert claim.score_is == "undefined for w1a8_direct"
    assert claim.verdict == "not judged"


def test_always_the_same_answer_wins_nothing_however_accurate_it_is() -> None:
    """CoLA: 69 % of it are acceptable, more than a weak model that tries gets right."""
    models = {"w1a8": model(None, accuracy=0.69, collapsed={0}), "w1a8_direct": model(0.1, accuracy=0.6)}
    [claim] = judge([STEPPED], models, {"w1a8": without(0.69), "w1a8_direct": without(0.6)})
    assert (claim.difference, claim.verdict) == (pytest.approx(0.09), "not judged")
    assert claim.collapsed == ["w1a8"]


def test_nor_however_it_scores() -> None:
    """MRPC: always "equivalent" has an accuracy of 0.68 and an F1 of 0.81, both defined."""
    models = {"w1a8": model(0.75, collapsed={0}), "w1a8_direct": model(0.6)}
    [claim] = judge([STEPPED], models, {"w1a8": without(0.75), "w1a8_direct": without(0.6)})
    assert (claim.measure, claim.verdict) == ("score", "not judged")
    assert claim.difference > claim.margin > 0


def test_it_is_said_from_which_seeds_a_rung_has_collapsed() -> None:
    claim = over_seeds([0.95, 0.93, 0.94], [0.85, 0.85, 0.85], collapsed={0, 2})
    assert claim.collapsed == ["w1a8_direct of seeds 0, 2"]
    assert (claim.measure, claim.verdict) == ("score", "not judged")


def test_what_has_no_defined_measure_is_not_judged() -> None:
    models = {"w1a8": model(None), "w1a8_direct": model(0.9)}
    [claim] = judge([STEPPED], models, {"w1a8_direct": without(0.9)})
    assert claim.verdict == "not judged"
    assert claim.difference is claim.margin is None
    assert measured(["w1a8", "w1a8_direct"], models, {}).measure is None


def test_a_claim_about_a_rung_that_was_not_evaluated_is_left_out() -> None:
    assert judge([STEPPED], {"w1a8": model(0.9)}, {"w1a8": without(0.9)}) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_who_should_win(kind: str) -> None:
    models = {"a": model(0.9), "b": model(0.8)}
    declared = [Claim(claim=kind, better="a", worse="b")]
    [claim] = judge(declared, models, {"a": without(0.9), "b": without(0.8)})
    assert "a beats b" in claim.statement


@given(st.floats(0, 1), st.integers(2, 10_000), st.lists(SHARES, min_size=2, max_size=6))
@example(0.0, 2, [0.0, 1.1e-308])
@example(5e-324, 1000, [0.0, 5e-324])
@example(1e-200, 1000, [0.0, 1e-100])
def test_seeds_never_make_the_examples_surer(
    by_examples: float, num_examples: int, differences: list[float]
) -> None:
    error, degrees = combined(by_examples, num_examples, differences)
    assert error >= by_examples
    least, most = sorted((num_examples - 1, len(differences) - 1))
    assert least * (1 - 1e-9) <= degrees <= (least + most) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [(0.2, "within noise"), (0.21, "holds"), (-0.21, "does not hold"), (0.0, "within noise")],
)
def test_the_verdict_turns_at_the_margin(difference: float, expected: str) -> None:
    assert verdict(difference, 0.2) == expected


@st.composite
def two_models(draw: st.DrawFn) -> tuple[Array, Array]:
    """Rows [N, 2] of prediction and label of two models on the same examples."""
    rows = draw(st.lists(st.tuples(LABELS, LABELS, LABELS), min_size=4, max_size=40))
    first, second, labels = (np.array(column) for column in zip(*rows, strict=True))
    return np.stack([first, labels], axis=1), np.stack([second, labels], axis=1)


@given(models=two_models())
def test_for_accuracy_it_is_the_error_of_the_mean_of_paired_differences(models: tuple[Array, Array]) -> None:
    first, second = ((rows[:, 0] == rows[:, 1]).astype(float) for rows in models)
    expected = np.std(first - second, ddof=1) / math.sqrt(len(first))
    assert standard_error(*(scores_without_each(rows, ACCURACY) for rows in models)) == pytest.approx(
        expected, abs=1e-9
    )


def test_mcnemar_by_hand() -> None:
    """Of 100 examples the first alone is right on 12, the second alone on 4."""
    labels = np.ones(100)
    first, second = labels.copy(), labels.copy()
    first[:4], second[4:16] = 0, 0
    models = (np.stack([predicted, labels], axis=1) for predicted in (first, second))
    error = standard_error(*(scores_without_each(rows, ACCURACY) for rows in models))
    # Differences: 12 times 1, 4 times -1, 84 times 0. Mean 0.08, sum of squares 16.
    assert error == pytest.approx(math.sqrt((16 - 100 * 0.08**2) / 99 / 100))


def test_what_both_get_right_or_wrong_is_no_reason_to_doubt() -> None:
    rows = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    without = scores_without_each(rows, ACCURACY)
    assert standard_error(without, without) == 0


@settings(max_examples=30)
@given(models=two_models())
def test_leaving_out_by_kind_is_leaving_out_one_by_one(models: tuple[Array, Array]) -> None:
    score = of_predictions(["accuracy", "f1"])
    one_by_one = [score(np.delete(models[0], row, axis=0)) for row in range(len(models[0]))]
    expected = [np.nan if value is None else value for value in one_by_one]
    np.testing.assert_array_equal(scores_without_each(models[0], score), expected)


def test_matthews_agrees_with_drawing_examples_anew() -> None:
    """2000 draws know a standard error to 1.6 % (1/sqrt(4000)); 10 % leaves room for the jackknife."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 400)
    first, second = (np.where(draw.random(400) < right, labels, 1 - labels) for right in (0.85, 0.75))
    score = of_predictions(["matthews_correlation"])
    models = [np.stack([predicted, labels], axis=1) for predicted in (first, second)]
    differences = []
    for _ in range(2000):
        rows = draw.integers(0, 400, 400)
        a, b = (score(model[rows]) for model in models)
        assert a is not None
        assert b is not None
        differences.append(a - b)
    error = standard_error(*(scores_without_each(rows, score) for rows in models))
    assert error == pytest.approx(np.std(differences), rel=0.1)


def test_marks_are_averaged() -> None:
    marks = np.array([[1.0], [0.5], [0.0]])
    np.testing.assert_allclose(scores_without_each(marks, of_marks), [0.25, 0.5, 0.75])


def test_a_score_that_one_example_holds_up_is_undefined_without_it() -> None:
    rows = np.array([[1, 1], [0, 0], [0, 1], [0, 0]])  # one positive answer alone
    without = scores_without_each(rows, of_predictions(["matthews_correlation"]))
    assert np.isnan(without).tolist() == [True, False, False, False]
