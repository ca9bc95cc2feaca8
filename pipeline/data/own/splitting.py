"""Holding rows out of a person's file by groups: equal texts, or rows that a column says belong together.

A text on both sides would be known by heart where it is to be judged. Classes keep their shares as far as
groups allow; a group counts to the class of its first row.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.kinds.checks import DataError
from pipeline.kinds.columns import LABEL

GROUP = "group"  # a column of rows in hand, never of what is written


def hold_out_groups_by_class(
    train: pd.DataFrame, *, fraction: float, seed: int, stratify: bool, keep: int, setting: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the rest of train, `fraction` of its rows): whole groups of the column `group`, drawn class by class.

    Args:
        keep: groups of each class that stay in train at least; a class with no more is not drawn from.
        setting: what asks for the fraction, for messages.

    Raises:
        DataError: nothing would be drawn, or a class would have no row left.
    """
    classes = train[LABEL].to_numpy() if stratify else np.zeros(len(train), np.int64)
    drawn = np.zeros(len(train), np.bool)
    generator = np.random.default_rng(seed)
    groups, first = np.unique(pd.factorize(train[GROUP])[0], return_index=True)
    numbers = pd.factorize(train[GROUP])[0]
    sizes = np.bincount(numbers)
    for label in np.unique(classes):
        own = groups[classes[first] == label]
        order = generator.permutation(own)
        most = max(0, len(own) - keep)
        drawn |= np.isin(numbers, _up_to(order, sizes, fraction * sizes[own].sum(), most))
    _require(drawn, classes, keep, setting)
    return train[~drawn].reset_index(drop=True), train[drawn].reset_index(drop=True)


def _up_to(order: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], rows: float, most: int) -> list[int]:
    """The first groups that have `rows` rows together, larger ones passed over; one at least, if one may."""
    taken: list[int] = []
    left = rows
    for group in order.tolist():
        if len(taken) < most and sizes[group] <= left + 0.5:
            taken.append(group)
            left -= sizes[group]
    smallest = sorted(order.tolist(), key=lambda group: int(sizes[group]))[: min(1, most)]
    return taken or smallest


def _require(drawn: npt.NDArray[np.bool], classes: npt.NDArray[np.int64], keep: int, setting: str) -> None:
    lost = {*np.unique(classes).tolist()} - {*np.unique(classes[~drawn]).tolist()}
    if not drawn.any() or lost:
        what = f"no row of class {sorted(lost)} would be left" if lost else "no group of rows can be spared"
        raise DataError(
            [f"{setting}: {what} to train on; expected {keep + 1} groups of rows at least of some class"]
        )


def renumbered(keys: Iterable[Hashable]) -> Sequence[int]:
    """A number for each row, the same where the key is."""
    numbers: list[int] = pd.factorize(pd.Series(list(keys), dtype=object))[0].tolist()
    return numbers
