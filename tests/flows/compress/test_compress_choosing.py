"""The model a person gets is the smallest that is close enough; where none is, the best is named anyway."""

import pytest
from some_results import model, results, teacher

from flows.compress.choosing import choose, sentences

MODELS = {
    "teacher": teacher(),
    "w4a8": model(0.90, bits=(4, 8)),
    "w2a8": model(0.89, bits=(2, 8)),
    "w1a8": model(0.88, bits=(1, 8)),
}


@pytest.mark.parametrize(
    ("max_drop", "name"), [(0.0, "w4a8"), (0.9, "w4a8"), (1.0, "w2a8"), (1.9, "w2a8"), (2.0, "w1a8")]
)
def test_the_smallest_within_the_points_is_chosen(max_drop: float, name: str) -> None:
    chosen = choose(results(MODELS), max_drop)
    assert (chosen.name, chosen.is_close) == (name, True)


def test_of_equally_large_ones_the_better_one() -> None:
    models = {**MODELS, "w2a8_other": model(0.895, bits=(2, 8))}
    assert choose(results(models), 1.0).name == "w2a8_other"


def test_where_none_is_close_the_best_is_named() -> None:
    models = {"teacher": teacher(), "w2a8": model(0.5, bits=(2, 8)), "w1a8": model(0.6, bits=(1, 8))}
    chosen = choose(results(models), 1.0)
    assert (chosen.name, chosen.is_close) == ("w1a8", False)
    said = sentences(results(models), chosen, 1.0)
    assert said[0].startswith("No model is within 1 point of the teacher. The best is w1a8: accuracy 0.6000")


def test_one_answer_to_all_rows_and_an_undefined_score_are_not_close() -> None:
    models = {**MODELS, "w1a8": model(0.9, bits=(1, 8), collapsed=True), "w2a8": model(None, bits=(2, 8))}
    assert choose(results(models), 1.0).name == "w4a8"


def test_what_a_score_is_worth_is_said() -> None:
    found = results(MODELS)
    [_, worth] = sentences(found, choose(found, 1.0), 1.0)
    assert worth == (
        "Checkpoints were chosen on other rows; the model was chosen on these 100 of validation, where one "
        "row more or less is 1 points."
    )


def test_a_test_file_is_told_of_that_chose_nothing() -> None:
    scores = {"validation": {"accuracy": 0.9}, "test": {"accuracy": 0.7}}
    models = {"teacher": teacher(scores=scores), "w4a8": model(0.9, bits=(4, 8), scores=scores)}
    found = results(models, rows={"validation": 100, "test": 50})
    said = sentences(found, choose(found, 1.0), 1.0)
    assert said[2] == "On 50 rows of test, which chose nothing: 0.7000, the teacher 0.7000."
