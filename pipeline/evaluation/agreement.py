"""packed/<rung>/agreement.json: how far a packed rung is from the trained one, and how far it may be.

Both answer the whole first validation split, twice. By the same torch layers the two agree to rounding: the
file holds the model. By the kernels that run the file here, if any do, labels agree on nearly all rows, but
logits do not to rounding. Products of whole numbers are exact, but sums between them are taken in another
order, and a value that this moves by its last bit over the threshold between two codes comes out a whole step
further. Torch does so to itself: a trained rung asked row by row differs from the same rung asked in batches
by as much. With fewer bits there are fewer thresholds and longer steps: fewer rows differ, and by more. So
the kernels' tolerance is of the mean over rows, by the bits of the activations, in units of the logits'
standard deviation.
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
# Mean difference of a logit by the kernels, in standard deviations of the logits, by bits of activations.
# One neuron's outputs lie on a lattice; where a point of it meets a threshold, the last bit of a GELU moves a
# code on most rows: 0.053 was met at 4 bits (docs/log.md). Of outputs that are not related it is 1.1.
KERNEL_TOLERANCE = {8: 0.05, 4: 0.2, 2: 0.2, 1: 0.2}
_CONFIG = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, config=_CONFIG)
class ByKernels:
    """Attributes:
    label_agreement: share of rows with the trained rung's label; None for a regression.
    tolerance: of the mean difference.
    """

    largest_logit_difference: float
    mean_logit_difference: float
    label_agreement: float | None
    tolerance: float


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
        """Raises ValueError when logits differ by more than the tolerances."""
        for split, found in self.splits.items():
            refused = f"{rung}: the packed model is not the trained one: on {split} a logit differs by"
            if not found.largest_logit_difference <= self.tolerance:
                raise ValueError(
                    f"{refused} {found.largest_logit_difference:g}; at most {self.tolerance:g} is allowed"
                )
            by_kernels = found.by_kernels
            if by_kernels and not by_kernels.mean_logit_difference <= by_kernels.tolerance:
                raise ValueError(
                    f"{refused} {by_kernels.mean_logit_difference:g} in the mean when kernels compute; "
                    f"at most {by_kernels.tolerance:g} is allowed"
                )


def write(folder: Path, agreement: Agreement) -> None:
    files.write_json(folder / AGREEMENT, asdict(agreement))


def read(folder: Path) -> Agreement:
    """Of a packed folder. Raises FileNotFoundError, and OtherFormatError when a field is wrong."""
    return read_as(Agreement, folder / AGREEMENT, remedy=f"dvc repro pack@{folder.name}")
