"""Stage `pack@RUNG`: `packed/<rung>`, the deliverable, checked against the trained rung before it is
published."""

import shutil
from pathlib import Path
from typing import Any

from pipeline import files, paths, record
from pipeline.data.progress import say
from pipeline.params import Params, Task

AGREEMENT = "agreement.json"
# Largest difference of a logit. Where sums are taken in the same order it is 0: see docs/file-format.md.
TOLERANCE = 1e-4


def run(params: Params, rung: str | None = None) -> None:
    """Pack one rung.

    Raises:
        IntegrityError: the trained rung or the data are not what their manifests say.
        ValueError: there is no such rung, a value cannot be stored exactly, or the outputs do not agree.
    """
    from pipeline.packing.writing import pack

    if rung not in params.deliver:
        raise ValueError(f"deliver: no rung {rung!r}; known: {params.deliver}")
    source = paths.model_dir(rung)
    check_record(source, files.verify(source))
    with files.publish(paths.packed_dir(rung)) as folder:
        pack(source, folder)
        shutil.copyfile(source / record.RECORD, folder / record.RECORD)
        agreement = compare(params.task, source, folder)
        refuse_disagreement(rung, agreement)
        files.write_json(folder / AGREEMENT, agreement)
    say(_line(rung, agreement))


def check_record(folder: Path, digests: dict[str, str]) -> None:
    """Raises IntegrityError when a folder's record tells of other weights than those in it."""
    own = record.read(folder)
    if own.digest != digests["model.safetensors"]:
        raise files.IntegrityError(
            f"{folder / record.RECORD}: of {own.digest}; weights are {digests['model.safetensors']}"
        )


def compare(task: Task, trained_folder: Path, packed_folder: Path) -> dict[str, Any]:
    """Outputs of the trained and of the packed model on the whole first validation split."""
    import numpy as np

    from pipeline.data.tables import read_split
    from pipeline.evaluation import task as tasks
    from pipeline.evaluation.score import logits
    from pipeline.modeling.checkpoint import load_bert
    from pipeline.packing.model import load_unpublished
    from pipeline.training.device import device

    plain, name = paths.data_dir(task.name, "plain"), task.validation_splits[0]
    files.verify(plain)
    split = tasks.rows(tasks.read(read_split(plain, name), task, packed_folder))
    models: list[Any] = [load_bert(trained_folder), load_unpublished(packed_folder)]
    trained_NL, packed_NL = (logits(model.to(device()), split) for model in models)
    if not (np.isfinite(trained_NL).all() and np.isfinite(packed_NL).all()):
        raise ValueError(
            f"{trained_folder}: outputs on {name} are not all finite; there is nothing to deliver"
        )
    # Of a question's window two: the first token of the answer and the last.
    same = (trained_NL.argmax(axis=-1) == packed_NL.argmax(axis=-1)).reshape(len(split), -1).all(axis=1)
    return {
        "tolerance": TOLERANCE,
        "splits": {
            name: {
                "rows": len(split),
                "largest_logit_difference": float(np.abs(trained_NL - packed_NL).max()),
                "label_agreement": None if task.kind == "regression" else float(same.mean()),
            }
        },
    }


def refuse_disagreement(rung: str, agreement: dict[str, Any]) -> None:
    """Raises ValueError when a logit differs by more than the tolerance."""
    for split, found in agreement["splits"].items():
        difference, tolerance = found["largest_logit_difference"], agreement["tolerance"]
        if not difference <= tolerance:
            raise ValueError(
                f"{rung}: packed and trained model differ by {difference:g} in a logit on {split}; "
                f"at most {tolerance:g} is right"
            )


def _line(rung: str, agreement: dict[str, Any]) -> str:
    from pipeline.packing.size import account

    sizes = account(paths.packed_dir(rung))
    [(split, found)] = agreement["splits"].items()
    agreed = "" if found["label_agreement"] is None else f", labels agree on {found['label_agreement']:.2%}"
    difference = f"logits differ by at most {found['largest_logit_difference']:g}{agreed}"
    size = f"{sizes.on_disk.mib:.3f} MiB, {sizes.on_disk.ratio:.1f} times smaller than in 32 bits"
    return f"pack {rung}: {size}; on {found['rows']} rows of {split} {difference}"
