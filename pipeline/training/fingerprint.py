"""What determines the outcome of a training, fact by fact: two trainings with the same facts end the same.

A stopped training is gone on with only under the same facts. They are kept one by one, under the names that
params.yaml uses, so that a refusal can say which of them changed. Not among them: how often states are
written, other rungs' names, the folder of the project.
"""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bitladder import files
from bitladder.modeling import routines
from pipeline.leaves import leaves
from pipeline.params import Params
from pipeline.rungs import Rung
from pipeline.training.device import device

Facts = dict[str, str]

ROOT = Path(__file__).parents[2]
# What trainings run; kept equal to what they import by a test.
CODE = (
    "bitladder/heads.py",
    "bitladder/modeling",
    "bitladder/quantizers",
    "bitladder/text",
    "pipeline/distillation",
    "pipeline/initialization",
    "pipeline/kinds",
    "pipeline/parts.py",
    "pipeline/tasks",
    "pipeline/training",
)
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
ABSENT = "nothing"


def of_pretraining(params: Params, corpus_digest: str, *, processes: int) -> Facts:
    settings = {
        "seed": params.seed,
        "model.architecture": params.model.architecture and params.model.architecture.model_dump(),
        "budget.pretraining": params.budget.pretraining.model_dump(),
        "training.pretraining": params.training.pretraining.model_dump(),
        "training.bucket_batches": params.training.bucket_batches,
    }
    return _facts(settings, {"corpus": corpus_digest}, processes)


def of_teacher(params: Params, digests: Mapping[str, str], *, processes: int) -> Facts:
    """`digests`: sha256 of the data and of the pre-trained weights, by what they are."""
    settings = {
        **_of_task(params),
        "budget.teacher": params.budget.teacher.model_dump(),
        "training.teacher": params.training.teacher.model_dump(),
    }
    return _facts(settings, digests, processes)


def of_general(params: Params, name: str, digests: Mapping[str, str], *, processes: int) -> Facts:
    """`digests`: sha256 of the text, the parent's and the pre-trained weights, by what they are."""
    settings = {**_of_training(params), **_of_student(params, params.general[name], name)}
    return _facts(settings, digests, processes)


def of_rung(params: Params, name: str, digests: Mapping[str, str], *, processes: int) -> Facts:
    """`digests`: sha256 of the data, the parent's and the teacher's weights, by what they are.

    What a rung says itself replaces what the ladder says, which is then no fact of this training.
    """
    rung = params.rungs[name]
    # Its duration is in the facts as what it comes to: it may be given by other rungs.
    own = {} if rung.duration is None else {"duration": params.duration_of(rung)}
    settings = {**_of_task(params), **_of_student(params, rung.model_copy(update=own), name)}
    if rung.duration is None:
        settings[f"budget.{rung.optimized_as}"] = params.duration_of(rung).model_dump()
    if rung.distillation is None and not rung.phases:
        settings["distillation"] = params.distillation.model_dump()
    return _facts(settings, digests, processes)


def differences(then: Facts, now: Facts) -> list[str]:
    """A line for each fact that is not the same, with both values."""
    return [
        f"{name}: {_shown(then.get(name))} then, {_shown(now.get(name))} now"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def _of_task(params: Params) -> dict[str, Any]:
    """What every model of the task is trained with. How its rows were made is in the data's digests."""
    shaping = {"name", "kind", "sentence_columns", "label_names", "metrics", "max_length", "answering"}
    own = {"range"} if params.task.range is not None else set[str]()
    return {"task": params.task.model_dump(include=shaping | own), **_of_training(params)}


def _of_student(params: Params, rung: Rung, name: str) -> dict[str, Any]:
    """A rung, and of its section of `training` what it does not say itself."""
    section = getattr(params.training, rung.optimized_as)
    return {
        f"{rung.stage}.{name}": rung.model_dump(),
        f"training.{rung.optimized_as}": section.model_dump(exclude={*rung.own_optimization}),
    }


def _of_training(params: Params) -> dict[str, Any]:
    """What every model is trained with."""
    return {
        "seed": params.seed,
        "budget.evaluations": params.budget.evaluations,
        "training.gradients": params.training.gradients,
        "training.bucket_batches": params.training.bucket_batches,
        "routines": str(routines.choose(params.training.gradients)),
    }


def _facts(settings: Mapping[str, Any], digests: Mapping[str, str], processes: int) -> Facts:
    is_cpu = device().type == "cpu"  # another kind of device adds in another order
    kind = torch.backends.cpu.get_cpu_capability() if is_cpu else torch.cuda.get_device_name()
    return {
        **{name: json.dumps(value, ensure_ascii=False) for name, value in leaves(settings)},
        **{f"sha256 of {name}": value for name, value in digests.items()},
        **{f"code {path}": value for path, value in files.code(CODE, ROOT).items()},
        **{f"version of {name}": version(name) for name in LIBRARIES},
        "device": f"{device().type}, {kind}",
        "threads": str(torch.get_num_threads()),
        "processes": str(processes),
    }


def _shown(value: str | None) -> str:
    """Digests are told apart by their first digits."""
    if value is None:
        return ABSENT
    is_digest = len(value) == 64 and all(letter in "0123456789abcdef" for letter in value)
    return f"{value[:12]}..." if is_digest else value
