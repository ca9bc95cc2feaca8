"""Stage `augment`: the training rows, and new ones made of them by nlpaug.

Writes `data/<task>/augmented/`: `train.parquet`, originals first, with a column `origin`, and `summary.json`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from bitladder import files
from pipeline.data.augmentation import METHODS, Counts, Method, Vary, augment, augmenters
from pipeline.data.splits import text_keys
from pipeline.data.tables import QUESTION, read_split, write_split
from pipeline.params import Params
from pipeline.paths import data_dir, model_dir
from pipeline.progress import say

TRAIN = "train"
SELECTION = "selection"
NEEDS_MODEL: tuple[Method, ...] = ("contextual", "embedding")


def run(params: Params, rung: str | None = None) -> None:
    """Raises IntegrityError when the splits or the pre-trained model are not what was written."""
    plain, pretrained = data_dir(params.task.name, "plain"), model_dir("pretrained")
    files.verify(plain)
    copies = {method: int(getattr(params.augmentation, method)) for method in METHODS}
    left_out = _left_out(copies, pretrained)
    for method, reason in left_out.items():
        say(f"augment {params.task.name}: {method} left out: {reason}")
    copies = {method: 0 if method in left_out else number for method, number in copies.items()}
    train = read_split(plain, TRAIN)
    rows, counts = augment(
        train,
        sentence_columns=params.task.sentence_columns,
        varied_columns=_varied(params),
        copies=copies,
        vary=_augmenters(params, train, copies, pretrained),
        seed=params.seed,
        max_rows=params.augmentation.max_rows,
        held_out=_held_out(params, plain),
    )
    _publish(params, rows, _summary(params, len(train), counts, left_out))
    _tell(params, counts)


def _left_out(copies: Mapping[Method, int], pretrained: Path) -> dict[Method, str]:
    """The methods that were asked for and that the pre-trained model cannot do, each with its reason."""
    if not any(copies[method] for method in NEEDS_MODEL):
        return {}
    from pipeline.data.neighbours import has_masked_lm_head

    files.verify(pretrained)
    if copies["contextual"] and not has_masked_lm_head(pretrained):
        return {"contextual": "the pre-trained model has no masked-LM head (no tensors cls.predictions.*)"}
    return {}


def _augmenters(
    params: Params, train: pd.DataFrame, copies: Mapping[Method, int], pretrained: Path
) -> dict[Method, Vary]:
    return augmenters(
        [method for method, number in copies.items() if number],
        folder=pretrained,
        word_fraction=params.augmentation.word_fraction,
        texts=[text for column in _varied(params) for text in train[column]],
        device=_device(copies),
    )


def _varied(params: Params) -> list[str]:
    """Of a question and its context the question alone: the answer is a piece of the context as it stands."""
    columns = params.task.sentence_columns
    return columns if params.task.answering is None else [QUESTION]


def _device(copies: Mapping[Method, int]) -> str:
    if not copies["contextual"]:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _held_out(params: Params, plain: Path) -> set[bytes]:
    """Text keys of every row that models are chosen or judged by."""
    columns = params.task.sentence_columns
    names = [SELECTION, *params.task.validation_splits]
    return {key for name in names for key in text_keys(read_split(plain, name, columns), columns)}


def _summary(
    params: Params, num_originals: int, counts: Mapping[Method, Counts], left_out: Mapping[Method, str]
) -> dict[str, Any]:
    return {
        "task": params.task.name,
        "seed": params.seed,
        "word_fraction": params.augmentation.word_fraction,
        "max_rows": params.augmentation.max_rows,
        "rows": {"original": num_originals, **{method: counts[method].kept for method in METHODS}},
        "methods": {
            method: {**asdict(counts[method]), "share_changed": counts[method].share_changed}
            for method in METHODS
        },
        "left_out": dict(left_out),
    }


def _publish(params: Params, rows: pd.DataFrame, summary: dict[str, Any]) -> None:
    with files.publish(data_dir(params.task.name, "augmented")) as folder:
        path = write_split(folder, TRAIN, rows)
        files.write_json(folder / "summary.json", {**summary, "sha256": files.sha256(path)})


def _tell(params: Params, counts: Mapping[Method, Counts]) -> None:
    for method, count in counts.items():
        if count.asked:
            say(
                f"augment {params.task.name} {method}: {count.kept} of {count.asked} new rows kept; dropped "
                f"{count.unchanged} unchanged, {count.duplicate} duplicates, {count.held_out} held out; "
                f"share changed {count.share_changed:.3f}; seed {params.seed}"
            )
