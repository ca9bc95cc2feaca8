"""Stage `pack@RUNG`: `packed/<rung>`, the deliverable, checked against the trained rung before it is
published.

Two checks on the whole first validation split. By the same torch layers the packed file says what the trained
rung says, to rounding: the file holds the model. And by the kernels that run it here, if any do, its labels
are those of the trained rung on nearly all rows. Their logits are not the same to rounding. Products of whole
numbers are exact, but sums between them are taken in another order, and a value that this moves by its last
bit over the threshold between two codes comes out a whole step further. Torch does so to itself: a trained
rung asked row by row differs from the same rung asked in batches by as much. With fewer bits there are fewer
thresholds and longer steps: fewer rows differ, and by more. So the kernels' tolerance is of the mean over
rows, by the bits of the activations, in units of the logits' standard deviation.
"""

import shutil
from pathlib import Path
from typing import Any

from bitladder import files
from pipeline import paths, record
from pipeline.params import Params, Task
from pipeline.progress import say

AGREEMENT = "agreement.json"
# Largest difference of a logit. Where sums are taken in the same order it is 0: see docs/file-format.md.
TOLERANCE = 1e-4
# Mean difference of a logit by the kernels, in standard deviations of the logits, by bits of activations.
# One neuron's outputs lie on a lattice; where a point of it meets a threshold, the last bit of a GELU moves a
# code on most rows: 0.053 was met at 4 bits (docs/log.md). Of outputs that are not related it is 1.1.
KERNEL_TOLERANCE = {8: 0.05, 4: 0.2, 2: 0.2, 1: 0.2}


def run(params: Params, rung: str | None = None) -> None:
    """Pack one rung.

    Raises:
        IntegrityError: the trained rung or the data are not what their manifests say.
        EngineError: BITLADDER_ENGINE names an engine that there is not.
        ValueError: there is no such rung, a value cannot be stored exactly, or the outputs do not agree.
    """
    from bitladder.packed.writing import pack
    from bitladder.runtime.kernels import engines

    if rung not in params.deliver:
        raise ValueError(f"deliver: no rung {rung!r}; known: {params.deliver}")
    engines.choose()  # a wrong one is found before the work, not after it
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

    from bitladder.modeling.checkpoint import load_bert
    from bitladder.runtime.kernels.engines import TORCH
    from bitladder.transformers_model.model import load_unpublished
    from pipeline.data.tables import read_split
    from pipeline.evaluation import task as tasks
    from pipeline.evaluation.score import logits
    from pipeline.training.device import device

    plain, name = paths.data_dir(task.name, "plain"), task.validation_splits[0]
    files.verify(plain)
    split = tasks.rows(tasks.read(read_split(plain, name), task, packed_folder))
    trained: Any = load_bert(trained_folder)
    packed: Any = load_unpublished(packed_folder)
    has_kernels = packed.answered_by.engine != TORCH
    trained_NL = logits(trained.to(device()), split)
    runner, packed.runner = packed.runner, None
    packed_NL = logits(packed.to(device()), split)
    packed.to("cpu").runner = runner
    found = [trained_NL, packed_NL, *([logits(packed, split)] if has_kernels else [])]
    if not all(np.isfinite(one).all() for one in found):
        raise ValueError(
            f"{trained_folder}: outputs on {name} are not all finite; there is nothing to deliver"
        )
    agreed = [_agreement(trained_NL, one, is_regression=task.kind == "regression") for one in found[1:]]
    by_kernels = None
    if has_kernels:
        activations = packed.config.bitladder_precision["activations"]
        tolerance = max(TOLERANCE, KERNEL_TOLERANCE[activations] * _spread(trained_NL))
        by_kernels = {**agreed[1], "tolerance": tolerance}
    return {
        "tolerance": TOLERANCE,
        "splits": {
            name: {
                "rows": len(split),
                "largest_logit_difference": agreed[0]["largest_logit_difference"],
                "label_agreement": agreed[0]["label_agreement"],
                "by_kernels": by_kernels,
            }
        },
    }


def _agreement(trained_NL: Any, other_NL: Any, *, is_regression: bool) -> dict[str, float | None]:
    """Of a question's window there are two labels: the first token of the answer and the last.

    The mean is of what the trained rung says: on padding all agree, however much there is of it.
    """
    import numpy as np

    same = (trained_NL.argmax(axis=-1) == other_NL.argmax(axis=-1)).reshape(len(trained_NL), -1).all(axis=1)
    differences = np.abs(trained_NL - other_NL)
    return {
        "largest_logit_difference": float(differences.max()),
        "mean_logit_difference": float(_without_padding(differences, trained_NL).mean()),
        "label_agreement": None if is_regression else float(same.mean()),
    }


def _spread(logits_NL: Any) -> float:
    """Standard deviation."""
    return float(_without_padding(logits_NL, logits_NL).std())


def _without_padding(values_NL: Any, logits_NL: Any) -> Any:
    """Values, in one row, where these logits are not those of padding of a question's window."""
    from bitladder.modeling.traces import PADDING

    return values_NL[logits_NL != PADDING]


def refuse_disagreement(rung: str, agreement: dict[str, Any]) -> None:
    """Raises ValueError when logits differ by more than the tolerances."""
    for split, found in agreement["splits"].items():
        _refuse(rung, split, "largest", found["largest_logit_difference"], agreement["tolerance"])
        if by_kernels := found.get("by_kernels"):
            _refuse(rung, split, "mean", by_kernels["mean_logit_difference"], by_kernels["tolerance"])


def _refuse(rung: str, split: str, what: str, difference: float, tolerance: float) -> None:
    if not difference <= tolerance:
        how = "" if what == "largest" else " in the mean, by the kernels"
        raise ValueError(
            f"{rung}: packed and trained model differ by {difference:g} in a logit on {split}{how}; "
            f"at most {tolerance:g} is right"
        )


def _line(rung: str, agreement: dict[str, Any]) -> str:
    from bitladder.packed.size import account

    sizes = account(paths.packed_dir(rung))
    [(split, found)] = agreement["splits"].items()
    size = f"{sizes.on_disk.mib:.3f} MiB, {sizes.on_disk.ratio:.1f} times smaller than in 32 bits"
    kernels = f"; by the kernels {_differ(found['by_kernels'])}" if found["by_kernels"] else ""
    return f"pack {rung}: {size}; on {found['rows']} rows of {split} logits {_differ(found)}{kernels}"


def _differ(found: dict[str, Any]) -> str:
    share = found["label_agreement"]
    agreed = "" if share is None else f", labels agree on {share:.2%}"
    return f"differ by at most {found['largest_logit_difference']:g}{agreed}"
