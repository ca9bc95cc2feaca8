"""How tables write a score."""

import math


def number(value: float | None, *, sign: str = "") -> str:
    """Four digits; what is undefined says so."""
    return "undefined" if value is None or not math.isfinite(value) else f"{value:{sign}.4f}"
