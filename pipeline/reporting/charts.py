"""The report's charts, as Vega-Lite has them, and the library that draws them where the page is opened.

Vega-Lite (Satyanarayan et al. 2017, doi:10.1109/TVCG.2016.2599030) and what it needs come as one script out
of the package vl-convert-python; report.js hands it these specifications, and adds the names beside the
points, which Vega places so that none covers another. Text and grid have the page's colours, in
style.html.j2, for light and dark.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.evaluation.results import ModelResult, Value
from pipeline.reporting import cells
from pipeline.reporting.speed import Speeds
from pipeline.rungs import TEACHER

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # an identifier: nothing is fetched
SCRIPT = Path(__file__).with_name("report.js")
LICENCES = Path(__file__).with_name("licences.txt")
# Of activations, by bits: told apart by people who see red and green alike, on white and on black.
COLOURS = {32: "#7c8594", 8: "#2f81f7", 4: "#d9822b", 2: "#a06bdb", 1: "#e0457b"}
LOG_FROM = 3.0  # largest over smallest, from which on an axis is logarithmic
Spec = dict[str, Any]


@cache
def library() -> str:
    """The script: Vega, Vega-Lite and Vega-Embed, the same text each time."""
    import vl_convert

    text: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return text.replace("</script", "<\\/script")


def licences() -> str:
    """Under which the script may be passed on, and of which package it is."""
    return f"From vl-convert-python {version('vl-convert-python')}.\n\n{LICENCES.read_text(encoding='utf-8')}"


def points(models: Mapping[str, ModelResult], speeds: Speeds | None) -> list[dict[str, Any]]:
    """Every model that has a score: what its point and its tooltip say."""
    found = []
    for name, model in models.items():
        if (score := model.means.mean) is None:
            continue
        weights, embeddings, activations = model.bits
        speed = speeds.models.get(name) if speeds else None
        found.append(
            {
                "name": cells.marked(name, model.collapsed_seeds),
                "score": score,
                "low": score - (model.means.std or 0),
                "high": score + (model.means.std or 0),
                "mib": model.mib,
                "ms": speed.milliseconds.median if speed else None,
                "activations": f"{activations} bits" if activations > 1 else "1 bit",
                "bits": f"{weights}-{embeddings}-{activations}",
                "shown": cells.score(model),
                "gap": "-" if name == TEACHER else cells.gap(model),
                "size": f"{model.mib:.3f} MiB",
                "time": f"{speed.milliseconds.median:.3g} ms" if speed else "not measured",
            }
        )
    return found


def front(at: Sequence[Mapping[str, Any]], x: str) -> list[Mapping[str, Any]]:
    """Those that no other one beats in both, from the least `x` on."""
    found: list[Mapping[str, Any]] = []
    for point in sorted(at, key=lambda one: (one[x], -one["score"])):
        if not found or point["score"] > found[-1]["score"]:
            found.append(point)
    return found


def score_against(x: str, at: Sequence[Mapping[str, Any]], *, title: str, score: str, teacher: Value) -> Spec:
    """Every model by its score and `x` ("mib" or "ms"), the front as a line.

    Args:
        title: of the x axis; `score`: of the other.
        teacher: the teacher's score, which is a line across.
    """
    shown = [point for point in at if point[x] is not None]
    values = [point[x] for point in shown]
    is_log = bool(values) and min(values) > 0 and max(values) / min(values) >= LOG_FROM
    numbers = {
        "x": {
            "field": x,
            "type": "quantitative",
            "title": title,
            "scale": {"nice": False, "padding": 30, **({"type": "log"} if is_log else {"zero": False})},
            "axis": {"format": "~g", "tickCount": 6, "labelOverlap": "greedy", "grid": False},
        },
        "y": {
            "field": "score",
            "type": "quantitative",
            "title": score,
            "scale": {"zero": False, "nice": False, "padding": 24},
            "axis": {"tickCount": 6, "format": "~g"},
        },
    }
    bits = [f"{bits} bits" if bits > 1 else "1 bit" for bits in COLOURS]
    used = [one for one in bits if any(point["activations"] == one for point in shown)]
    colours = dict(zip(bits, COLOURS.values(), strict=True))
    uncertain = [one for one in shown if one["high"] > one["low"]]
    spread = {
        "data": {"values": uncertain},
        "mark": {"type": "rule", "color": "#7c8594"},
        "encoding": numbers | {"y": {**numbers["y"], "field": "low"}, "y2": {"field": "high"}},
    }
    return _spec(
        height=360,
        layer=[
            {
                "name": "level",
                "data": {"values": [] if teacher is None else [{"score": teacher, "what": "teacher"}]},
                "mark": {"type": "rule", "strokeDash": [2, 4], "color": "#7c8594"},
                "encoding": {"y": numbers["y"], "tooltip": {"field": "what"}},
            },
            {
                "name": "front",
                "data": {"values": front(shown, x)},
                "mark": {"type": "line", "interpolate": "step-after", "color": "#7c8594", "strokeWidth": 1.5},
                "encoding": numbers,
            },
            *([spread] if uncertain else []),
            {
                "name": "models",
                "data": {"values": shown},
                "params": [
                    {
                        "name": "view",
                        "select": {"type": "interval", "zoom": "wheel![event.shiftKey]", "clear": "dblclick"},
                        "bind": "scales",
                    },
                    {
                        "name": "kept",
                        "select": {"type": "point", "fields": ["activations"]},
                        "bind": "legend",
                    },
                ],
                "mark": {"type": "circle", "size": 110, "cursor": "pointer"},
                "encoding": {
                    **numbers,
                    "color": {
                        "field": "activations",
                        "type": "nominal",
                        "scale": {"domain": used, "range": [colours[one] for one in used]},
                        "legend": {"title": "activations", "orient": "top", "columns": 4},
                    },
                    "opacity": {"condition": {"param": "kept", "value": 1}, "value": 0.15},
                    "tooltip": [
                        {"field": field, "title": name}
                        for field, name in (
                            ("name", "model"),
                            ("bits", "bits (W-E-A)"),
                            ("shown", "score"),
                            ("gap", "to the teacher"),
                            ("size", "file"),
                            ("time", "one text"),
                        )
                    ],
                },
            },
        ],
    )


def training_curves(curves: pd.DataFrame) -> dict[str, Spec]:
    """By rung: its loss, and its score on the split that chose the checkpoint, on one scale for all.

    Columns: `rung`, `step`, `loss`, `score`, which is NaN where it was not measured.
    """
    lowest, highest = float(curves["score"].min()), float(curves["score"].max())
    scale = (
        {"domain": [lowest, highest], "zero": False, "nice": True} if lowest < highest else {"zero": False}
    )
    found = {}
    for rung, own in curves.groupby("rung", sort=False):
        measured = own.dropna(subset="score")
        found[str(rung)] = _spec(
            height=130,
            resolve={"scale": {"y": "independent"}},
            layer=[
                _curve(own, "loss", COLOURS[8], {"zero": True}, "left"),
                _curve(measured, "score", COLOURS[4], scale, "right"),
            ],
        )
    return found


def _curve(points: pd.DataFrame, column: str, colour: str, scale: Spec, side: str) -> Spec:
    axis = {"orient": side, "tickCount": 3, "title": None, "format": "~g", "grid": side == "left"}
    steps = {"tickCount": 4, "grid": False}
    return {
        "data": {"values": points[["step", column]].dropna().to_dict("records")},
        "mark": {"type": "line", "color": colour, "point": {"color": colour, "size": 16}},
        "encoding": {
            "x": {
                "field": "step",
                "type": "quantitative",
                "title": None,
                "axis": steps,
            },
            "y": {"field": column, "type": "quantitative", "scale": scale, "axis": axis},
            "tooltip": [{"field": "step"}, {"field": column, "format": ".4~g"}],
        },
    }


def _spec(**parts: Any) -> Spec:
    """As wide as its place in the page, without colours of its own where the page has one."""
    return {
        "$schema": SCHEMA,
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
    } | parts
