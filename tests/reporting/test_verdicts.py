"""Claims in words: what was measured, on what, and what stood in for it."""

from typing import Any

import pytest

from pipeline.reporting import verdicts

CLAIM: dict[str, Any] = {
    "statement": "a beats b",
    "rungs": ["a", "b"],
    "measure": "accuracy",
    "values": {"a": 0.9, "b": 0.8},
    "difference": 0.1,
    "margin": 0.04,
    "num_examples": 1000,
    "num_seeds": 1,
    "total_steps": {"a": 1900, "b": 9},
    "equal_steps": False,
    "unequal": ["steps"],
    "score_is": "undefined for b of seed 2",
    "collapsed": [],
    "verdict": "holds",
    "rule": "holds if",
}
UNDEFINED = {**CLAIM, "measure": None, "values": None, "difference": None, "margin": None, "num_seeds": 0}


def test_it_says_that_accuracy_stands_in() -> None:
    expected = (
        "accuracy (matthews correlation is undefined for b of seed 2) 0.9000 against 0.8000, difference "
        "+0.1000 ± 0.0400"
    )
    assert verdicts.figures(CLAIM, "matthews correlation").startswith(expected)
    assert verdicts.figures(CLAIM, "accuracy").startswith("accuracy 0.9000 against")


def test_it_says_which_rung_gives_one_answer() -> None:
    claim = {**CLAIM, "collapsed": ["b of seed 2"], "verdict": "not judged"}
    assert verdicts.figures(claim, "accuracy").endswith("(95 %); b of seed 2 gives one answer to all rows")


def test_what_is_undefined_says_so() -> None:
    expected = "F1 is undefined for b of seed 2, and accuracy does not serve either"
    assert verdicts.figures(UNDEFINED, "F1") == expected
    assert verdicts.lines({"claims": [UNDEFINED]}, "accuracy")[1:] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "holds (unequal steps)"),
        ({"unequal": ["steps", "data"]}, "holds (unequal steps and data)"),
        ({"unequal": []}, "holds"),
        ({"measure": None, "verdict": "not judged"}, "not judged"),
    ],
)
def test_a_verdict_says_what_else_the_rungs_differ_in(changes: dict[str, Any], said: str) -> None:
    claim = {**CLAIM, **changes}
    assert verdicts.verdict(claim) == said
    assert verdicts.lines({"claims": [claim]}, "F1")[0].startswith(f"{said}: a beats b")


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, "1,900 and 9"), ({"total_steps": {"a": 9, "b": 9}, "equal_steps": True}, "9 each")],
)
def test_steps_are_those_of_both(changes: dict[str, Any], said: str) -> None:
    assert verdicts.steps({**CLAIM, **changes}) == said


def test_a_rule_is_said_once() -> None:
    assert verdicts.lines({"claims": [CLAIM, CLAIM]}, "accuracy")[2:] == ["A claim holds if."]


def test_without_claims_there_is_nothing_to_say() -> None:
    assert verdicts.lines({"claims": []}, "accuracy") == []
