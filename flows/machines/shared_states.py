"""The states of a training that runs on one of several machines, so that another one can go on with it.

    <DVC's remote>/bitladder/states/<key of the run>/<fingerprint>/step-000000200/

The training writes its states as it always does (pipeline/training/resume.py) and knows nothing of this: the
newest whole one is copied to DVC's remote, its manifest last, then those before it are deleted there. Before
a training starts, what lies there is brought here, and checked against its manifest. Which state fits is the
training's own question; under another fingerprint (another kind of processor) it is not gone on with.
"""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bitladder import files
from flows.machines import exchange
from pipeline import paths

EVERY_S = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SharedStates:
    """The states of `model` in the run that DVC knows as `key`."""

    model: str
    key: str
    _sent: dict[str, int] = field(default_factory=dict)  # the newest step, by fingerprint

    def fetch(self) -> int:
        """Bring the newest whole state of each fingerprint here; the highest step brought, 0 for none."""
        newest = 0
        for fingerprint, steps in self._kept().items():
            for step in sorted(steps, reverse=True):
                if self._bring(fingerprint, step):
                    newest = max(newest, step)
                    break
        return newest

    @contextmanager
    def sent_meanwhile(self) -> Iterator[None]:
        """Send every state that appears while the block runs, and the last one when it ends."""
        ended = threading.Event()
        sender = threading.Thread(target=self._send_until, args=(ended,), daemon=True)
        sender.start()
        try:
            yield
        finally:
            ended.set()
            sender.join()

    def clear(self) -> None:
        """Delete them in the remote: the model is published."""
        with exchange.folder("states", self.key) as (remote, place):
            if remote.exists(place):
                remote.rm(place, recursive=True)

    def send_newest(self) -> None:
        """Send the newest state of each fingerprint unless it is there; the training may delete it."""
        here = {training: paths.state_steps(training) for training in paths.trainings(self.model)}
        new = {at: steps[-1] for at, steps in here.items() if steps and steps[-1] != self._sent.get(at.name)}
        kept = self._kept() if new else {}
        for training, step in new.items():
            there = kept.get(training.name, set())
            with suppress(FileNotFoundError):
                if step not in there:
                    self._send(training / paths.state_name(step))
                self._forget(training.name, {old for old in there if old < step})
                self._sent[training.name] = step

    def _send_until(self, ended: threading.Event) -> None:
        last = False
        while not last:
            last = ended.wait(EVERY_S)
            try:
                self.send_newest()
            except Exception as error:  # whatever the store's library raises: the training goes on
                _log.warning("%s: its state did not reach the shared store (%s)", self.model, error)

    def _send(self, state: Path) -> None:
        with exchange.folder("states", self.key, state.parent.name, state.name) as (remote, place):
            remote.makedirs(place, exist_ok=True)
            for path in sorted(state.iterdir(), key=lambda path: path.name == files.MANIFEST):
                remote.put_file(str(path), remote.join(place, path.name))

    def _forget(self, fingerprint: str, steps: set[int]) -> None:
        with exchange.folder("states", self.key, fingerprint) as (remote, place):
            for step in steps:
                remote.rm(remote.join(place, paths.state_name(step)), recursive=True)

    def _kept(self) -> dict[str, set[int]]:
        """The steps of the states in the remote whose manifest is there, by fingerprint."""
        found: dict[str, set[int]] = {}
        with exchange.folder("states", self.key) as (remote, place):
            for path in remote.find(place) if remote.exists(place) else ():
                *_, fingerprint, state, name = remote.parts(path)
                if name == files.MANIFEST:
                    found.setdefault(fingerprint, set()).add(int(state.removeprefix("step-")))
        return found

    def _bring(self, fingerprint: str, step: int) -> bool:
        """Whether the state is here, whole: fetched, or from before."""
        state = paths.states_dir(self.model) / fingerprint / paths.state_name(step)
        if state.exists():
            return True
        temporary = state.with_name(f".{state.name}.fetched.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            with exchange.folder("states", self.key, fingerprint, state.name) as (remote, place):
                for path in remote.find(place):
                    remote.get_file(path, str(temporary / remote.name(path)))
            files.verify(temporary)
            temporary.rename(state)
        except (OSError, files.IntegrityError) as error:
            _log.warning("%s: a shared state of step %d is not whole (%s)", self.model, step, error)
            return False
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return True
