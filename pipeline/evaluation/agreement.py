"""packed/<rung>/agreement.json: how far a packed rung's answers are from the trained one's.

Both answer the whole first validation split (sentence encoders their smallest set), twice. By the same torch
layers the two agree to rounding: the file holds the model, and one that does not is refused.

By the kernels that run the file here, if any do, labels agree on nearly all rows, but logits do not to
rounding. Products of whole numbers are exact, but sums between them are taken in another order, and a value
that this moves by its last bit over the threshold between two codes comes out a whole step further. Torch
does so to itself: a trained rung asked row by row differs from the same rung asked in batches by as much. How
far that carries says nothing about whether the kernels are right, so it is told, in labels and in the score,
and nothing is refused for it. What must be right is exact: engines that multiply in different ways agree to
the last bit (`pipeline.stages.pack`).
"""

from dataclasses import asdict
from pathlib import Path

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from bitladder import files
from pipeline.record import read_as

AGREEMENT = "agreement.json"
# Largest difference of a logit. Where sums are taken in the same order it is 0: see docs/file-format.md.
TOLERANCE = 1e-4
_CONFIG = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, config=_CONFIG)
class ByKernels:
    """Attributes:
    label_agreement: share of rows with the trained rung's label; None for a regression.
    score_difference: its score less the trained rung's; None where one of them is undefined.
    """

    largest_logit_difference: float
    mean_logit_difference: float
    label_agreement: float | None
    score_difference: float | None


@dataclass(frozen=True, config=_CONFIG)
class OnSplit:
    """By the same torch layers, and by the kernels where any run this rung here."""

    rows: int
    largest_logit_difference: float
    label_agreement: float | None
    by_kernels: ByKernels | None = None


@dataclass(frozen=True, config=_CONFIG)
class Agreement:
    """Of one packed rung, by split; `tolerance` is of the largest difference."""

    splits: dict[str, OnSplit]
    tolerance: float = TOLERANCE

    def check(self, rung: str) -> None:
        """Raises ValueError when the file's logits differ by more than the tolerance."""
        for split, found in self.splits.items():
            if not found.largest_logit_difference <= self.tolerance:
                raise ValueError(
                    f"{rung}: the packed model is not the trained one: on {split} a logit differs by "
                    f"{found.largest_logit_difference:g}; at most {self.tolerance:g} is allowed"
                )


def write(folder: Path, agreement: Agreement) -> None:
    files.write_json(folder / AGREEMENT, asdict(agreement))


def read(folder: Path) -> Agreement:
    """Of a packed folder. Raises FileNotFoundError, and OtherFormatError when a field is wrong."""
    return read_as(Agreement, folder / AGREEMENT, remedy=f"dvc repro pack@{folder.name}")
