"""Which model started from which, and which was taught by a rung, as SVG; its first weights, in words.

A model stands to the right of its parent. The first child goes on in its parent's row, so that a ladder is
a straight line and its arms branch off downwards.
"""

from collections.abc import Mapping
from html import escape

from pipeline.evaluation.results import ModelResult
from pipeline.record import Record, origins
from pipeline.reporting.cells import number
from pipeline.reporting.table import in_order
from pipeline.rungs import TEACHER

Models = Mapping[str, ModelResult]
_WIDTH, _HEIGHT, _ACROSS, _DOWN = 110, 58, 20, 20


def places(models: Models) -> dict[str, tuple[int, int]]:
    """Column and row of every model."""
    found: dict[str, tuple[int, int]] = {}
    rows = 0
    for name in in_order(models):
        parent = models[name].parent or ""
        column, row = found.get(parent, (-1, rows))
        is_first = parent in found and (column + 1, row) not in found.values()
        if not is_first:
            row, rows = rows, rows + 1
        found[name] = (column + 1, row)
    return found


def drawn_parts(record: Record | None) -> list[str]:
    """Parts whose first weights were drawn at random, under few names."""
    found = origins(record.init) if record else {}
    return [selector for selector, origin in found.items() if origin.source == "drawn"]


def svg(models: Models, records: Mapping[str, Record]) -> str:
    """The tree with bits, score and size of each model."""
    at = places(models)
    width = (max(column for column, _ in at.values()) + 1) * (_WIDTH + _ACROSS) - _ACROSS + 2
    height = (max(row for _, row in at.values()) + 1) * (_HEIGHT + _DOWN) - _DOWN + 2
    taught = [(records[name].teacher or "", name) for name in at if name in records]
    others = [(teacher, name) for teacher, name in taught if teacher != TEACHER and teacher in at]
    height += _DOWN * bool(others)
    edges = [_edge(at[parent], at[name]) for name in at if (parent := models[name].parent) in at]
    edges += [_lesson(teacher, name, at) for teacher, name in others]
    boxes = [_box(name, models[name], at[name], drawn_parts(records.get(name))) for name in at]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="lineage" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        f"{''.join(edges)}{''.join(boxes)}</svg>"
    )


def _corner(place: tuple[int, int]) -> tuple[int, int]:
    return place[0] * (_WIDTH + _ACROSS) + 1, place[1] * (_HEIGHT + _DOWN) + 1


def _edge(parent: tuple[int, int], child: tuple[int, int]) -> str:
    (x1, y1), (x2, y2) = _corner(parent), _corner(child)
    middle = x2 - _ACROSS // 2
    return (
        f'<path d="M{x1 + _WIDTH},{y1 + _HEIGHT // 2} H{middle} V{y2 + _HEIGHT // 2} H{x2}" '
        'fill="none" stroke="#888"/>'
    )


def _lesson(teacher: str, student: str, at: Mapping[str, tuple[int, int]]) -> str:
    """An arc from below the rung that taught to below the one it taught."""
    (x1, y1), (x2, y2) = (_corner(at[name]) for name in (teacher, student))
    start, end = (x1 + _WIDTH // 2, y1 + _HEIGHT), (x2 + _WIDTH // 2, y2 + _HEIGHT)
    low = max(start[1], end[1]) + _DOWN
    return (
        f'<path d="M{start[0]},{start[1]} C{start[0]},{low} {end[0]},{low} {end[0]},{end[1]}" fill="none" '
        f'stroke="#27c"><title>{escape(student)} was taught by {escape(teacher)}</title></path>'
    )


def _box(name: str, model: ModelResult, place: tuple[int, int], drawn: list[str]) -> str:
    x, y = _corner(place)
    dashes = ' stroke-dasharray="4 3"' if drawn else ""
    bits = " ".join(f"{part}{bits}" for part, bits in zip("WEA", model.bits, strict=True))
    lines = [
        f'<text x="{x + 8}" y="{y + 18}" font-weight="bold">{escape(name)}</text>',
        f'<text x="{x + 8}" y="{y + 34}">{bits}</text>',
        f'<text x="{x + 8}" y="{y + 50}" fill="#555">{number(model.score)}, {model.mib:.3g} MiB</text>',
    ]
    size = f'width="{_WIDTH}" height="{_HEIGHT}"'
    box = f'<rect x="{x}" y="{y}" {size} rx="5" fill="#fff" stroke="#333"{dashes}/>'
    return f"<g>{box}{''.join(lines)}</g>"
