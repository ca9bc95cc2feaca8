"""How far a packed rung may be from the trained one, and what is read of the file that says so."""

import math
from pathlib import Path

import pytest

from pipeline.evaluation import agreement
from pipeline.evaluation.agreement import Agreement, ByKernels, OnSplit
from pipeline.record import OtherFormatError


def of(largest: float, by_kernels: ByKernels | None = None) -> Agreement:
    return Agreement({"validation": OnSplit(48, largest, 1.0, by_kernels)})


def test_a_difference_within_the_tolerances_is_right() -> None:
    of(1e-4).check("w1")


def test_a_difference_above_the_tolerance_is_refused() -> None:
    with pytest.raises(ValueError, match=r"w1: .*on validation a logit differs by 0.0002; at most 0.0001"):
        of(2e-4).check("w1")


def test_a_difference_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="differs by nan"):
        of(math.nan).check("w1")


def test_how_far_kernels_float_paths_are_is_told_and_refuses_nothing() -> None:
    """A student that says nearly the same of every row has logits without spread to measure it by."""
    of(0.0, ByKernels(5.0, 3.0, 0.5, score_difference=-0.25)).check("w1")


def test_what_is_written_is_read_back_and_anything_else_refused(tmp_path: Path) -> None:
    found = of(0.0, ByKernels(0.5, 0.2, None, score_difference=None))
    agreement.write(tmp_path, found)
    assert agreement.read(tmp_path) == found
    (tmp_path / agreement.AGREEMENT).write_text('{"tolerance": 0.1}')
    with pytest.raises(OtherFormatError, match=r"agreement\.json: .*splits"):
        agreement.read(tmp_path)
