"""What two clones of one project give each other, through DVC's remote and in DVC's own form.

Whoever orders a stage says what exactly it stands for: its entry in dvc.lock without the outputs (the digest
of every input, the value of every parameter). Whoever runs it fetches what the stages before it made, finds
the same entry or refuses, and gives back the outputs and the stage's entry in DVC's run cache. So a stage
that any clone has finished under the same inputs is "cached" in every other one, whoever asked for it.

`dvc push --run-cache` would send everything that was ever made here; this sends one stage's entry.
"""

import json
import logging
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.leaves import leaves

_one_at_a_time = threading.Lock()  # stages side by side are threads of one process


class RemoteError(ValueError):
    """DVC has no remote that two machines could share."""

    exit_code = 2


class OtherProjectError(ValueError):
    """This clone is not at the same code, parameters and data as the one that ordered the stage."""

    exit_code = 2


@dataclass(frozen=True)
class Order:
    """One stage to be run elsewhere.

    Attributes:
        inputs: the stage's entry in dvc.lock, without its outputs.
        needs: entries of the stages whose outputs it reads, by name.
    """

    stage: str
    inputs: dict[str, Any]
    needs: dict[str, dict[str, Any]]


def require_remote() -> None:
    """Raise RemoteError unless DVC has a default remote that checks what it downloads."""
    with _project() as repo:
        name = repo.config["core"].get("remote")
        remote = repo.config["remote"].get(name) if name else None
    if remote is None:
        found = "none" if name is None else f"{name!r}, which is not defined"
        raise RemoteError(
            f"DVC's default remote is {found}; machines share one: dvc remote add --default store URL"
        )
    if not remote.get("verify"):
        raise RemoteError(
            f"DVC's remote {name!r} does not check what it downloads (a flipped bit would be taken for the "
            f"model); wanted: dvc remote modify {name} verify true"
        )


def order(stage: str) -> Order:
    """The order for a stage whose inputs are here; what it reads is in the remote afterwards."""
    with _project() as repo:
        found = _stage(repo, stage)
        found.save_deps()
        needed = list(repo.index.graph.successors(found))
        for each in needed:
            _push(repo, each)
        needs = {each.addressing: _entry(each) for each in needed if each.cmd}
        return Order(stage, _inputs(found), needs)


def accept(ordered: Order) -> str:
    """Fetch what the stage reads; return the key under which DVC knows this very run.

    Raises:
        OtherProjectError: inputs or parameters are others here.
    """
    from dvc.stage.cache import _get_stage_hash
    from dvc.stage.loader import StageLoader

    with _project() as repo:
        for name, entry in ordered.needs.items():
            needed = _stage(repo, name)
            StageLoader.fill_from_lock(needed, entry)
            needed.dump(update_pipeline=False)
            for objects in needed.get_used_objs().values():
                repo.cloud.pull(objects)
            needed.checkout(force=True)
    with _project() as repo:
        found = _stage(repo, ordered.stage)
        for dep in found.deps:  # of DVC's files without a command (`dvc add`)
            if not hasattr(dep, "params") and not dep.exists:
                repo.pull(dep.def_path)
        found.save_deps()
        if other := differences(ordered.inputs, _inputs(found)):
            raise OtherProjectError(
                f"{ordered.stage}: this clone differs from the one that ordered it; both need one commit\n"
                + "\n".join(f"  {line}" for line in other)
            )
        return str(_get_stage_hash(found))


def give_back(stage: str, key: str) -> None:
    """Put the outputs of a stage that has run into the remote, then its entry in DVC's run cache."""
    with _project() as repo:
        found = _stage(repo, stage)
        repo.stage_cache.save(found)  # `dvc repro` leaves out a stage of which Git keeps an output
        # Of a stage made from the entry, all outputs are DVC's.
        _push(repo, repo.stage_cache._create_stage(_entry(found), wdir=found.wdir))
        local, remote, filesystem = _run_cache(repo, key)
        for path in local.iterdir():
            filesystem.put_file(str(path), filesystem.join(remote, path.name))


def restore(stage: str) -> bool:
    """Whether some clone has finished this stage under the same inputs; its outputs are here then."""
    from dvc.stage.cache import RunCacheNotFoundError, _get_stage_hash

    with _project() as repo:
        found = _stage(repo, stage)
        found.save_deps()
        key = str(_get_stage_hash(found))
    with _project() as repo:  # anew: the stage is compared with its entry in dvc.lock, if it has one
        local, remote, filesystem = _run_cache(repo, key)
        if filesystem.exists(remote):
            shutil.rmtree(local, ignore_errors=True)  # a forced run has another result under the same key
            local.mkdir(parents=True)
            for path in filesystem.find(remote):
                filesystem.get_file(path, str(local / filesystem.name(path)))
        try:
            repo.stage_cache.restore(_stage(repo, stage), pull=True)
        except RunCacheNotFoundError:
            return False
        return True


@contextmanager
def folder(*names: str) -> Iterator[tuple[Any, str]]:
    """A place of ours in the remote, beside DVC's: its file system and the path."""
    with _opened() as repo:
        odb = _remote(repo)
        yield odb.fs, odb.fs.join(odb.path, "bitladder", *names)


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """A line for each input or parameter that is not the same in two entries of dvc.lock."""
    then, now = _flat(there), _flat(here)
    return [
        f"{name}: {then.get(name, 'nothing')} there, {now.get(name, 'nothing')} here"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def _flat(entry: Mapping[str, Any]) -> dict[str, str]:
    """Values as JSON; the order of keys, which a database may change, is no part of it."""
    inputs = {dep["path"]: str(dep.get("md5")) for dep in entry.get("deps", ())}
    params = entry.get("params", {}).values()
    values = {name: json.dumps(value, ensure_ascii=False) for of in params for name, value in leaves(of)}
    return {**inputs, **values, "cmd": str(entry.get("cmd"))}


@contextmanager
def _project() -> Iterator[Any]:
    """DVC's repository here, locked as by one of its commands."""
    from dvc.repo import lock_repo

    with _one_at_a_time, _opened() as repo, lock_repo(repo):
        yield repo


def _opened() -> Any:
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.WARNING)
    return Repo(".", _wait_for_lock=True)


def _stage(repo: Any, name: str) -> Any:
    return next(stage for stage in repo.index.stages if stage.addressing == name)


def _entry(stage: Any) -> dict[str, Any]:
    from dvc.stage.serialize import to_single_stage_lockfile

    entry: dict[str, Any] = _plain(to_single_stage_lockfile(stage))
    return entry


def _inputs(stage: Any) -> dict[str, Any]:
    return {name: value for name, value in _entry(stage).items() if name != "outs"}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _push(repo: Any, stage: Any) -> None:
    for objects in stage.get_used_objs().values():
        repo.cloud.push(objects)


def _remote(repo: Any) -> Any:
    return repo.cloud.get_remote_odb(None, "push", hash_name="md5-dos2unix")  # whose path is the remote's own


def _run_cache(repo: Any, key: str) -> tuple[Path, str, Any]:
    """Where an entry is here and in the remote, and the remote's file system."""
    odb = _remote(repo)
    return Path(repo.stage_cache._get_cache_dir(key)), odb.fs.join(odb.path, "runs", key[:2], key), odb.fs
