"""DVC's own graph of stages, which is the ladder: which stage needs which, asked of DVC, never repeated."""

import difflib
from dataclasses import dataclass

Graph = dict[str, list[str]]  # stage -> the stages it needs; both in the order of dvc.yaml


@dataclass(frozen=True)
class Definition:
    """A stage as dvc.yaml has it, its variables filled in.

    Attributes:
        needs: the stages that write what it reads.
        inputs: files and folders that it reads, code included.
        params: dotted names in params.yaml.
        outputs: files and folders that it writes.
    """

    needs: tuple[str, ...]
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    outputs: tuple[str, ...]


class UnknownStageError(ValueError):
    """No stage of dvc.yaml has this name."""

    exit_code = 2


def stages(target: str | None = None) -> Graph:
    """The stages to bring up to date: all of them, or `target` and whatever it needs.

    `target` is a stage (`weights@w2`, `evaluate`) or a group of them (`weights`). Files that are only
    tracked, without a command, are not stages.

    Raises:
        UnknownStageError: with the nearest names.
        dvc.exceptions.DvcException: dvc.yaml does not make a graph.
    """
    whole = _whole_graph()
    if target is None:
        return whole
    wanted = _needed_by([name for name in whole if target in (name, name.partition("@")[0])], whole)
    if not wanted:
        known = {*whole, *(name.partition("@")[0] for name in whole)}
        near = ", ".join(difflib.get_close_matches(target, sorted(known), n=3)) or "none"
        raise UnknownStageError(f"no stage {target!r} in dvc.yaml; near: {near}")
    return {name: needs for name, needs in whole.items() if name in wanted}


def definitions() -> dict[str, Definition]:
    """Every stage with what it reads and writes, inputs first."""
    from graphlib import TopologicalSorter

    from dvc.repo import Repo

    needs = _whole_graph()
    with Repo(".") as repo:
        found = {stage.addressing: stage for stage in repo.index.stages if stage.cmd}
        return {
            name: Definition(
                needs=tuple(needs[name]),
                inputs=tuple(dep.def_path for dep in found[name].deps if not hasattr(dep, "params")),
                params=tuple(key for dep in found[name].deps for key in getattr(dep, "params", ())),
                outputs=tuple(out.def_path for out in found[name].outs),
            )
            for name in TopologicalSorter(needs).static_order()
        }


def changed() -> set[str]:
    """Stages that DVC finds out of date now, in their own inputs or outputs (`dvc status`)."""
    from dvc.repo import Repo

    with Repo(".") as repo:
        return set(repo.status())


def _whole_graph() -> Graph:
    from dvc.repo import Repo

    with Repo(".") as repo:
        graph = repo.index.graph
        order = [stage for stage in repo.index.stages if stage.cmd]
        return {
            stage.addressing: [at.addressing for at in order if graph.has_edge(stage, at)] for stage in order
        }


def _needed_by(names: list[str], graph: Graph) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found
