"""Claims in words: what was measured, on what, and what stood in for it; and as a row over several tasks."""

from typing import Any

import pytest
import some_results
from several_tasks import of_task

from pipeline.evaluation.results import ClaimResult, Results
from pipeline.reporting import claims

TASKS = {"cola": "CoLA", "mnli": "MNLI-m", "rte": "RTE"}
NEITHER = some_results.claim(None, score_is="undefined for w1 of seed 2")


def by_accuracy(**changes: Any) -> ClaimResult:
    values = {"w1": 0.9, "w1_direct": 0.8}
    steps = {"total_steps": {"w1": 1900, "w1_direct": 9}, "equal_steps": False, "unequal": ["steps"]}
    found = {"score_is": "undefined for w1 of seed 2", "values": values, "difference": 0.1, "margin": 0.04}
    return some_results.claim(**{"measure": "accuracy", **found, **steps, **changes})


def rows(**claimed: list[ClaimResult]) -> tuple[list[str], list[list[str]]]:
    return claims.grid(claims.gather(sources(**claimed)), TASKS)


def sources(**claimed: list[ClaimResult]) -> list[tuple[str, Results]]:
    return [("", of_task(task, claims=found)) for task, found in claimed.items()]


def notes(**claimed: list[ClaimResult]) -> str:
    return " ".join(claims.notes(claims.gather(sources(**claimed)), TASKS))


def test_it_says_that_accuracy_stands_in() -> None:
    expected = (
        "accuracy (matthews correlation is undefined for w1 of seed 2) 0.9000 against 0.8000, difference "
        "+0.1000 ± 0.0400"
    )
    assert f". {expected}" in claims.sentence(by_accuracy(), "matthews correlation")
    assert ". accuracy 0.9000 against" in claims.sentence(by_accuracy(), "accuracy")


def test_it_says_which_rung_gives_one_answer() -> None:
    claim = by_accuracy(collapsed=["w1 of seed 2"], verdict="not judged")
    expected = "(95 %); w1 of seed 2 gives one answer to all rows; 100 examples, one seed."
    assert claims.sentence(claim, "accuracy").endswith(expected)


def test_what_is_undefined_says_so() -> None:
    expected = "F1 is undefined for w1 of seed 2, and accuracy does not serve either"
    assert claims.sentence(NEITHER, "F1").endswith(f". {expected}; 100 examples, no seed.")
    assert claims.lines([NEITHER], "accuracy")[1:] == []


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
    claim = by_accuracy(**changes)
    assert claims.verdict(claim) == said
    assert claims.lines([claim], "F1")[0].startswith(f"{said}: w1 beats w1_direct")


def test_a_rule_is_said_once() -> None:
    assert claims.lines([by_accuracy()] * 2, "accuracy")[2:] == ["A claim holds when it holds."]


def test_without_claims_there_is_nothing_to_say() -> None:
    assert claims.lines([], "accuracy") == []
    assert notes() == ""


def test_a_claim_is_one_row_with_what_each_task_says_of_it() -> None:
    other = some_results.claim(rungs=["w1a8", "w1a8_direct"])
    headings, found = rows(
        cola=[by_accuracy(difference=0.02, margin=0.01), other],
        mnli=[some_results.claim(verdict="within noise", unequal=["steps"])],
        rte=[some_results.claim(None, unequal=["steps"])],
    )
    assert headings == ["claim", "better", "worse", *TASKS.values(), "they also differ in"]
    assert found == [
        ["stepped", "w1", "w1_direct", "+2.0 ± 1.0 accuracy ✓", "+2.0 ± 1.0 ≈", "?", "steps"],
        ["stepped", "w1a8", "w1a8_direct", "+2.0 ± 1.0 ✓", "-", "-", "-"],
    ]


def test_every_verdict_has_a_sign_of_its_own_that_is_explained() -> None:
    signs = {}
    for verdict in ("holds", "does not hold", "within noise", "not judged"):
        _, [row] = rows(cola=[some_results.claim(verdict=verdict)])
        signs[verdict] = row[3].removeprefix("+2.0 ± 1.0 ")
    assert len(set(signs.values())) == 4
    assert all(f"{sign}: " in notes(cola=[some_results.claim()]) for sign in signs.values())


def test_rungs_that_differ_in_something_else_on_some_tasks_alone_say_where() -> None:
    unequal = some_results.claim(unequal=["steps", "data"])
    _, [row] = rows(cola=[unequal], mnli=[unequal], rte=[some_results.claim()])
    assert row[-1] == "CoLA, MNLI-m: steps and data"


def test_claims_of_ladders_told_apart_name_their_rungs_in_full() -> None:
    both = [(label, of_task("rte", claims=[some_results.claim()])) for label in ("", "bit")]
    _, found = claims.grid(claims.gather(both), TASKS)
    assert [row[1:3] for row in found] == [["w1", "w1_direct"], ["bit w1", "bit w1_direct"]]


def test_what_claims_say_and_rest_on_is_said_once() -> None:
    said = notes(cola=[some_results.claim()], mnli=[some_results.claim()])
    assert said.count("A claim holds when it holds.") == 1
    assert "Claims rest on: CoLA, MNLI-m: 100 examples, one seed." in said
    beats = "the rung under *better* beats the one under *worse*"
    assert f"stepped: Reached step by step, {beats}, which takes fewer rungs." in said


def test_tasks_whose_claims_are_judged_by_other_rules_are_named() -> None:
    several = some_results.claim(rule="holds over seeds", num_seeds=3)
    said = notes(cola=[several], rte=[some_results.claim()])
    assert "A claim on CoLA holds over seeds. A claim on RTE holds when it holds." in said
    assert "CoLA: 100 examples, 3 seeds; RTE: 100 examples, one seed." in said
