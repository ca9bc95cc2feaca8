"""Trained rungs, each kept once, whichever ladder wanted it first.

    .bitladder/search/rungs/<key>/         a project of one rung: params.yaml, its model, its training states
    .bitladder/search/rungs/<key>.lock     held by the process that trains it

The key is the digest of all that dvc.yaml says the rung is made from, with its parent's key in place of the
parent: known before anything is trained. The stage that `dvc repro` runs trains the rung, in that folder; so
a killed training goes on there, and whoever wants the same rung meanwhile waits for it.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from bitladder import files
from flows import processes, repeat
from flows.graph import Definition
from pipeline import paths
from pipeline.problems.reading import read_mapping
from pipeline.rungs import TEACHER
from pipeline.training import live

HOME = paths.WORK / "search"
RUNGS = HOME / "rungs"
LOG, SPENT, SPOOL = "training.log", "spent.json", "spool"
STAGES = ("weights", "weights_activations")
POLL_S = 0.3
NOTE_S = 10.0
_VARIABLE = re.compile(r"\$\{([^}]+)\}")

Watch = Callable[[int, float | None], None]  # a step, and the score on the selection split if it was measured


@dataclass(frozen=True)
class Kept:
    """A rung's place.

    Attributes:
        key: hex digest.
        parent: None for the teacher.
        values: of its params.yaml.
    """

    name: str
    stage: str
    key: str
    parent: "Kept | None"
    values: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        return RUNGS / self.key[: paths.DIGITS]

    @property
    def model(self) -> Path:
        return self.folder / paths.model_dir(self.name)


def chain(values: Mapping[str, Any]) -> list[Kept]:
    """The rungs of a ladder that is one way from the teacher, each after its parent."""
    found: list[Kept] = []
    for stage in STAGES:
        for name, rung in values[stage].items():
            parent = next((kept for kept in found if kept.name == rung["init_from"]), None)
            key = _key(definition(stage, name, values), values, parent)
            up_to_here = {each: dict[str, Any]() for each in STAGES}
            for kept in found:
                up_to_here[kept.stage][kept.name] = values[kept.stage][kept.name]
            up_to_here[stage][name] = rung
            own = {**values, **up_to_here, "deliver": [name]}
            found.append(Kept(name, stage, key, parent, own))
    return found


def definition(stage: str, name: str, values: Mapping[str, Any]) -> Definition:
    """What dvc.yaml says a rung of these values is made from, whether or not the project has such a rung."""
    known = {**values, "key": name, "item": values[stage][name]}

    def filled(text: str) -> str:
        return _VARIABLE.sub(lambda found: str(repeat.value_of(known, found[1])), text)

    template = read_mapping(Path("dvc.yaml"))["stages"][stage]["do"]
    return Definition(*(tuple(map(filled, template[part])) for part in ("deps", "params", "outs")))


def _key(made_from: Definition, values: Mapping[str, Any], parent: Kept | None) -> str:
    inputs = {path: repeat.content_of(Path(path)) for path in made_from.inputs if not _is(path, parent)}
    return files.digest(
        {
            "params": {name: repeat.value_of(values, name) for name in made_from.params},
            "inputs": inputs,
            "parent": parent and parent.key,
            "outputs": made_from.outputs,
        }
    )


def _is(path: str, parent: Kept | None) -> bool:
    return parent is not None and Path(path).is_relative_to(paths.model_dir(parent.name))


def is_whole(kept: Kept) -> bool:
    """Whether it is trained, and its files are what was written."""
    with suppress(files.IntegrityError):
        files.verify(kept.model)
        return True
    return False


@contextmanager
def locked(kept: Kept, idle: Callable[[], None]) -> Iterator[None]:
    """Wait until no other process is at this rung, and keep others from it. `idle` may end the waiting."""
    kept.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(kept.folder.with_suffix(".lock"))
    while not lock.is_locked:
        idle()
        with suppress(Timeout):
            lock.acquire(timeout=POLL_S)
    try:
        yield
    finally:
        lock.release()


def train(kept: Kept, watch: Watch) -> None:
    """Train a rung to its end, from where an earlier process was stopped. Its parent is whole; it is locked.

    Whatever `watch` raises stops it, with a state to go on from.

    Raises:
        EndedError: the stage failed; the message has its last line and the log's place.
    """
    _settle(kept)
    while (code := _attend(kept, watch)) == processes.BusyError.exit_code:
        time.sleep(1)  # the stage of a killed search saves its state and ends
    if code != 0:
        log = kept.folder / LOG
        last = next(iter(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]), "")
        raise processes.EndedError(f"{kept.name} ended with exit code {code}: {last} ({log})", abs(code))


def spent(kept: Kept) -> float:
    """Processor seconds that its training took, over all its processes."""
    with suppress(OSError):
        return float(files.read_json(kept.folder / SPENT)["processor_seconds"])
    return 0.0


def scores(kept: Kept) -> dict[int, float]:
    """On the selection split, by step; of a whole rung."""
    found = {}
    for line in (kept.model / paths.CURVE).read_text(encoding="utf-8").splitlines()[1:]:
        step, _, score = line.split(",")
        if score:
            found[int(step)] = float(score)
    return found


def _settle(kept: Kept) -> None:
    """Make its folder a project: parent, teacher, general rungs and data by links."""
    files.write_text(kept.folder / paths.PARAMS, repeat.as_text(kept.values))
    roots = {paths.model_dir(name) for name in (TEACHER, *kept.values["general"])}
    links = {place: place for place in (paths.DATA, *roots)}
    if kept.parent is not None:
        links[paths.model_dir(kept.parent.name)] = kept.parent.model
    for place, target in links.items():
        repeat.link(kept.folder / place, target)


def _attend(kept: Kept, watch: Watch) -> int:
    """Run the stage, look at it now and then; its exit code. Whatever ends this function ends the stage."""
    # A state of another number of threads or another processor is set aside: the key holds all else.
    environment = {**repeat.variables(), live.SPOOL: SPOOL, "BITLADDER_FRESH": "1"}
    command = [sys.executable, "-m", "flows.stage", kept.stage, kept.name]
    meter, known = _Meter(kept), set[tuple[int, float | None]]()
    with (kept.folder / LOG).open("ab") as log:
        child = subprocess.Popen(
            command,
            cwd=kept.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            while child.poll() is None:
                time.sleep(POLL_S)
                meter.look(child.pid)
                for point in points(kept):
                    if point not in known:
                        known.add(point)
                        watch(*point)
                watch(0, None)
            return child.returncode
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
            meter.note()


def points(kept: Kept) -> list[tuple[int, float | None]]:
    """Steps of the training's curve as far as it has come, with the score where it was measured."""
    found: dict[int, float | None] = {}
    for path in (kept.folder / SPOOL).glob("[!.]*.json"):
        with suppress(OSError, ValueError, LookupError):
            for metric, step, value in files.read_json(path)["points"]:
                found[step] = value if metric == "training/score" else found.get(step)
    return sorted(found.items(), key=lambda point: point[0])


class _Meter:
    """Processor time of a stage and its children, on top of what earlier ones of the rung took."""

    def __init__(self, kept: Kept) -> None:
        self.path, self.before, self.now = kept.folder / SPENT, spent(kept), 0.0
        self.noted = time.monotonic()

    def look(self, pid: int) -> None:
        with suppress(psutil.Error):
            processes_now = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            self.now = max(self.now, sum(sum(one.cpu_times()[:4]) for one in processes_now))
        if time.monotonic() - self.noted > NOTE_S:
            self.note()

    def note(self) -> None:
        """A process that is killed loses the seconds since."""
        self.noted = time.monotonic()
        files.write_json(self.path, {"processor_seconds": round(self.before + self.now, 2)})
