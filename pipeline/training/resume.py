"""Training states on disk: killed at any moment, the same command goes on from the newest whole one.

    .bitladder/work/<model>/<fingerprint>/step-000000200/   state.safetensors  state.json  manifest.json

A state appears by one rename when it is whole; the newest two are kept. A state that is damaged nevertheless
(power loss, a failing disk) is set aside under another name, and the one before is used. What is found under
another fingerprint, made with other parameters, data or code, is never gone on with: it is refused with the
facts that differ, or set aside when BITLADDER_FRESH=1 asks to start anew. Nothing is deleted but states of a
published model and those older than the newest two.
"""

import logging
import os
import shutil
from itertools import chain, count
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from bitladder import files
from pipeline import paths
from pipeline.paths import state_name, state_steps
from pipeline.training.fingerprint import Facts, differences
from pipeline.training.parallel import World
from pipeline.training.state import State

FRESH = "BITLADDER_FRESH"  # environment variable: 1 sets the model's states under other facts aside
TENSORS, VALUES = "state.safetensors", "state.json"
KEPT = 2

_log = logging.getLogger(__name__)


class OtherTrainingError(ValueError):
    """There is a state of this model, but of a training with other facts."""

    exit_code = 2


class UnwrittenError(RuntimeError):
    """A state could not be written; the one before it is untouched."""


class States:
    """The states of one training.

    Args:
        every: steps between two of them.

    Attributes:
        written: the step of the newest whole state, where it is known. The same in every process.
    """

    def __init__(self, name: str, facts: Facts, *, every: int, world: World) -> None:
        self.name, self.facts, self.every, self.world = name, facts, every, world
        self.fingerprint = files.digest(facts)
        self.folder = paths.states_dir(name) / self.fingerprint[: paths.DIGITS]
        self.written: int | None = None

    def newest(self) -> State | None:
        """The newest whole state; damaged ones are set aside with a warning. The same in every process."""
        found = self._check_newest() if self.world.leads else 0
        step = int(self.world.gather(torch.tensor([found]))[0])
        if step == 0:
            return None
        self.written = step
        folder = self._folder(step)
        return State(load_file(folder / TENSORS), files.read_json(folder / VALUES)["values"])

    def save(self, state: State) -> None:
        """Publish a state, then delete what is older than the newest two.

        Raises:
            UnwrittenError: the disk is full or fails; the message says what is needed and what is free.
        """
        step = int(state.values["step"])
        if self.world.leads:
            values = {"facts": self.facts, "values": state.values}
            try:
                with files.publish(self._folder(step)) as folder:
                    save_file(state.tensors, folder / TENSORS)
                    files.write_json(folder / VALUES, values)
            except (OSError, SafetensorError) as error:
                raise UnwrittenError(self._unwritten(state, error)) from error
            for old in state_steps(self.folder)[:-KEPT]:
                gone = self.folder / f".{state_name(old)}.old"  # a kill in the middle leaves no half state
                self._folder(old).rename(gone)
                shutil.rmtree(gone)
        self.written = step

    def clear(self) -> None:
        """Delete the states: their model has been published."""
        if not self.world.leads or not self.folder.exists():
            return
        done = self.folder.with_name(f".{self.folder.name}.done")
        self.folder.rename(done)
        shutil.rmtree(done)
        if not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()

    def _folder(self, step: int) -> Path:
        return self.folder / state_name(step)

    def _check_newest(self) -> int:
        """The step of the newest whole state, 0 if there is none."""
        steps = state_steps(self.folder)
        for step in reversed(steps):
            try:
                files.verify(self._folder(step))
            except files.IntegrityError as error:
                name = f"{self.folder.name}-{state_name(step)}.damaged"
                aside = _set_aside(self._folder(step), self.folder.with_name(name))
                _log.warning(
                    "%s: the state of step %d is damaged and kept as %s (%s)", self.name, step, aside, error
                )
                continue
            _log.info("%s: goes on from step %d", self.name, step)
            return step
        if steps:
            _log.warning("%s: no whole state is left; starts anew", self.name)
        return 0

    def _unwritten(self, state: State, error: Exception) -> str:
        needed = sum(tensor.nbytes for tensor in state.tensors.values())
        free = shutil.disk_usage(next(path for path in self.folder.absolute().parents if path.exists())).free
        before = f"the state of step {self.written}" if self.written else "no older state"
        return (
            f"{self.name}: the state of step {state.values['step']} could not be written to {self.folder}: "
            f"{error}; {needed} bytes are needed, {free} are free; {before} is there to go on from"
        )


def open_states(name: str, facts: Facts, *, every: int, world: World) -> States:
    """The place for a training's states, looked at before any work is done.

    Raises:
        OtherTrainingError: there are states of this model under other facts and none under these; the message
            lists each fact that differs. Not when BITLADDER_FRESH=1.
    """
    states = States(name, facts, every=every, world=world)
    found = paths.trainings(name)
    others = [folder for folder in found if folder != states.folder]
    if os.environ.get(FRESH) == "1":
        for folder in others if world.leads else ():
            aside = _set_aside(folder, folder.with_name(f"{folder.name}.aside"))
            _log.warning("%s: an earlier training's states, under other facts, are kept as %s", name, aside)
    elif found and states.folder not in found:
        raise OtherTrainingError(_refusal(states, others))
    if world.leads:  # what a killed process was in the middle of writing or deleting
        own, parent = states.folder, states.folder.parent
        for path in (*own.glob(".*.tmp"), *own.glob(".*.old"), *parent.glob(".*.done")):
            shutil.rmtree(path, ignore_errors=True)
    return states


def _set_aside(folder: Path, wanted: Path) -> Path:
    """Rename, to the first free name; never over something that is there."""
    numbered = (wanted.with_name(f"{wanted.name}-{number}") for number in count(2))
    free = next(path for path in chain([wanted], numbered) if not path.exists())
    folder.rename(free)
    return free


def _refusal(states: States, others: list[Path]) -> str:
    other = max(others, key=lambda folder: state_steps(folder)[-1])
    step = state_steps(other)[-1]
    try:
        facts: Facts = files.read_json(other / state_name(step) / VALUES)["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        facts = {}
    lines = differences(facts, states.facts)
    number = len(lines)
    found = "1 fact differs" if number == 1 else f"{number} facts differ"
    return "\n".join(
        (
            f"{states.name}: a training stopped at step {step} cannot go on as things are now; {found}:",
            *(f"  {line}" for line in lines),
            f"Put back what changed and run the same command again, or set {FRESH}=1 to start anew;",
            f"{other} is then set aside, not deleted.",
        )
    )
