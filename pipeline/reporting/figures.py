"""Plots as SVG text to put into a page: score against size, the training curves, the signs that changed.

The same results draw the same bytes: no date, fixed salt for the names inside, no random placement. Names
inside an SVG get a prefix, because a page holds several.
"""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from pipeline.evaluation.results import ModelResult, Value
from pipeline.reporting.cells import marked
from pipeline.rungs import TEACHER

Models = Mapping[str, ModelResult]
# By bits of the activations; distinguishable with any colour vision (Okabe and Ito).
COLOURS = {32: "#0072B2", 8: "#009E73", 4: "#E69F00", 2: "#CC79A7", 1: "#D55E00"}
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.hashsalt": "bitladder",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_LINE_HEIGHT = 15.0  # pixels between two labels


def score_against_size(models: Models, *, score: str, constant: Value) -> str:
    """Every rung by the MiB of its packed file and its score; a line joins those that none beats in both.

    Of a rung that has collapsed the name has a †, and the line leaves it out, however it scores. Of several
    seeds the score is the mean, with a bar from one standard deviation below to above.
    """
    rungs = {
        name: model for name, model in models.items() if name != TEACHER and model.means.mean is not None
    }
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, 4.8), layout="constrained")
        axes = figure.add_subplot()
        _levels(axes, models[TEACHER], constant)
        front = pareto_front({n: model for n, model in rungs.items() if not model.collapsed_seeds})
        axes.plot(
            [rungs[name].mib for name in front],
            [_score(rungs[name]) for name in front],
            color="#999999",
            linewidth=1,
            drawstyle="steps-post",
            zorder=1,
        )
        for bits, colour in COLOURS.items():
            drawn = [model for model in rungs.values() if model.activation_bits == bits]
            if drawn:
                label = f"activations {bits} bit"
                sizes, scores = [model.mib for model in drawn], [_score(model) for model in drawn]
                spreads = [model.means.std or 0.0 for model in drawn]
                axes.errorbar(sizes, scores, spreads, fmt="none", ecolor=colour, elinewidth=1, zorder=1)
                axes.scatter(sizes, scores, s=46, color=colour, label=label, zorder=2)
        _size_axis(axes, [model.mib for model in rungs.values()])
        axes.set_ylabel(score)
        axes.margins(x=0.14, y=0.1)
        if rungs:
            axes.legend(
                frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(COLOURS), handletextpad=0.2
            )
        _name_points(figure, axes, rungs)
        return _svg(figure, "size")


def pareto_front(models: Models) -> list[str]:
    """Names, smallest first, of the models (of defined scores) that no other one matches in size and beats in
    score.
    """
    front: list[str] = []
    best = -math.inf
    ranked = sorted((model.mib, -_score(model), name) for name, model in models.items())
    for _, negative, name in ranked:
        if -negative > best:
            front.append(name)
            best = -negative
    return front


def training_curves(curves: pd.DataFrame) -> str:
    """A small plot per rung: its loss, and its score on the selection split, on one scale for all.

    Columns: `rung`, `step`, `loss`, `score`, which is NaN where it was not measured.
    """
    lowest, highest = curves["score"].min(), curves["score"].max()
    room = 0.1 * (highest - lowest) + 0.01
    limits = (0.0, 1.0) if math.isnan(lowest) else (lowest - room, highest + room)
    with rc_context({**_STYLE, "font.size": 9}):
        figure = Figure(layout="constrained")
        for axes, points in _small_plots(figure, curves):
            axes.plot(points["step"], points["loss"], color="#0072B2", linewidth=1.2)
            axes.tick_params(axis="y", labelcolor="#0072B2")
            axes.set_ylim(bottom=0)
            measured = points.dropna(subset="score")
            if len(measured):
                _on_the_right(axes, measured, limits)
        return _svg(figure, "curves")


def sign_flips(flips: pd.DataFrame) -> str:
    """A small plot per rung: the share of latent weights whose sign has changed, a line per layer.

    Columns: `rung`, `group`, `step`, `share`. Layers go from dark to light, the first to the last; tables and
    pooler are dashed and dotted.
    """
    largest = flips["share"].max()
    with rc_context({**_STYLE, "font.size": 9}):
        figure = Figure(layout="constrained")
        for axes, lines in _small_plots(figure, flips):
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None if largest > 0.05 else 1))
            axes.set_ylim(0, 1.1 * largest or 1)
            groups = lines.groupby("group", sort=False)
            for group, points in groups:
                axes.plot(points["step"], points["share"], linewidth=1, **_look(str(group), groups.ngroups))
        return _svg(figure, "flips")


def _small_plots(figure: Figure, frame: pd.DataFrame) -> Iterator[tuple[Axes, pd.DataFrame]]:
    """Three in a line, one for each rung, with the rung's rows."""
    rungs = frame.groupby("rung", sort=False)
    lines = math.ceil(rungs.ngroups / 3)
    figure.set_size_inches(9, 2.1 * lines)
    for place, (rung, rows) in enumerate(rungs, start=1):
        axes = figure.add_subplot(lines, 3, place)
        axes.set_title(str(rung), fontsize=10, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        yield axes, rows


def _on_the_right(axes: Axes, measured: pd.DataFrame, limits: tuple[float, float]) -> None:
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    right.plot(measured["step"], measured["score"], color="#D55E00", marker="o", markersize=3, linewidth=1)
    right.tick_params(axis="y", labelcolor="#D55E00")
    right.set_ylim(limits)


def _score(model: ModelResult) -> float:
    """NaN where it is undefined."""
    return math.nan if model.means.mean is None else model.means.mean


def _look(group: str, num_groups: int) -> dict[str, Any]:
    """How a group's line is drawn."""
    if not group.startswith("layer "):
        return {"color": "#444444", "linestyle": "--" if group == "embeddings" else ":"}
    return {"color": colormaps["viridis"](0.9 * int(group.split()[1]) / max(1, num_groups - 3))}


def _levels(axes: Axes, teacher: ModelResult, constant: Value) -> None:
    """Horizontal lines: the teacher's score, and that of always answering the same."""
    levels = [
        (teacher.means.mean, f"teacher, {teacher.mib:.3g} MiB"),
        (constant, "always the same answer"),
    ]
    for level, name in levels:
        if level is not None:
            axes.axhline(level, color="#777777", linewidth=1, linestyle=(0, (4, 3)), zorder=0)
            right = axes.get_yaxis_transform()
            axes.text(0.01, level, name, transform=right, fontsize=9, color="#555555", va="bottom")


def _size_axis(axes: Axes, sizes: Sequence[float]) -> None:
    axes.set_xlabel("MiB of the packed model.safetensors")
    if sizes and max(sizes) > 3 * min(sizes):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("MiB of the packed model.safetensors (logarithmic)")


def _name_points(figure: Figure, axes: Axes, rungs: Models) -> None:
    """Names to the right of their points, moved up where they would cover each other."""
    figure.draw_without_rendering()
    pixels = {name: axes.transData.transform((model.mib, _score(model))) for name, model in rungs.items()}
    placed: list[tuple[float, float]] = []
    for name in sorted(rungs, key=lambda name: (pixels[name][1], name)):
        x, y = pixels[name]
        wanted = y
        while any(abs(x - other) < 90 and abs(wanted - height) < _LINE_HEIGHT for other, height in placed):
            wanted += 1
        placed.append((x, wanted))
        axes.annotate(
            marked(name, rungs[name].collapsed_seeds),
            (rungs[name].mib, _score(rungs[name])),
            xytext=(7, (wanted - y) * 72 / figure.dpi + 2),
            textcoords="offset points",
            fontsize=9,
        )


def _svg(figure: Figure, prefix: str) -> str:
    """The <svg> element alone; every name in it starts with the prefix."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", svg)
