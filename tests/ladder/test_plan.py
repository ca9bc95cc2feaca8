"""The plan names every model once, parents first, with what it costs in bits and steps."""

from pathlib import Path

import pytest

from pipeline.ladder.plan import plan
from pipeline.ladder.words import said
from pipeline.params_file import load
from pipeline.rungs import Duration, Phase

DEFAULT = load(Path(__file__).parents[2] / "params.yaml")


def test_every_model_is_planned_once_and_after_its_parent() -> None:
    rows = plan(DEFAULT).rows
    names = [row.name for row in rows]
    assert names == ["pretrained", "teacher", *DEFAULT.rungs]
    assert all(row.parent is None or names.index(row.parent) < names.index(row.name) for row in rows)


def test_a_random_encoder_is_told() -> None:
    rows = {row.name: row for row in plan(DEFAULT).rows}
    assert rows["w1a1_random_start"].init == "random: encoder"
    assert rows["w1"].init == "copied"


def test_a_model_that_comes_trained_is_not_trained() -> None:
    model = DEFAULT.model.model_copy(
        update={"source": "hub", "location": "a/b", "revision": "0" * 40, "architecture": None}
    )
    planned = plan(DEFAULT.model_copy(update={"model": model}))
    first = planned.rows[0]
    assert (first.duration, first.data, first.init) == ("-", "-", "hub: a/b")
    assert all(row.mib is None for row in planned.rows)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (Duration(steps=400), "400 steps"),
        (Duration(steps=1), "1 step"),
        (Duration(epochs=3.0), "3 epochs"),
        (Duration(epochs=0.5), "0.5 epochs"),
    ],
)
def test_a_duration_is_said_in_words(duration: Duration, text: str) -> None:
    assert said(duration) == text


def test_another_teacher_and_phases_are_told() -> None:
    phases = [Phase(share=0.5, distillation=DEFAULT.distillation)] * 2
    rung = DEFAULT.rungs["w2"].model_copy(update={"taught_by": "w8", "phases": phases})
    rows = plan(DEFAULT.model_copy(update={"weights": {**DEFAULT.weights, "w2": rung}})).rows
    assert [row.init for row in rows if row.name == "w2"] == ["copied; 2 phases; taught by w8"]


def test_rungs_of_equal_bits_are_told_apart_by_their_quantizer() -> None:
    rung = DEFAULT.rungs["w2"].model_copy(update={"weight_quantizer": "lat", "hidden_act": "relu"})
    rows = plan(DEFAULT.model_copy(update={"weights": {**DEFAULT.weights, "w2": rung}})).rows
    assert [row.init for row in rows if row.name == "w2"] == ["copied; lat; relu"]
