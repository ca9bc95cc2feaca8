"""A wrong field is refused with its value and what would have been right: keys, types, ranges, names."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from changed_params import Refusals, Values

from pipeline.params_file import load


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("weights.w1.init_form", "did you mean 'init_from'?"),
        ("weights.w1.embedding-bits", "did you mean 'embedding_bits'?"),
        ("weights.w1.activation_bits", "it belongs under general.<name> or weights_activations.<name>"),
        (
            "budget.learning_rate",
            "it belongs under training.pretraining or training.teacher or training.general or training.rung",
        ),
        (
            "weights.w1.hidden_states",
            "it belongs under weights.w1.distillation or weights.w1.phases[n].distillation; known",
        ),
        ("weights.w1.epochs", "it belongs under weights.w1.duration; known"),
        (
            "data.share",
            "it belongs under general.<name>.phases[n] or weights.<name>.phases[n] or "
            "weights_activations.<name>.phases[n]",
        ),
        ("wieghts", "did you mean 'weights'?"),
        ("zzz", "known: seed, seeds, evaluation, task, data, model, teacher, budget"),
    ],
)
def test_an_unknown_key_is_refused_with_where_it_might_belong(
    refusals: Refusals, place: str, sentence: str
) -> None:
    problems = refusals((place, 1))
    assert len(problems) == 1
    assert problems[0].startswith(f"{place}: unknown key; ")
    assert sentence in problems[0]


def test_a_missing_key_is_named(refusals: Refusals) -> None:
    assert refusals(("weights.w1.data", ...)) == ["weights.w1.data: missing"]


def test_a_rung_that_only_an_override_names_lacks_every_key_of_a_rung(refusals: Refusals) -> None:
    assert refusals(("weights.w3", {"learning_rate": 1e-4})) == [
        f"weights.w3.{key}: missing" for key in ("bits", "init_from", "taught_by", "data")
    ]


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("seed", True, "true is true or false; expected a whole number"),
        ("seed", 1.0, "1.0 is a number; expected a whole number"),
        ("seed", "1", "'1' is text; expected a whole number: write it without quotes"),
        ("seed", [1], "[1 entries] is a list; expected a whole number"),
        ("seed", None, "empty; expected a whole number"),
        ("weights.w1.bits", True, "true is true or false; expected a whole number"),
        ("weights.w1.bits", 1.0, "1.0 is a number; expected a whole number"),
        ("weights.w1.init_from", 8, "8 is a whole number; expected text: put it in quotes"),
        (
            "training.rung.learning_rate",
            "1e-5",
            "'1e-5' is text; expected a number: write it without quotes",
        ),
        ("training.rung.learning_rate", True, "true is true or false; expected a number"),
        ("task.label_names", "yes", "'yes' is text; expected a list, as in [a, b]"),
        ("task", [1], "[1 entries] is a list; expected a mapping of keys"),
        ("weights", None, "empty; expected a mapping of names"),
        ("weights.w1", "w2", "'w2' is text; expected a mapping of keys"),
    ],
)
def test_a_wrong_type_is_refused(refusals: Refusals, place: str, value: object, problem: str) -> None:
    assert f"{place}: {problem}" in refusals((place, value))


def test_a_whole_number_is_taken_where_a_number_is_expected(params_file: Callable[..., Path]) -> None:
    loaded = load(params_file(("distillation.logits", 2), ("training.rung.weight_decay", 0)))
    assert loaded.distillation.logits == 2.0
    assert type(loaded.distillation.logits) is float


def test_a_date_is_refused_where_text_is_expected(refusals: Refusals) -> None:
    problems = refusals(("data.revision", datetime.date(2026, 1, 1)))
    assert problems == ["data.revision: 2026-01-01 is a date; expected text: put it in quotes"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("training.rung.learning_rate", float("nan")),
        ("training.rung.learning_rate", float("inf")),
        ("training.rung.learning_rate", 0.0),
        ("training.rung.learning_rate", 1e308),
        ("training.rung.warmup_fraction", 1.5),
        ("training.rung.dropout", 1.0),
        ("training.rung.batch_size", 0),
        ("training.rung.batch_size", 10**30),
        ("training.rung.weight_decay", -0.1),
        ("distillation.logits", float("nan")),
        ("seed", 2**32),
        ("seed", -1),
        ("budget.rung.steps", 10**30),
        ("task.selection_fraction", 0.5),
        ("weights.w1.bits", 32),
        ("weights.w1.bits", 10**30),
        ("weights_activations.w1a1.activation_bits", 3),
        ("augmentation.word_fraction", 0),
    ],
)
def test_a_value_out_of_range_is_refused(refusals: Refusals, place: str, value: object) -> None:
    problems = [problem for problem in refusals((place, value)) if problem.startswith(f"{place}: ")]
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("training.processes", 0, "a whole number from 1 to 1024"),
        ("training.processes", 1025, "a whole number from 1 to 1024"),
        ("data.max_train_rows", 0, "a whole number from 1 to 2147483647"),
        ("augmentation.swap", 1001, "a whole number from 0 to 1000"),
        ("training.rung.dropout", 1.0, "a number of at least 0 and less than 1"),
        ("training.rung.learning_rate", 0.0, "a number of more than 0 and at most 1"),
        ("weights.w1.learning_rate", 2, "a number of more than 0 and at most 1"),
        ("weights.w1.init", {"encoder": {"std": 0.0}}, "a number of more than 0 and at most 1000000"),
    ],
)
def test_a_refusal_says_both_ends_of_the_range(
    refusals: Refusals, place: str, value: object, expected: str
) -> None:
    assert any(
        problem.startswith(place) and problem.endswith(f" is not allowed; expected {expected}")
        for problem in refusals((place, value))
    )


def test_a_value_that_is_not_finite_is_called_so(refusals: Refusals) -> None:
    assert refusals(("distillation.logits", float("nan"))) == [
        "distillation.logits: nan is not a finite number"
    ]


def test_a_misspelt_choice_gets_the_nearest_one(refusals: Refusals) -> None:
    assert refusals(("weights.w1.data", "augmentd")) == [
        "weights.w1.data: 'augmentd' is not allowed; did you mean 'augmented'? allowed: plain, augmented"
    ]


@pytest.mark.parametrize(
    "text", ["$(touch x)", "; touch x", "`touch x`", "../../x", "w1 && touch x", "W1", "1w", ""]
)
def test_only_plain_names_become_rungs_and_tasks(refusals: Refusals, default: Values, text: str) -> None:
    rung = default["weights"]["w8"]
    problems = refusals(("weights", {**default["weights"], text: rung}))
    assert any(
        f"weights.{text}: " in problem and "a name starts with a letter" in problem for problem in problems
    )
    assert any("task.name" in problem for problem in refusals(("task.name", text)))


def test_a_key_with_a_line_break_or_an_escape_stays_on_one_line(refusals: Refusals, default: Values) -> None:
    problems = refusals(("weights", {**default["weights"], "a\nb\x1b[31m": default["weights"]["w8"]}))
    assert all(problem.isprintable() for problem in problems)
