"""Cutting a training split: at most so many rows, and a selection split held out of them.

Checkpoints are chosen on the selection split, so that the validation score is looked at once. Classes keep
their shares in both parts; the rows of a regression are drawn without regard to their scores. Rows stay in
their order.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.data.checks import LABEL, DataError


def cap_rows(train: pd.DataFrame, *, max_rows: int | None, seed: int, stratify: bool) -> pd.DataFrame:
    """At most `max_rows` rows, drawn at random. Raises DataError when a class could not be kept."""
    if max_rows is None or len(train) <= max_rows:
        return train
    kept, _ = _draw(train, max_rows, seed=seed, stratify=stratify, setting="data.max_train_rows")
    return _rows(train, kept)


def hold_out(
    train: pd.DataFrame, *, fraction: float, seed: int, stratify: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(rest of train, selection split of `fraction` of its rows and at least one row per class)."""
    classes = train[LABEL].nunique() if stratify else 1
    size = max(round(fraction * len(train)), classes)
    held, rest = _draw(train, size, seed=seed, stratify=stratify, setting="task.selection_fraction")
    return _rows(train, rest), _rows(train, held)


def _draw(
    train: pd.DataFrame, size: int, *, seed: int, stratify: bool, setting: str
) -> tuple[Sequence[int], Sequence[int]]:
    """Row numbers of the `size` rows drawn and of the others."""
    from sklearn.model_selection import train_test_split

    if stratify:
        _need_two_of_each(train, size, setting)
    elif not 0 < size < len(train):
        raise DataError([f"{setting}: {size} of {len(train)} training rows; a part would be empty"])
    labels = train[LABEL] if stratify else None
    drawn, others = train_test_split(
        np.arange(len(train)), train_size=size, random_state=seed, stratify=labels
    )
    return drawn, others


def _need_two_of_each(train: pd.DataFrame, size: int, setting: str) -> None:
    counts = dict(sorted(Counter(train[LABEL].tolist()).items()))
    if min(counts.values()) < 2 or not len(counts) <= size <= len(train) - len(counts):
        raise DataError(
            [
                f"{setting}: {size} of {len(train)} training rows, rows per label {counts}; "
                "each label needs a row in the part drawn and one in the rest"
            ]
        )


def _rows(frame: pd.DataFrame, numbers: Sequence[int]) -> pd.DataFrame:
    return frame.iloc[np.sort(np.asarray(numbers))].reset_index(drop=True)
