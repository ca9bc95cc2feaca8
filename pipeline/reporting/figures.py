"""The report's plots, as SVG text to put into a page: score against size, and the training curves.

The same results draw the same bytes: no date, fixed salt for the names inside, no random placement. Names
inside an SVG get a prefix, because a page holds several.
"""

import io
import math
import re
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.evaluation.results import ModelResult, Value
from pipeline.reporting.cells import marked
from pipeline.rungs import TEACHER

_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.hashsalt": "bitladder",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
}
_BLUE, _RED = "#0072B2", "#D55E00"


def score_against_size(models: Mapping[str, ModelResult], *, score: str, constant: Value) -> str:
    """Every rung by the MiB of its packed file and its score; the name of a rung that has collapsed has a †.

    Of several seeds the score is the mean, with a bar from one standard deviation below to above.
    """
    points = {
        name: (model.mib, model.means.mean)
        for name, model in models.items()
        if name != TEACHER and model.means.mean is not None
    }
    levels = {"teacher": models[TEACHER].means.mean, "always the same answer": constant}

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(xlabel="MiB of the packed model.safetensors", ylabel=score)
        for style, (name, level) in zip(("--", ":"), levels.items(), strict=True):
            if level is not None:
                axes.axhline(level, color="#777777", linewidth=1, linestyle=style, label=name)
        for (name, at), marker in zip(points.items(), cycle("os^Dv")):
            label = marked(name, models[name].collapsed_seeds)
            axes.errorbar(*at, models[name].means.std or 0.0, fmt=marker, label=label)
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside right upper", frameon=False)

    return _svg("size", 4.8, draw)


def training_curves(curves: pd.DataFrame) -> str:
    """A small plot per rung: its loss, and its score on the selection split, on one scale for all.

    Columns: `rung`, `step`, `loss`, `score`, which is NaN where it was not measured.
    """
    rungs = list(curves.groupby("rung", sort=False))
    num_lines = math.ceil(len(rungs) / 3)
    lowest, highest = curves["score"].min() - 0.01, curves["score"].max() + 0.01

    def draw(figure: Figure) -> None:
        for place, (rung, points) in enumerate(rungs, start=1):
            axes = figure.add_subplot(num_lines, 3, place, title=str(rung))
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.plot(points["step"], points["loss"], color=_BLUE)
            axes.set_ylim(bottom=0)
            measured, right = points.dropna(subset="score"), axes.twinx()
            right.plot(measured["step"], measured["score"], color=_RED, marker="o", markersize=3)
            right.set_ylim((lowest, highest) if len(measured) else (0, 1))

    return _svg("curves", 2.1 * num_lines, draw)


def _svg(prefix: str, height: float, draw: Callable[[Figure], None]) -> str:
    """The <svg> element alone; every name in it starts with the prefix."""
    text = io.StringIO()
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, height), layout="constrained")
        draw(figure)
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", svg)
