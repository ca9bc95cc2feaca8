"""Kinds of training: everything that a step's time depends on, as a fingerprint.

That is the model's shape and bits, terms of the loss, batch size, dropout, data; and the setting: versions of
the libraries and of our own code, threads, processor. How long and how fast a model learns is no part of it.
"""

import os
import platform
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bitladder import files
from pipeline import paths
from pipeline.ladder import cost, sizes
from pipeline.params import Params
from pipeline.rungs import Rung

PIECES = ("rows", "lengths", "augment")
CODE = (
    "data",
    "distillation",
    "evaluation",
    "initialization",
    "modeling",
    "packing",
    "quantizers",
    "training",
)
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "BITLADDER_KERNELS",
    "BITLADDER_ENGINE",
    "BITLADDER_THREADS",
)


def key(params: Params, name: str) -> str:
    """Fingerprint of a model's kind of training, or of a piece that is no training."""
    kind = _data(params) if name in PIECES else _kind(params, name)
    return _digest({"setting": _setting(), "piece": name if name in PIECES else "training", **kind})


def setting() -> str:
    """Fingerprint of code, libraries and machine: what was measured in another one says nothing here."""
    return _digest(_setting())


@cache
def _setting() -> dict[str, Any]:
    return {
        "code": _digest(list(files.code(CODE, Path(files.__file__).parent).items())),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "variables": {name: os.environ.get(name) for name in VARIABLES},
        "processors": [os.cpu_count(), _processor()],
        "gpu": Path("/dev/nvidiactl").exists(),
    }


def _kind(params: Params, name: str) -> dict[str, Any]:
    """Everything that the time of a model's training depends on, less how long and on what it is trained."""
    optimization = cost.optimization_of(params, name)
    own: dict[str, Any] = {"stage": name}
    if name in params.rungs:
        rung = params.rungs[name]
        own = {
            "stage": "rung",
            **_form(rung),
            "terms": [term for term, weight in cost.terms_of(params, rung).model_dump().items() if weight],
            "teacher": _form(params.rungs[rung.taught_by]) if rung.taught_by in params.rungs else None,
        }
    return {
        **_data(params),
        **own,
        "batch_size": optimization.batch_size,
        "dropout": optimization.dropout,
        "gradients": params.training.gradients,
        "bucket_batches": params.training.bucket_batches,
    }


def _form(rung: Rung) -> dict[str, Any]:
    """What a rung computes with."""
    return {
        "precision": rung.precision.as_dict(),
        "form": [rung.width, rung.split, rung.hidden_act],
    }


def _data(params: Params) -> dict[str, Any]:
    shape = sizes.shape_of(params)
    plain = paths.data_dir(params.task.name, "plain")
    return {
        "task": params.task.model_dump(),
        "data": params.data.model_dump(),
        "model": params.model.model_dump(),
        "augmentation": params.augmentation.model_dump(),
        "evaluation": params.evaluation.model_dump(),
        "batch_sizes": [params.training.teacher.batch_size, *_rung_batch_sizes(params)],
        "shape": None if shape is None else asdict(shape),
        # What had to be assumed before is measured once the rows are there.
        "at_hand": params.data.source != "hub" or (plain / files.MANIFEST).is_file(),
    }


def _digest(value: Any) -> str:
    return files.digest(value)[:16]


def _rung_batch_sizes(params: Params) -> list[int]:
    return [params.training.rung.batch_size, params.training.binary_activations.batch_size]


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
