"""One training: the model's own stage for a few steps; then the model scores and, if a rung, is packed."""

import importlib
from typing import TYPE_CHECKING, Any

from bitladder import files
from flows import memory
from flows.rehearsal.apart import Answer
from flows.rehearsal.settings import shortened
from pipeline import paths
from pipeline.ladder.cost import optimization_of
from pipeline.params import Params

if TYPE_CHECKING:
    from pipeline.evaluation.task import Split
    from pipeline.training.clock import Moment


def train(settings: Params, name: str) -> Answer:
    """Run the model's own stage on the rows that lie in the working directory, and time it."""
    import torch

    from pipeline.training.clock import StepClock, now, since

    if name in settings.rungs:
        _stand_in(settings, settings.rungs[name].taught_by)
    short = shortened(settings, name)
    started = now()
    with StepClock() as clock:
        _run_stage(short, name)
    answer: Answer = {
        "seconds": since(started),
        "durations": clock.durations,
        "state_after": short.training.checkpoint_every,
        "steps": len(clock.ends),
        "peak_mib": memory.peak_mib(),
        "gpu_mib": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
    }
    if name == "pretrained":
        return answer
    return {**answer, **_score(short, name), "widths": _widths(short, name, len(clock.ends))}


def _stand_in(settings: Params, teacher: str) -> None:
    """Where a rung teaches, one with its quantizers after one step: its forward pass costs the same."""
    if teacher in settings.rungs and not paths.model_dir(teacher).exists():
        _run_stage(shortened(settings, teacher, steps=1, stands_in=True), teacher)


def _run_stage(settings: Params, name: str) -> None:
    """The model's own."""
    is_rung = name in settings.rungs
    stage = settings.rungs[name].stage if is_rung else name
    importlib.import_module(f"pipeline.stages.{stage}").run(settings, name if is_rung else None)


def _score(short: Params, name: str) -> Answer:
    """Seconds of scoring the model just trained, in its own layers and packed; and of packing it."""
    from bitladder.modeling.checkpoint import load_bert
    from pipeline.training.device import device
    from pipeline.training.split import load as load_data

    data = load_data(short.task, "plain", paths.model_dir(name)).selection
    trained: Any = load_bert(paths.model_dir(name))
    seconds = _seconds_of_scoring(short, trained.to(device()), data)
    answer: Answer = {"scored": len(data), "scoring": seconds}
    if name not in short.rungs:
        return answer
    has_kernels = _load_kernels(trained)
    return {**answer, **_pack(short, name), **_score_packed(short, name, data, has_kernels=has_kernels)}


def _load_kernels(trained: Any) -> bool:
    """Whether there are any for the model. Compiling them, once on a computer, is no part of packing."""
    from bitladder.packed.writing import packed_config
    from bitladder.runtime import UnsupportedError, support

    try:
        support.check(packed_config(trained))
        support.engine()
    except UnsupportedError:
        return False
    from bitladder.runtime.kernels import machine_code  # with it, LLVM

    try:
        machine_code.load()
    except machine_code.CompilerError:  # torch answers there
        return False
    return True


def _pack(short: Params, name: str) -> Answer:
    from pipeline.stages import pack
    from pipeline.training.clock import now, since

    started = now()
    pack.run(short, name)
    seconds = since(started)
    compared = files.read_json(paths.packed_dir(name) / pack.AGREEMENT)["splits"].values()
    return {"packing": seconds, "packed_on": sum(split["rows"] for split in compared)}


def _score_packed(short: Params, name: str, data: "Split", *, has_kernels: bool) -> Answer:
    """By the torch layers, and by kernels where there are some, as `pack` compares them."""
    from bitladder.transformers_model.model import load
    from pipeline.training.device import device

    packed: Any = load(paths.packed_dir(name))
    runner, packed.runner = packed.runner, None
    answer: Answer = {"packed_scoring": _seconds_of_scoring(short, packed.to(device()), data)}
    if has_kernels:
        packed.to("cpu").runner = runner
        answer["kernel_scoring"] = _seconds_of_scoring(short, packed, data)
    return answer


def _seconds_of_scoring(short: Params, model: Any, data: "Split") -> "Moment":
    """Of the second time: the first one warms up."""
    from pipeline.training.clock import now, since
    from pipeline.training.split import score_on

    score_on(data, short.task, model)
    started = now()
    score_on(data, short.task, model)
    return since(started)


def _widths(short: Params, name: str, steps: int) -> list[int]:
    """Tokens of the longest sequence in the batch of each timed step."""
    from pipeline.training.split import load

    train = load(short.task, "plain", paths.model_dir(name)).train
    batches = train.shuffled(
        optimization_of(short, name).batch_size,
        seed=short.seed,
        bucket_batches=short.training.bucket_batches,
    )
    return [int(batches(step)["input_ids"].shape[1]) for step in range(2, steps + 1)]
