"""Plots as SVG text to put into a page: score against size, the training curves, the signs that changed.

The same results draw the same bytes: no date, fixed salt for the names inside, no random placement. Names
inside an SVG get a prefix, because a page holds several.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from pipeline.evaluation.seeds import collapsed
from pipeline.reporting import averaged

Models = Mapping[str, Mapping[str, Any]]
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


def score_against_size(models: Models, *, score: str, constant: float | None) -> str:
    """Every rung by the MiB of its packed file and its score; a line joins those that none beats in both.

    Of a rung that has `collapsed` the name has a †, and the line leaves it out, however it scores.

    Of several seeds the score is the mean, with a bar from one standard deviation (`spread`) below to above.
    """
    rungs = {name: m for name, m in models.items() if name != "teacher" and m["score"] is not None}
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, 4.8), layout="constrained")
        axes = figure.add_subplot()
        _levels(axes, models["teacher"], constant)
        front = pareto_front({name: model for name, model in rungs.items() if not collapsed(model)})
        axes.plot(
            [rungs[name]["mib"] for name in front],
            [rungs[name]["score"] for name in front],
            color="#999999",
            linewidth=1,
            drawstyle="steps-post",
            zorder=1,
        )
        for bits, colour in COLOURS.items():
            drawn = [model for model in rungs.values() if model["activation_bits"] == bits]
            if drawn:
                label = f"activations {bits} bit"
                sizes, scores = [model["mib"] for model in drawn], [model["score"] for model in drawn]
                spreads = [model.get("spread") or 0.0 for model in drawn]
                axes.errorbar(sizes, scores, spreads, fmt="none", ecolor=colour, elinewidth=1, zorder=1)
                axes.scatter(sizes, scores, s=46, color=colour, label=label, zorder=2)
        _size_axis(axes, [model["mib"] for model in rungs.values()])
        axes.set_ylabel(score)
        axes.margins(x=0.14, y=0.1)
        if rungs:
            axes.legend(
                frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(COLOURS), handletextpad=0.2
            )
        _name_points(figure, axes, rungs)
        return _svg(figure, "size")


def pareto_front(models: Models) -> list[str]:
    """Names, smallest first, of the models that no other one matches in size and beats in score."""
    front: list[str] = []
    best = -math.inf
    for name, model in sorted(models.items(), key=lambda item: (item[1]["mib"], -item[1]["score"], item[0])):
        if model["score"] > best:
            front.append(name)
            best = model["score"]
    return front


def training_curves(curves: Mapping[str, Sequence[tuple[int, float, float | None]]]) -> str:
    """A small plot per rung: its loss, and its score on the selection split, on one scale for all."""
    columns = 3
    lines = max(1, math.ceil(len(curves) / columns))
    scores = [score for points in curves.values() for _, _, score in points if score is not None]
    room = 0.1 * (max(scores) - min(scores)) + 0.01 if scores else 0
    limits = (min(scores) - room, max(scores) + room) if scores else (0.0, 1.0)
    with rc_context({**_STYLE, "font.size": 9}):
        figure = Figure(figsize=(9, 2.1 * lines), layout="constrained")
        for place, (rung, points) in enumerate(curves.items(), start=1):
            _curve(figure.add_subplot(lines, columns, place), rung, points, limits)
        return _svg(figure, "curves")


def sign_flips(rungs: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]) -> str:
    """A small plot per rung: the share of latent weights whose sign has changed, a line per layer.

    Layers go from dark to light, the first to the last; tables and pooler are dashed and dotted.
    """
    columns = 3
    lines = max(1, math.ceil(len(rungs) / columns))
    largest = max(
        (share for groups in rungs.values() for line in groups.values() for _, share in line), default=0
    )
    with rc_context({**_STYLE, "font.size": 9}):
        figure = Figure(figsize=(9, 2.1 * lines), layout="constrained")
        for place, (rung, groups) in enumerate(rungs.items(), start=1):
            axes = figure.add_subplot(lines, columns, place)
            axes.set_title(rung, fontsize=10, loc="left")
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None if largest > 0.05 else 1))
            axes.set_ylim(0, 1.1 * largest or 1)
            for group, points in groups.items():
                axes.plot(*zip(*points, strict=True), linewidth=1, **_look(group, len(groups)))
        return _svg(figure, "flips")


def _look(group: str, num_groups: int) -> dict[str, Any]:
    """How a group's line is drawn."""
    if not group.startswith("layer "):
        return {"color": "#444444", "linestyle": "--" if group == "embeddings" else ":"}
    return {"color": colormaps["viridis"](0.9 * int(group.split()[1]) / max(1, num_groups - 3))}


def _levels(axes: Axes, teacher: Mapping[str, Any], constant: float | None) -> None:
    """Horizontal lines: the teacher's score, and that of always answering the same."""
    levels = [
        (teacher["score"], f"teacher, {teacher['mib']:.3g} MiB"),
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
    pixels = {name: axes.transData.transform((model["mib"], model["score"])) for name, model in rungs.items()}
    placed: list[tuple[float, float]] = []
    for name in sorted(rungs, key=lambda name: (pixels[name][1], name)):
        x, y = pixels[name]
        wanted = y
        while any(abs(x - other) < 90 and abs(wanted - height) < _LINE_HEIGHT for other, height in placed):
            wanted += 1
        placed.append((x, wanted))
        axes.annotate(
            averaged.marked(name, collapsed(rungs[name])),
            (rungs[name]["mib"], rungs[name]["score"]),
            xytext=(7, (wanted - y) * 72 / figure.dpi + 2),
            textcoords="offset points",
            fontsize=9,
        )


def _curve(
    axes: Axes, rung: str, points: Sequence[tuple[int, float, float | None]], limits: tuple[float, float]
) -> None:
    axes.set_title(rung, fontsize=10, loc="left")
    axes.plot(
        [step for step, _, _ in points], [loss for _, loss, _ in points], color="#0072B2", linewidth=1.2
    )
    axes.tick_params(axis="y", labelcolor="#0072B2")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_ylim(bottom=0)
    measured = [(step, score) for step, _, score in points if score is not None]
    if measured:
        right = axes.twinx()
        right.spines["right"].set_visible(True)
        right.plot(*zip(*measured, strict=True), color="#D55E00", marker="o", markersize=3, linewidth=1)
        right.tick_params(axis="y", labelcolor="#D55E00")
        right.set_ylim(limits)


def _svg(figure: Figure, prefix: str) -> str:
    """The <svg> element alone; every name in it starts with the prefix."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", svg)
