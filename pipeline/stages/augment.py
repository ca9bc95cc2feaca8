"""Stage `augment`: the training rows, and new ones made of them by nlpaug.

Writes `data/<task>/augmented/`: `train.parquet`, originals first, with a column `origin`, and `summary.json`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bitladder import files
from pipeline import kinds
from pipeline.data.augmentation import METHODS, Counts, Method, augment, augmenters
from pipeline.data.splits import text_keys
from pipeline.data.tables import read_split, write_split
from pipeline.params import Params
from pipeline.paths import data_dir, model_dir
from pipeline.progress import say

TRAIN = "train"
SELECTION = "selection"
NEEDS_MODEL: tuple[Method, ...] = ("contextual", "embedding")


def run(params: Params, rung: str | None = None) -> None:
    """Raises IntegrityError when the splits or the pre-trained model are not what was written."""
    task, plain, pretrained = params.task, data_dir(params.task.name, "plain"), model_dir("pretrained")
    files.verify(plain)
    copies = {method: int(getattr(params.augmentation, method)) for method in METHODS}
    left_out = _left_out(copies, pretrained)
    if not kinds.of(task).varied_columns(task):
        reason = f"rows of {task.kind} stay as they are, and train on augmented data is train"
        left_out = dict.fromkeys((method for method in METHODS if copies[method]), reason)
    for method, reason in left_out.items():
        say(f"augment {task.name}: {method} left out: {reason}")
    copies = {method: copies[method] for method in METHODS if copies[method] and method not in left_out}
    train, columns = read_split(plain, TRAIN), task.sentence_columns
    varied = kinds.of(task).varied_columns(task)
    judged = [read_split(plain, name, columns) for name in (SELECTION, *task.validation_splits)]
    rows, counts = augment(
        train,
        sentence_columns=columns,
        varied_columns=varied,
        copies=copies,
        vary=augmenters(
            list(copies),
            folder=pretrained,
            word_fraction=params.augmentation.word_fraction,
            texts=[text for column in varied for text in train[column]],
            device=_device() if "contextual" in copies else "cpu",
        ),
        seed=params.seed,
        max_rows=params.augmentation.max_rows,
        held_out={key for frame in judged for key in text_keys(frame, columns)},
    )
    with files.publish(data_dir(task.name, "augmented")) as folder:
        digest = files.sha256(write_split(folder, TRAIN, rows))
        summary = _summary(params, len(train), counts, left_out)
        files.write_json(folder / "summary.json", {**summary, "sha256": digest})
    _tell(params, counts)


def _left_out(copies: Mapping[Method, int], pretrained: Path) -> dict[Method, str]:
    """The methods that were asked for and that the pre-trained model cannot do, each with its reason."""
    if not any(copies[method] for method in NEEDS_MODEL):
        return {}
    from pipeline.data.neighbours import has_masked_lm_head
    from pipeline.data.tokenizer_files import is_word_piece

    files.verify(pretrained)
    if copies["contextual"] and not has_masked_lm_head(pretrained):
        return {"contextual": "the pre-trained model has no masked-LM head (no tensors cls.predictions.*)"}
    if copies["contextual"] and not is_word_piece(pretrained):
        return {"contextual": "its words are WordPiece's, and the pre-trained model has another tokenizer"}
    return {}


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


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


def _tell(params: Params, counts: Mapping[Method, Counts]) -> None:
    for method, count in counts.items():
        if count.asked:
            say(
                f"augment {params.task.name} {method}: {count.kept} of {count.asked} new rows kept; dropped "
                f"{count.unchanged} unchanged, {count.duplicate} duplicates, {count.held_out} held out; "
                f"share changed {count.share_changed:.3f}; seed {params.seed}"
            )
