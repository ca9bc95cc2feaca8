"""Cutting a training split: at most so many rows, and a selection split held out of them.

Checkpoints are chosen on the selection split, so that the validation score is looked at once. Classes keep
their shares in both parts; the rows of a regression are drawn without regard to their scores. Questions are
held out by whole articles: their contexts must not stand on both sides. Rows stay in their order.

Which rows say the same thing is told by text keys: two rows are the same when their sentences are, after
Unicode's compatible forms, capitals and runs of spaces are evened out. The label takes no part, so that the
same text under two labels is found as well.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.kinds.checks import DataError
from pipeline.kinds.columns import LABEL

_BETWEEN = "\x1f"  # cannot stand in a text that is evened out: it counts as a space there


def text_key(sentences: Iterable[str]) -> bytes:
    """16 bytes that are equal for rows with the same sentences, evened out, in this order."""
    even = (" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in sentences)
    return blake2b(_BETWEEN.join(even).encode(), digest_size=16).digest()


def text_keys(frame: pd.DataFrame, sentence_columns: Sequence[str]) -> list[bytes]:
    """One key per row."""
    return [text_key(row) for row in zip(*(frame[name] for name in sentence_columns), strict=True)]


def cap_rows(
    frame: pd.DataFrame,
    *,
    max_rows: int | None,
    seed: int,
    stratify: bool,
    setting: str = "data.max_train_rows",
    lists: Sequence[str] | None = None,
) -> pd.DataFrame:
    """At most `max_rows` rows, drawn at random. Raises DataError when a class could not be kept.

    `lists`: by row, the list that it belongs to, where lists are kept or left out as a whole.
    """
    if max_rows is None or len(frame) <= max_rows:
        return frame
    if lists is not None:
        return frame[_draw_lists(lists, max_rows, seed=seed, setting=setting)].reset_index(drop=True)
    drawn = _draw(frame, max_rows, seed=seed, stratify=stratify, setting=setting)
    return frame[drawn].reset_index(drop=True)


def hold_out(
    train: pd.DataFrame, *, fraction: float, seed: int, stratify: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the rest of train, selection split): `fraction` of the rows, of each class at least one in each part.

    Raises DataError when there are too few rows for that.
    """
    classes = train[LABEL].nunique() if stratify else 1
    size = max(round(fraction * len(train)), classes)
    drawn = _draw(train, size, seed=seed, stratify=stratify, setting="task.selection_fraction")
    return train[~drawn].reset_index(drop=True), train[drawn].reset_index(drop=True)


def hold_out_groups(
    train: pd.DataFrame, groups: Sequence[str], *, fraction: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the rest of train, selection split): whole groups, drawn until they have `fraction` of the rows.

    `groups` names the group of each row.

    Raises DataError when nothing would be left to train on.
    """
    names, numbers, counts = np.unique(np.array(groups, str), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    enough = 1 + int(np.searchsorted(np.cumsum(counts[order]), fraction * len(train)))
    if enough >= len(names):
        raise DataError(
            [
                f"task.selection_fraction: {fraction} of {len(train)} training rows takes {enough} of the "
                f"{len(names)} groups that they come in; at least one has to be left to train on"
            ]
        )
    drawn = np.isin(numbers, order[:enough])
    return train[~drawn].reset_index(drop=True), train[drawn].reset_index(drop=True)


def _draw_lists(lists: Sequence[str], most: int, *, seed: int, setting: str) -> npt.NDArray[np.bool]:
    """Whether each row is in a list that is drawn: tried in random order, and taken while it fits."""
    _, numbers, sizes = np.unique(np.array(lists, str), return_inverse=True, return_counts=True)
    taken, left = list[int](), most
    for number in np.random.default_rng(seed).permutation(len(sizes)).tolist():
        if sizes[number] <= left:
            taken.append(number)
            left -= int(sizes[number])
    if not taken:
        few = f"rows with one query are kept together, and the shortest such list has {sizes.min()}"
        raise DataError([f"{setting}: {most} rows; {few}"])
    return np.isin(numbers, taken)


def _draw(train: pd.DataFrame, size: int, *, seed: int, stratify: bool, setting: str) -> npt.NDArray[np.bool]:
    """Whether each row is one of the `size` rows drawn."""
    classes = train[LABEL].to_numpy() if stratify else np.zeros(len(train), np.int64)
    labels, counts = np.unique(classes, return_counts=True)
    if counts.min() < 2 or not len(labels) <= size <= len(train) - len(labels):
        found = f"rows per label {dict(zip(labels.tolist(), counts.tolist(), strict=True))}"
        raise DataError(
            [
                f"{setting}: {size} of {len(train)} training rows, {found if stratify else 'any label'}; "
                "each label needs a row in the part drawn and one in the rest"
            ]
        )
    generator = np.random.default_rng(seed)
    drawn = np.zeros(len(train), np.bool)
    for label, num in zip(labels, _shares(counts, size), strict=True):
        drawn[generator.choice(np.flatnonzero(classes == label), num, replace=False)] = True
    return drawn


def _shares(counts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Rows to draw of each class: in proportion, summing to `size`, never none of a class and never all."""
    exact = counts * size / counts.sum()
    shares: npt.NDArray[np.int64] = np.clip(np.floor(exact).astype(np.int64), 1, counts - 1)
    while (short := size - shares.sum()) != 0:
        step = int(np.sign(short))
        free = shares < counts - 1 if step > 0 else shares > 1
        shares[np.argmax(np.where(free, step * (exact - shares), -np.inf))] += step
    return shares
