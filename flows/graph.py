"""DVC's own graph of stages, which is the ladder: what needs what, and what would run, asked of DVC."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Literal

from flows.estimate import Timing

Graph = dict[str, list[str]]  # stage -> the stages it needs; both in the order of dvc.yaml


@dataclass(frozen=True)
class Definition:
    """A stage as dvc.yaml has it, its variables filled in.

    Attributes:
        inputs: files and folders that it reads, code included.
        params: dotted names in params.yaml.
        outputs: files and folders that it writes.
    """

    inputs: tuple[str, ...]
    params: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class StageState:
    """Whether a stage would run. DVC tells what has changed now; a stage below a changed one runs only if its
    inputs come out different: it "may run".

    Attributes:
        seconds: what it took the last time it ran here; None if it never did.
    """

    stage: str
    state: Literal["runs", "may run", "skipped"]
    why: str
    seconds: float | None


class UnknownStageError(ValueError):
    """No stage of dvc.yaml has this name."""

    exit_code = 2


class NoAnswerError(RuntimeError):
    """DVC could not tell; the message is its own."""


class TornFileError(RuntimeError):
    """One of DVC's own files is damaged; the message says how it is put right."""

    exit_code = 4


# What DVC says of a file that it cannot read, and what is to be done about it. Nothing of it is done here.
_REMEDIES = {
    "dvc.lock": "git checkout -- dvc.lock brings back the last one; what ran since is found in DVC's cache",
    ".dvc/tmp/rwlock": "when no dvc runs here, nor bitladder run: rm .dvc/tmp/rwlock",
}


def stages(target: str | None = None) -> Graph:
    """The stages to bring up to date: all of them, or `target` and whatever it needs.

    `target` is a stage (`weights@w2`, `evaluate`) or a group of them (`weights`). Files that are only
    tracked, without a command, are not stages.

    Raises:
        UnknownStageError: with the nearest names.
        dvc.exceptions.DvcException: dvc.yaml does not make a graph.
    """
    with _opened() as repo:
        whole = _needs(repo)
    if target is None:
        return whole
    waiting = [name for name in whole if target in (name, name.partition("@")[0])]
    if not waiting:
        known = {*whole, *(name.partition("@")[0] for name in whole)}
        near = ", ".join(difflib.get_close_matches(target, sorted(known), n=3)) or "none"
        raise UnknownStageError(f"no stage {target!r} in dvc.yaml; near: {near}")
    wanted: set[str] = set()
    while waiting:
        wanted.add(name := waiting.pop())
        waiting += [needed for needed in whole[name] if needed not in wanted]
    return {name: needs for name, needs in whole.items() if name in wanted}


def definitions() -> dict[str, Definition]:
    """Every stage with what it reads and writes, inputs first."""
    with _opened() as repo:
        found = {stage.addressing: stage for stage in repo.index.stages if stage.cmd}
        return {
            name: Definition(
                inputs=tuple(dep.def_path for dep in found[name].deps if not hasattr(dep, "params")),
                params=tuple(key for dep in found[name].deps for key in getattr(dep, "params", ())),
                outputs=tuple(out.def_path for out in found[name].outs),
            )
            for name in TopologicalSorter(_needs(repo)).static_order()
        }


def changed() -> set[str]:
    """Stages that DVC finds out of date now, in their own inputs or outputs (`dvc status`)."""
    with _opened() as repo:
        return set(repo.status())


def states(outdated: Mapping[str, str] | None = None) -> list[StageState]:
    """Whether each stage would run, and why; inputs first.

    `outdated`: stages that DVC cannot know to be out of date, each with the reason.

    Raises:
        NoAnswerError: there is no DVC repository here, or DVC is busy or broken.
    """
    from dvc.exceptions import DvcException

    try:
        with _opened() as repo:
            needs, changes = _needs(repo), repo.status()
    except (DvcException, TornFileError) as error:
        raise NoAnswerError(str(error)) from None
    reasons = {**(outdated or {}), **{name: why(change) for name, change in changes.items()}}
    found: dict[str, StageState] = {}
    for name in TopologicalSorter(needs).static_order():
        causes = [needed for needed in needs[name] if found[needed].state != "skipped"]
        state: tuple[Literal["runs", "may run", "skipped"], str] = ("skipped", "nothing changed")
        if name in reasons:
            state = "runs", reasons[name]
        elif causes:
            state = "may run", f"after {', '.join(causes)}"
        last = Timing.read(name)
        found[name] = StageState(name, *state, last.seconds if last else None)
    return list(found.values())


def why(changes: list[Any]) -> str:
    """DVC's list of changes as a sentence: inputs and parameters first, lost outputs after."""
    reasons = []
    for change in changes:
        if change == "always changed":
            reasons.append("runs every time")
        elif isinstance(change, str):
            reasons.append(change)
        elif change.get("changed deps", {}).get("params.yaml") == "new":
            return "not run yet"
        else:  # a file changed as a whole, or the parameters in it that changed
            for path, how in (each for what in change.values() for each in what.items()):
                whole = isinstance(how, str)
                reasons += [f"{path} {how}"] if whole else [f"{name} {kind}" for name, kind in how.items()]
    return "; ".join(reasons)


@contextmanager
def _opened() -> Iterator[Any]:
    """DVC's repository here. Raises TornFileError where one of its files was not written to its end."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".") as repo:
            yield repo
    except DvcException as error:
        for name, remedy in _REMEDIES.items():
            if f"'{name}'" in str(error) and "corrupted" in str(error):
                raise TornFileError(f"{error}\n{remedy}") from error
        raise


def _needs(repo: Any) -> Graph:
    graph = repo.index.graph
    order = [stage for stage in repo.index.stages if stage.cmd]
    return {stage.addressing: [at.addressing for at in order if graph.has_edge(stage, at)] for stage in order}
