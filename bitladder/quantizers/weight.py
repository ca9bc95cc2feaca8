"""Weight quantizers: rows of weights that share a scale in, small whole numbers and scales out.

Whatever shares a scale is one row here: a row of the matrix, a group of neighbours within one, or the matrix
laid out in one line. So a quantizer says once how a row is rounded, and serves every granularity.

Scales are rounded *in training* to half precision, or to what 8 bits can say, because that is how they are
stored: a packed model then
has exactly the weights that were trained, not nearly.

Adding a weight quantizer is one file beside this one and one line in `names.py`: docs/quantizers.md.

Shapes: a matrix or table is [O, I], O output features (rows of a linear, entries of a table), I input
features; it has R rows of N weights that share a scale, [R, N], of which each of its own rows has G.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module

import torch
from torch import Tensor, nn

from bitladder.quantizers import loops, scale_codes
from bitladder.quantizers.names import WEIGHTS, usual
from bitladder.quantizers.precision import FULL, Granularity, Precision
from bitladder.quantizers.rounding import (
    LARGEST_HALF,
    SMALLEST_HALF,
    eight_bits,
    half_precision,
    straight_through,
)


@dataclass(frozen=True)
class Quantized:
    """Weights as `codes * scale`.

    Attributes:
        codes_OI: whole numbers, int8.
        scale_OG: never negative, exactly a float16: [O, 1] of rows, [1, 1] of the matrix, [O, G] of groups.
        largest: the largest magnitude that a code may have.
    """

    codes_OI: Tensor
    scale_OG: Tensor
    largest: int

    @property
    def num_groups(self) -> int:
        """In a row; 1 where rows or the matrix share a scale."""
        return self.scale_OG.shape[1]

    @property
    def values_OI(self) -> Tensor:
        """The weights as products see them."""
        values_OI = self.codes_OI.to(self.scale_OG.dtype)
        if self.num_groups == 1:
            return values_OI.mul_(self.scale_OG)
        values_OGN = values_OI.view(len(values_OI), self.num_groups, -1)
        return values_OGN.mul_(self.scale_OG.unsqueeze(2)).flatten(1)

    def values_in(self, dtype: torch.dtype) -> Tensor:
        """`values_OI`, rounded to a dtype [O, I]."""
        is_per_row = self.scale_OG.shape == (len(self.codes_OI), 1)
        if dtype == torch.bfloat16 and is_per_row and loops.serve(self.codes_OI, self.scale_OG):
            return loops.values_in_bfloat16(self.codes_OI, self.scale_OG)
        return self.values_OI.to(dtype)

    @property
    def sums_O(self) -> Tensor:
        """The sum of each row's weights."""
        return (self._code_sums_OG * self.scale_OG).sum(dim=1)

    @cached_property
    def _code_sums_OG(self) -> Tensor:
        return self.codes_OI.reshape(len(self.codes_OI), self.num_groups, -1).sum(dim=2)


@dataclass(frozen=True)
class ScaleLayout:
    """Bits and shape of one matrix or table, and which of its weights share a scale.

    Attributes:
        group_size: neighbours within a row that share a scale, where granularity is group.
        scale_bits: of a stored scale: 16 for half precision, or, of rows, 8 (`scale_codes`).

    Raises:
        ValueError: groups of this size do not fill a row, or scales of 8 bits are not of rows.
    """

    bits: int
    num_outputs: int
    num_inputs: int
    granularity: Granularity = "row"
    group_size: int | None = None
    scale_bits: int = 16

    def __post_init__(self) -> None:
        if (self.granularity == "group") != (self.group_size is not None):
            raise ValueError(f"group_size: {self.group_size} with granularity {self.granularity}")
        if self.group_size is not None and self.num_inputs % self.group_size:
            raise ValueError(f"group_size: {self.group_size} does not divide {self.num_inputs} inputs")
        if self.scale_bits == 8 and self.granularity != "row":
            raise ValueError(f"scale_bits: 8 with granularity {self.granularity}")

    @property
    def largest(self) -> int:
        """The largest magnitude of a code: 1, 1, 7, 127 for 1, 2, 4, 8 bits."""
        return int(2 ** max(self.bits - 1, 1) - 1)

    @property
    def row_size(self) -> int:
        """N: how many weights share a scale."""
        if self.granularity == "matrix":
            return self.num_outputs * self.num_inputs
        return self.group_size or self.num_inputs

    @property
    def num_rows(self) -> int:
        """R: how many scales there are."""
        return self.num_outputs * self.num_inputs // self.row_size

    @property
    def num_groups(self) -> int:
        """G: how many scales a row of the matrix has."""
        return self.num_inputs // self.group_size if self.group_size is not None else 1

    @property
    def scale_shape(self) -> tuple[int, ...]:
        """Of the scales as they are stored: [O], [1] or [O, G]."""
        return (self.num_outputs, self.num_groups) if self.granularity == "group" else (self.num_rows,)

    def rounded(self, scales: Tensor, *, up: bool = False) -> Tensor:
        """Scales as they can be stored: the nearest. `up`: of those of 8 bits, which are far apart, the next
        that is no smaller.
        """
        return eight_bits(scales, up=up) if self.scale_bits == 8 else half_precision(scales)

    def positive(self, scales: Tensor) -> Tensor:
        """The same, and neither zero nor infinite."""
        ends = (scale_codes.SMALLEST, scale_codes.LARGEST)
        return self.rounded(scales).clamp(*(ends if self.scale_bits == 8 else (SMALLEST_HALF, LARGEST_HALF)))

    def rows(self, weight_OI: Tensor) -> Tensor:
        """The weights as [R, N]; of some entries of a table, as many rows as those have."""
        return weight_OI.reshape(-1, self.row_size)

    def rows_of(self, entries_E: Tensor) -> Tensor:
        """The numbers of the rows [R] that these entries of a table have."""
        if self.num_groups == 1:
            return entries_E
        groups_G = torch.arange(self.num_groups, device=entries_E.device)
        return (entries_E.unsqueeze(1) * self.num_groups + groups_G).flatten()


class WeightQuantizer(nn.Module):
    """Rounds one matrix or table. A subclass says how its rows are rounded, and keeps what it learns of them.

    What it keeps has the quantizer's name in a checkpoint, `<layer>.quantizer.<name>`. It stays there: packed
    weights are codes and scales, and a rung's children start with a quantizer of their own.

    Attributes:
        observes: whether `observe` wants to see the optimizer's second moment after each step.
        share: how much of the way to the quantized weights products in training go (`gradual`).
    """

    observes = False
    share = 1.0

    def __init__(self, layout: ScaleLayout) -> None:
        super().__init__()
        self.layout = layout

    def round(self, rows_RN: Tensor, which_R: Tensor | None) -> tuple[Tensor, Tensor]:
        """Codes [R, N], int8, and scales [R, 1] of rows, `self.layout.rounded`.

        Args:
            which_R: which of all rows these are; None: all of them.
        """
        raise NotImplementedError

    def smooth(self, rows_RN: Tensor, which_R: Tensor | None) -> Tensor:
        """What gradients go through instead of `round`, [R, N]; its values are not used.

        The rows themselves, unless it says otherwise: the straight-through estimator.
        """
        return rows_RN

    @torch.no_grad()
    def calibrate(self, weight_OI: Tensor) -> None:
        """Set what is learned from the first weights. Quantizers that learn nothing have nothing to set."""

    @torch.no_grad()
    def observe(self, second_moment_OI: Tensor) -> None:
        """See Adam's mean of squared gradients of the latent weights, where it `observes`."""

    @torch.no_grad()
    def quantize(self, weight_OI: Tensor, entries_E: Tensor | None = None) -> Quantized:
        """All of a matrix or table, or, of a table whose scales are not the whole matrix's, some entries."""
        which_R = None if entries_E is None else self.layout.rows_of(entries_E)
        codes_RN, scale_R1 = self.round(self.layout.rows(weight_OI), which_R)
        scale_OG = scale_R1.reshape(-1, self.layout.num_groups)
        return Quantized(codes_RN.reshape(weight_OI.shape), scale_OG, self.layout.largest)

    def receiver(self, weight_OI: Tensor, entries_E: Tensor | None = None) -> Tensor:
        """What takes the gradient of the quantized weights and hands it on: to the latent ones, to steps."""
        if not torch.is_grad_enabled():
            return weight_OI
        which_R = None if entries_E is None else self.layout.rows_of(entries_E)
        return self.smooth(self.layout.rows(weight_OI), which_R).reshape(weight_OI.shape)

    def forward(self, weight_OI: Tensor, entries_E: Tensor | None = None) -> Tensor:
        """The weights as products see them, with their gradients."""
        values_OI = self.quantize(weight_OI, entries_E).values_OI
        return straight_through(self.receiver(weight_OI, entries_E), values_OI)

    @property
    def learns(self) -> bool:
        return next(self.parameters(), None) is not None


def signs(rows_RN: Tensor) -> Tensor:
    """-1 and +1, int8. Zero counts as positive, so no third level appears."""
    if loops.serve(rows_RN):
        return loops.signs(rows_RN)
    return (rows_RN >= 0).to(torch.int8).mul_(2).sub_(1)


def nearest(rows_RN: Tensor, scale_R1: Tensor, largest: int) -> Tensor:
    """Codes, int8, of the nearest multiples of the scales, up to the largest; of 0, 0 at any scale."""
    step_R1 = scale_R1.clamp(min=torch.finfo(rows_RN.dtype).tiny)
    return (rows_RN / step_R1).round_().clamp_(-largest, largest).to(torch.int8)


def weight_quantizer(
    precision: Precision, shape_OI: tuple[int, int], *, is_table: bool = False
) -> WeightQuantizer | None:
    """The quantizer of one matrix or table of a model; None at 32 bits.

    Raises:
        ValueError: groups of the precision's size do not fill a row.
    """
    bits = precision.embeddings if is_table else precision.weights
    if bits == FULL:
        return None
    layout = ScaleLayout(bits, *shape_OI, precision.granularity, precision.group_size, precision.scale_bits)
    return build(precision.quantizer_of_weights(is_table=is_table), layout)


def quantize_weight(
    weight_OI: Tensor,
    bits: int,
    granularity: Granularity,
    *,
    group_size: int | None = None,
    scale_bits: int = 16,
) -> Quantized:
    """By what is usual at this width: BWN at 1, TWN at 2, min-max at 4 and 8 bits. They keep nothing."""
    num_outputs, num_inputs = weight_OI.shape
    layout = ScaleLayout(bits, num_outputs, num_inputs, granularity, group_size, scale_bits)
    return build(usual(WEIGHTS, bits), layout).quantize(weight_OI)


def build(name: str, layout: ScaleLayout) -> WeightQuantizer:
    """A weight quantizer by its name in `names.WEIGHTS`."""
    made = import_module(f"bitladder.quantizers.{WEIGHTS[name].module}").build(layout)
    assert isinstance(made, WeightQuantizer)
    return made
