"""Plots are the same bytes for the same results, and can stand side by side in one page."""

import math
import re
from xml.etree import ElementTree

import pandas as pd
import some_results

from pipeline.evaluation.results import ModelResult
from pipeline.reporting.figures import score_against_size, training_curves


def model(mib: float, score: float | None, activation_bits: int = 32) -> ModelResult:
    return some_results.model(score, bits=(1, activation_bits), mib=mib)


MODELS = {
    "teacher": model(2.5, 0.97),
    "w8": model(0.66, 0.97),
    "w1": model(0.10, 0.95),
    "w1a8": model(0.10, 0.94, 8),
    "w1a1": model(0.12, 0.80, 1),
    "broken": model(0.12, None, 1),
}
CURVES = pd.DataFrame(
    [("w8", 1, 0.9, None), ("w8", 2, 0.5, 0.8), ("w1", 1, 2.0, None)],
    columns=["rung", "step", "loss", "score"],
)


def plot() -> str:
    return score_against_size(MODELS, score="accuracy", constant=0.5)


def test_the_same_results_draw_the_same_bytes() -> None:
    assert plot() == plot()
    assert training_curves(CURVES) == training_curves(CURVES)


def test_every_scored_rung_is_named_and_an_undefined_one_is_left_out() -> None:
    svg = plot()
    assert all(f">{name}<" in svg for name in ("w8", "w1", "w1a8", "w1a1"))
    assert "broken" not in svg


def test_a_rung_that_gives_one_answer_is_marked() -> None:
    collapsed = MODELS["w1"].model_copy(update={"collapsed": True})
    assert ">w1 †<" in score_against_size({**MODELS, "w1": collapsed}, score="f1", constant=0.5)
    assert ">w1<" in plot()


def test_a_plot_is_one_svg_element_with_no_date_and_no_address() -> None:
    for svg in (plot(), training_curves(CURVES)):
        ElementTree.fromstring(svg)  # noqa: S314 (made here)
        assert svg.startswith("<svg")
        assert "<metadata>" not in svg
        addresses = set(re.findall(r'https?://[^"<> ]+', svg))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_two_plots_share_no_name() -> None:
    svgs = (plot(), training_curves(CURVES))
    names = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in svgs]
    assert all(names)
    assert sum(map(len, names)) == len(set().union(*names))


def test_every_name_that_is_used_is_there() -> None:
    for svg in (plot(), training_curves(CURVES)):
        defined = set(re.findall(r'\bid="([^"]+)"', svg))
        used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
        assert used <= defined


def test_a_name_cannot_break_out_of_the_svg() -> None:
    svg = score_against_size({**MODELS, "<script>": model(0.3, 0.9)}, score="$x_<b>$", constant=None)
    assert "<script>" not in svg
    assert "<b>" not in svg


def test_nothing_to_draw_is_drawn_as_nothing() -> None:
    assert training_curves(CURVES.assign(score=math.nan)).startswith("<svg")
    assert score_against_size({"teacher": model(1, None)}, score="f1", constant=None).startswith("<svg")
