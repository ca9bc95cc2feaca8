"""Claims are stated only when both rungs are there, and with what they rest on."""

import math
from typing import Any

import pytest

from pipeline.evaluation.claims import claims, standard_error, verdict


def model(
    parent: str | None, accuracy: float | None, *, activation_bits: int = 8, steps: int = 400
) -> dict[str, Any]:
    bits = {"weight_bits": 1, "embedding_bits": 1, "activation_bits": activation_bits}
    return {
        "parent": parent,
        "accuracy": accuracy,
        "num_examples": 1000,
        "total_steps": steps,
        "seed": 0,
        **bits,
    }


def ladder(stepped: float | None, direct: float | None) -> dict[str, dict[str, Any]]:
    return {"w1a8": model("w1", stepped, steps=2000), "w1a8_direct": model("teacher", direct)}


def test_a_clear_difference_holds() -> None:
    [claim] = claims(ladder(0.95, 0.85))
    assert claim["verdict"] == "holds"
    assert claim["rungs"] == ["w1a8", "w1a8_direct"]
    assert claim["difference"] == pytest.approx(0.10)


def test_a_clear_difference_the_other_way_does_not_hold() -> None:
    [claim] = claims(ladder(0.85, 0.95))
    assert claim["verdict"] == "does not hold"


def test_a_small_difference_is_noise() -> None:
    [claim] = claims(ladder(0.91, 0.90))
    assert claim["verdict"] == "within noise"


def test_it_says_what_it_rests_on() -> None:
    [claim] = claims(ladder(0.95, 0.85))
    assert claim["num_seeds"] == 1
    assert claim["num_examples"] == 1000
    assert claim["total_steps"] == {"w1a8": 2000, "w1a8_direct": 400}
    assert claim["equal_steps"] is False
    assert "2000" in claim["statement"]
    assert "standard error" in claim["rule"]


def test_a_partially_random_rung_is_compared_with_the_pretrained_one() -> None:
    models = {
        "w1a1": model("w1a4", 0.70, activation_bits=1),
        "w1a1_random": model("teacher", 0.80, activation_bits=1),
    }
    [claim] = claims(models)
    assert claim["rungs"] == ["w1a1_random", "w1a1"]
    assert claim["verdict"] == "holds"


def test_without_both_rungs_nothing_is_claimed() -> None:
    assert claims({"w1a8": model("w1", 0.9)}) == []
    assert claims({"w1a8_direct": model("teacher", 0.9)}) == []


def test_rungs_of_other_precision_are_not_compared() -> None:
    models = ladder(0.9, 0.8)
    models["w1a8_direct"]["activation_bits"] = 4
    assert claims(models) == []


def test_an_undefined_accuracy_is_not_judged() -> None:
    [claim] = claims(ladder(None, 0.9))
    assert claim["verdict"] == "not judged"
    assert claim["difference"] is None


def test_the_standard_error_worked_by_hand() -> None:
    assert standard_error(0.9, 0.8, 100) == pytest.approx(math.sqrt(0.09 / 100 + 0.16 / 100))


@pytest.mark.parametrize(
    ("difference", "expected"),
    [(0.2, "within noise"), (0.21, "holds"), (-0.21, "does not hold"), (0.0, "within noise")],
)
def test_the_verdict_turns_at_two_standard_errors(difference: float, expected: str) -> None:
    assert verdict(difference, 0.1) == expected
