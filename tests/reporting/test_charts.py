"""What the report's charts are given to draw; how it looks is test_report_in_browser.py's."""

import json

import pandas as pd
import pytest
import some_results
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reporting import charts
from pipeline.reporting.speed import Milliseconds, Speed, Speeds

MODELS = {
    "teacher": some_results.teacher(0.9, mib=8.0),
    "w1": some_results.model(0.8, mib=0.5),
    "w1a8": some_results.model(None, "w1", (1, 8)),
    "w1a1": some_results.model(0.5, "w1", (1, 1), mib=0.6, collapsed=True),
}
numbers = st.floats(0.01, 10, allow_nan=False)


def speeds(**milliseconds: float) -> Speeds:
    models = {
        name: Speed(digest="0", engine="lookup", milliseconds=Milliseconds(median=ms, low=ms, high=ms))
        for name, ms in milliseconds.items()
    }
    return Speeds(processor="P", threads=1, rounds=9, texts=1, tokens=5.0, models=models)


def test_a_point_says_all_of_its_model_and_one_without_a_score_has_none() -> None:
    found = {point["name"]: point for point in charts.points(MODELS, speeds(w1=0.25))}
    assert set(found) == {"teacher", "w1", "w1a1 †"}
    assert found["w1"]["bits"] == "1-1-32"
    assert (found["w1"]["ms"], found["w1"]["time"]) == (0.25, "0.25 ms")
    assert (found["teacher"]["ms"], found["teacher"]["time"]) == (None, "not measured")


@given(st.lists(st.tuples(numbers, numbers), max_size=12))
def test_the_front_is_what_no_other_beats_in_both(pairs: list[tuple[float, float]]) -> None:
    at = [{"x": x, "score": y} for x, y in pairs]
    beaten = [
        one
        for one in at
        if any(other["x"] <= one["x"] and other["score"] >= one["score"] and other != one for other in at)
    ]
    found = charts.front(at, "x")
    assert all(one in found for one in at if one not in beaten)
    assert all(one not in beaten for one in found)


def test_what_was_not_measured_is_in_no_chart_of_times() -> None:
    at = charts.points(MODELS, speeds(w1=0.25, teacher=1.0))
    spec = charts.score_against("ms", at, title="ms", score="accuracy", teacher=0.9)
    shown = next(layer for layer in spec["layer"] if layer.get("name") == "models")["data"]["values"]
    assert [point["name"] for point in shown] == ["teacher", "w1"]


@pytest.mark.parametrize(("largest", "scale"), [(1.0, None), (8.0, "log")])
def test_an_axis_is_logarithmic_where_sizes_are_far_apart(largest: float, scale: str | None) -> None:
    models = {"teacher": some_results.teacher(0.9, mib=largest), "w1": some_results.model(0.8, mib=0.5)}
    at = charts.points(models, None)
    spec = charts.score_against("mib", at, title="MiB", score="accuracy", teacher=0.9)
    models_layer = next(layer for layer in spec["layer"] if layer.get("name") == "models")
    assert models_layer["encoding"]["x"]["scale"].get("type") == scale


def test_curves_are_json_without_holes_and_scores_share_an_axis() -> None:
    curves = pd.DataFrame(
        {
            "rung": ["w8", "w8", "w4", "w4"],
            "step": [10, 20, 10, 20],
            "loss": [3.0, 2.0, 2.5, float("nan")],
            "score": [None, 0.7, None, 0.9],
        }
    )
    found = charts.training_curves(curves)
    json.dumps(found, allow_nan=False)
    assert list(found) == ["w8", "w4"]
    assert [layer["data"]["values"] for layer in found["w4"]["layer"]] == [
        [{"step": 10, "loss": 2.5}],
        [{"step": 20, "score": 0.9}],
    ]
    for spec in found.values():
        assert spec["layer"][1]["encoding"]["y"]["scale"]["domain"] == [0.7, 0.9]


@pytest.mark.slow
@pytest.mark.whole_report
def test_the_library_is_one_script_that_its_element_cannot_end_early() -> None:
    text = charts.library()
    assert "vegaEmbed" in text
    assert "</script" not in text
    assert charts.library() == text
    assert "University of Washington" in charts.licences()
