"""What the plan's models cost: measured kinds of training, kept in .bitladder/timings/steps.json.

A kind is everything that a step's time depends on: the model's shape and bits, terms of the loss, batch size,
dropout, data, versions of the libraries and of our own code, threads, processor. A kind that was measured
before is not measured again; what is missing is rehearsed by a process of its own (flows.rehearsal), so that
nothing heavy is imported here.
"""

import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from flows import rehearsal
from pipeline import files, paths
from pipeline.ladder import cost, estimate
from pipeline.ladder.cost import Rehearsed, Rows, undisturbed
from pipeline.params import Params

CACHE = paths.WORK / "timings" / "steps.json"
SCRATCH = paths.WORK / "rehearsals"
PIECES = ("rows", "lengths", "augment")
CODE = (
    "quantizers",
    "modeling",
    "initialization",
    "distillation",
    "training",
    "evaluation",
    "packing",
    "data",
)
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "BITLADDER_KERNELS")
# A rehearsal is nobody's to watch.
WATCHERS = ("BITLADDER_SPOOL", "MLFLOW_TRACKING_URI", "PREFECT_API_URL")
Kept = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Measured:
    """What is known of a plan's models.

    Attributes:
        kinds: by model; without those that could not be measured, or were not.
        rows: None when nothing was ever measured on this data.
        prepare_seconds, augment_seconds: of those stages, where a rehearsal could tell.
        failures: by model or piece, why it could not be measured.
    """

    kinds: dict[str, Rehearsed]
    rows: Rows | None
    prepare_seconds: float | None
    augment_seconds: float | None
    failures: dict[str, str]


def measure(params: Params, *, anew: bool, say: Callable[[str], None]) -> Measured:
    """What is known of each model; with `anew`, what is missing is measured first."""
    names = ("pretrained", "teacher", *params.rungs)
    keys = {name: key(params, name) for name in (*names, *PIECES)}
    kept = read_cache()
    failures: dict[str, str] = {}
    representatives = {keys[name]: name for name in reversed(names)}  # the first of each kind
    missing = [name for k, name in representatives.items() if k not in kept]
    if anew and (missing or keys["rows"] not in kept):
        rungs = [name for name in params.rungs if name in missing]
        for piece, answer in _rehearse(rungs, say):
            if "error" in answer:
                failures[piece] = answer["error"]
            else:  # kept at once: whoever interrupts has lost one piece
                kept = read_cache() | {keys[piece]: answer}
                write_cache(kept)
    return _assembled(params, {name: kept[k] for name, k in keys.items() if k in kept}, failures)


def key(params: Params, name: str) -> str:
    """Fingerprint of a model's kind of training, or of a piece that is no training."""
    kind = _data(params) if name in PIECES else _kind(params, name)
    return _digest({"setting": _setting(), "piece": name if name in PIECES else "training", **kind})


def read_cache() -> Kept:
    """What was measured before in this setting; nothing when the file is missing or damaged."""
    try:
        kept = files.read_json(CACHE)
        return dict(kept["pieces"]) if kept["setting"] == _digest(_setting()) else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def write_cache(kept: Kept) -> None:
    """What was measured with other code, libraries or threads is forgotten."""
    files.write_json(CACHE, {"setting": _digest(_setting()), "pieces": kept})


def _rehearse(rungs: list[str], say: Callable[[str], None]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a rehearsal; each piece and what it found, as it finds it, or `error`."""
    say("plan: a few real steps of each kind of training, to see what they take; kept for the next time")
    start: dict[str, Any] = {}
    with _scratch() as folder:
        files.write_json(folder / rehearsal.REQUEST, {"rungs": rungs})
        for answer in _answers(folder):
            piece = answer.pop("piece")
            if piece == "start":
                start = answer
                continue
            if "error" not in answer:
                answer["start_seconds"] = start["rows" if piece == "rows" else "training"]
            if told := _told(answer):
                say(f"plan: {piece}: {told}")
            yield piece, answer


def _told(answer: Mapping[str, Any]) -> str:
    """What is said of a piece while others are measured; nothing of those that train nothing."""
    if "error" in answer:
        return f"not measured: {answer['error']}"
    if not answer.get("durations"):
        return ""
    pace = statistics.median(wall for wall, _ in answer["durations"])
    return f"{_duration(pace)} a step, {answer['peak_mib']:.0f} MiB at its peak"


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for one rehearsal; those of processes that have died are removed."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    for left in SCRATCH.iterdir():
        if left.name.isdecimal() and not psutil.pid_exists(int(left.name)):
            shutil.rmtree(left, ignore_errors=True)
    folder = SCRATCH / str(os.getpid())
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(folder: Path) -> Iterator[dict[str, Any]]:
    """What the rehearsal tells, as it tells it; it ends with this process."""
    variables = {name: value for name, value in os.environ.items() if name not in WATCHERS}
    with (folder / rehearsal.LOG).open("a") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "flows.rehearsal", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=variables,
            text=True,
        )
    try:
        assert child.stdout is not None
        for line in child.stdout:
            yield json.loads(line)
        if child.wait() not in (0, rehearsal.GIVEN_UP):
            last = (folder / rehearsal.LOG).read_text(errors="replace").strip().splitlines() or ["no word"]
            yield {"piece": "rehearsal", "error": last[-1]}
    finally:
        child.kill()
        child.communicate()


def _assembled(params: Params, kept: Kept, failures: dict[str, str]) -> Measured:
    rows = _rows(params, kept) if {"rows", "lengths"} <= set(kept) else None
    kinds = {}
    if rows is not None:
        for name in ("pretrained", "teacher", *params.rungs):
            if name in kept:
                batch_size = cost.optimization_of(params, name).batch_size
                kinds[name] = _rehearsed(kept[name], rows.tokens.get(str(batch_size)))
    prepare = kept.get("rows", {}).get("seconds")
    augment = kept.get("augment")
    return Measured(
        kinds,
        rows,
        None if prepare is None else undisturbed(prepare) + undisturbed(kept["rows"]["start_seconds"]),
        None if augment is None or rows is None else _augment_seconds(params, augment, rows),
        failures,
    )


def _rows(params: Params, kept: Kept) -> Rows:
    counted, lengths = kept["rows"], kept["lengths"]
    train = counted["train"]
    return Rows(
        train=train,
        augmented=_augmented(params, train, kept.get("augment", {}).get("left_out", ())),
        selection=counted["selection"],
        validation=counted["validation"],
        judged=counted["judged"],
        seconds_per_row=undisturbed(lengths["seconds_per_row"]),
        rehearsed=(counted["rehearsed"][0], counted["rehearsed"][1]),
        origin=counted["origin"],
        tokens=lengths["tokens"],
    )


def _augmented(params: Params, train: int | None, left_out: Sequence[str]) -> int | None:
    """Rows that `augment` has made, originals included, or will make at most."""
    try:
        summary = files.read_json(paths.data_dir(params.task.name, "augmented") / "summary.json")
        return int(sum(summary["rows"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None if train is None else train + _new_rows(params, train, left_out)


def _new_rows(params: Params, train: int, left_out: Sequence[str]) -> int:
    """Rows asked for, of the methods that the pre-trained model can do."""
    wanted, others = params.augmentation, {"word_fraction", "max_rows", *left_out}
    asked: int = train * sum(wanted.model_dump(exclude=others).values())
    return asked if wanted.max_rows is None else min(asked, wanted.max_rows)


def _augment_seconds(params: Params, answer: Mapping[str, Any], rows: Rows) -> float | None:
    """The start, what the first run takes longer, and the new rows at what more of them cost."""
    if rows.train is None:
        return None
    seconds = [undisturbed(timed) for timed in answer["seconds"]]
    (fewer, more), (less_time, more_time) = answer["rows"][-2:], seconds[-2:]
    per_row = max(0.0, more_time - less_time) / (more - fewer) if more > fewer else 0.0
    beside_rows = max(0.0, seconds[0] - answer["rows"][0] * per_row)
    new_rows = _new_rows(params, rows.train, answer["left_out"])
    return float(undisturbed(answer["start_seconds"]) + beside_rows + per_row * new_rows)


def _rehearsed(answer: Mapping[str, Any], tokens: float | None) -> Rehearsed:
    """What the rehearsal of a training says of the whole of it."""
    threads = 0 if answer["gpu_mib"] is not None else answer["threads"]
    steps = [undisturbed(timed, threads) for timed in answer["durations"]]
    widths = answer.get("widths", [1] * len(steps))
    written = answer["state_after"] - 1  # the step during which a state was written is none of the others
    plain = [number for number in range(len(steps)) if number != written]
    own_steps, own_widths = [steps[n] for n in plain], [widths[n] for n in plain]
    own_tokens = tokens if tokens and "widths" in answer else 1
    scored, packed = (_per_row(answer, name, threads) for name in ("scoring", "packed_scoring"))
    start = undisturbed(answer["start_seconds"])
    return Rehearsed(
        seconds_per_step=cost.seconds_per_step(own_steps, own_widths, own_tokens) if own_steps else 0.0,
        seconds_per_row=scored,
        other_seconds=start + _beside_steps(answer),
        peak_mib=answer["peak_mib"],
        gpu_mib=answer["gpu_mib"],
        threads=answer["threads"],
        steps=len(own_steps),
        share=_share(answer),
        seconds_per_state=_longer(steps[written], own_steps) if written < len(steps) else 0.0,
        pack_seconds=start + _beside_rows(answer),
        packed_seconds_per_row=packed,
    )


def _longer(seconds: float, others: list[float]) -> float:
    return max(0.0, seconds - statistics.median(others)) if others else 0.0


def _per_row(answer: Mapping[str, Any], name: str, threads: int) -> float:
    return undisturbed(answer[name], threads) / answer["scored"] if name in answer else 0.0


def _beside_steps(answer: Mapping[str, Any]) -> float:
    """What the stage took but for its steps (of the first, what was usual) and the two times it scored."""
    left = []
    for part, whole in enumerate(answer["seconds"]):
        steps = [timed[part] for timed in answer["durations"]]
        first = statistics.median(steps) if steps else 0.0
        left.append(whole - sum(steps) - first - 2 * answer.get("scoring", (0.0, 0.0))[part])
    return max(0.0, undisturbed(left))


def _beside_rows(answer: Mapping[str, Any]) -> float:
    """What packing took but for the rows that both models answered."""
    if "packing" not in answer:
        return 0.0
    share = answer["packed_on"] / answer["scored"]
    parts = zip(answer["packing"], answer["scoring"], answer["packed_scoring"], strict=True)
    return max(0.0, undisturbed([whole - share * (own + packed) for whole, own, packed in parts]))


def _share(answer: Mapping[str, Any]) -> float:
    wall, cpu = (sum(timed[part] for timed in answer["durations"]) for part in (0, 1))
    return 1.0 if answer["gpu_mib"] is not None or not wall else cpu / (wall * answer["threads"])


def _kind(params: Params, name: str) -> dict[str, Any]:
    """Everything that the time of a model's training depends on, less how long and on what it is trained."""
    optimization = cost.optimization_of(params, name)
    own: dict[str, Any] = {"stage": name}
    if name in params.rungs:
        rung = params.rungs[name]
        terms = rung.distillation or params.distillation
        own = {
            "stage": "rung",
            "bits": [rung.bits, rung.embedding_bits or rung.bits, rung.activation_bits_or_32],
            "granularity": rung.granularity,
            "form": [rung.width, rung.split],
            "terms": [term for term, weight in terms.model_dump().items() if weight],
        }
    return {
        **_data(params),
        **own,
        "batch_size": optimization.batch_size,
        "dropout": optimization.dropout,
        "gradients": params.training.gradients,
        "bucket_batches": params.training.bucket_batches,
    }


def _data(params: Params) -> dict[str, Any]:
    shape = estimate.shape_of(params)
    plain = paths.data_dir(params.task.name, "plain")
    return {
        "task": params.task.model_dump(),
        "data": params.data.model_dump(),
        "model": params.model.model_dump(),
        "augmentation": params.augmentation.model_dump(),
        "batch_sizes": [params.training.teacher.batch_size, *_rung_batch_sizes(params)],
        "shape": None if shape is None else asdict(shape),
        # What had to be assumed before is measured once the rows are there.
        "at_hand": params.data.source != "hub" or (plain / files.MANIFEST).is_file(),
    }


def _rung_batch_sizes(params: Params) -> list[int]:
    return [params.training.rung.batch_size, params.training.binary_activations.batch_size]


@cache
def _setting() -> dict[str, Any]:
    """Code, libraries and machine."""
    return {
        "code": _code_digest(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "variables": {name: os.environ.get(name) for name in VARIABLES},
        "processors": [os.cpu_count(), _processor()],
        "gpu": Path("/dev/nvidiactl").exists(),
    }


def _code_digest() -> str:
    root = Path(files.__file__).parent
    sources = sorted(source for part in CODE for source in (root / part).rglob("*.py"))
    return _digest([[str(source.relative_to(root)), files.sha256(source)] for source in sources])


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


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
