"""`bitladder verify` in a project: every byte that DVC keeps hashed anew, and what to do about damage.

DVC trusts the mode of a cache file and the size and time of an output, so a flipped bit goes unnoticed by
`dvc status`, `dvc checkout` and `dvc push`. Here nothing is trusted. Published folders are compared with
their manifests; with `deep` every output with dvc.lock too; then, where asked for, each object that dvc.lock
names in DVC's cache and in its remote.

Nothing is changed. What would put it right is a command to copy, made for what is still whole.
"""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import md5
from pathlib import Path
from typing import Any

from bitladder import verify
from bitladder.shown import printable
from pipeline import paths

PUBLISHED = (paths.DATA, paths.MODELS, paths.PACKED)


class NoProjectError(ValueError):
    """DVC does not know this folder, or has no remote to look into."""

    exit_code = 2


@dataclass(frozen=True)
class Damage:
    """What is not as it was written: where, what is wrong with it, and the command that puts it right."""

    place: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Checked:
    """How much was hashed in one place, and what is wrong there."""

    where: str
    num_hashed: int
    damage: list[Damage]


def main(*, deep: bool, cache: bool, remote: bool, as_json: bool) -> int:
    """Hash what was asked for and say what differs; 0 when nothing does, else 1."""
    with _outputs(remote) as outputs:
        checked = [_folders(outputs)]
        if deep:
            checked.append(_working_copies(outputs))
        if cache:
            checked.append(_objects("DVC's cache", outputs, [each.cache for each in outputs]))
        if remote:
            checked.append(
                _objects("DVC's remote", outputs, [each.remote for each in outputs if each.remote])
            )
    damage = [each for one in checked for each in one.damage]
    if as_json:
        found = {
            one.where: {"hashed": one.num_hashed, "damage": [*map(asdict, one.damage)]} for one in checked
        }
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        sys.stdout.writelines(
            f"{one.where}: {one.num_hashed} hashed, {len(one.damage)} damaged\n" for one in checked
        )
        sys.stdout.writelines(
            f"{printable(one.place)}: {printable(one.what)}\n  {one.remedy}\n" for one in damage
        )
    return 1 if damage else 0


def _folders(outputs: list["_Output"]) -> Checked:
    """Published folders against their manifests."""
    ours = [each for each in outputs if each.path.is_dir() and each.is_published]
    damage = [
        Damage(f"{each.path}/{name}", what, each.remedy_here())
        for each in ours
        for name, what in verify.differences(each.path).items()
    ]
    return Checked("folders, by their manifests", len(ours), damage)


def _working_copies(outputs: list["_Output"]) -> Checked:
    """Every output that is here against dvc.lock; a manifest that was rewritten with its folder is found."""
    here = [each for each in outputs if each.path.exists()]
    damage = [
        Damage(str(each.path), "not what dvc.lock has", each.remedy_here())
        for each in here
        if not each.is_whole
    ]
    return Checked("outputs, by dvc.lock", len(here), damage)


def _objects(where: str, outputs: list["_Output"], stores: list["_Copy"]) -> Checked:
    damage = [
        Damage(f"{where}, of {output.path}", "; ".join(copy.problems.values()), output.remedy_of(copy))
        for output, copy in zip(outputs, stores, strict=True)
        if copy.problems
    ]
    return Checked(where, len({oid for copy in stores for oid in copy.hashes}), damage)


@dataclass(frozen=True)
class _Copy:
    """One output as the cache or the remote has it: objects whose names are their digests."""

    odb: Any
    digest: str
    known: dict[str, str | None]  # of all outputs: what is wrong with each object, None where nothing is

    @cached_property
    def listing(self) -> list[dict[str, str]] | None:
        """The files of a folder with their digests; None where that object is not whole, or for a file."""
        if not self.digest.endswith(".dir") or self._problem(self.digest):
            return None
        with self.odb.fs.open(self.odb.oid_to_path(self.digest), "rb") as file:
            return list(json.loads(file.read()))

    @property
    def hashes(self) -> list[str]:
        return [self.digest, *sorted({one["md5"] for one in self.listing or ()})]

    @cached_property
    def problems(self) -> dict[str, str]:
        return {oid: what for oid in self.hashes if (what := self._problem(oid))}

    def paths(self, oids: Any) -> str:
        return shlex.join(str(self.odb.oid_to_path(oid)) for oid in oids)

    def _problem(self, oid: str) -> str | None:
        if oid not in self.known:
            self.known[oid] = self._hashed(oid)
        return self.known[oid]

    def _hashed(self, oid: str) -> str | None:
        path = self.odb.oid_to_path(oid)
        try:
            found = _md5(self.odb.fs, path)
        except FileNotFoundError:
            return f"{path} is missing"
        return None if found == oid.removesuffix(".dir") else f"{path} has the md5 {found}"


@dataclass(frozen=True)
class _Output:
    """What a stage writes, or `dvc add` took, with its copies."""

    path: Path
    stage: str
    is_made: bool  # by a stage; else a person put it there
    digest: str
    cache: _Copy
    remote: _Copy | None
    has_remote: bool

    @property
    def is_published(self) -> bool:
        return any(root in self.path.parents for root in PUBLISHED) and self.is_made

    @cached_property
    def is_whole(self) -> bool:
        """Whether the working copy is what dvc.lock has, byte for byte."""
        if not self.path.exists():
            return False
        return _digest(self.path) == self.digest

    def remedy_here(self) -> str:
        """For a damaged working copy: it is moved, for DVC may take it for up to date and leave it."""
        away = f"mv {shlex.quote(str(self.path))} {shlex.quote(f'{self.path}.damaged')}"
        return f"{away} && {self._fetched() or f'dvc checkout {self.stage}'}"

    def remedy_of(self, copy: _Copy) -> str:
        """For damaged objects of one of its copies."""
        if copy is self.cache:
            return self._fetched() or f"dvc commit {self.stage}"
        # As long as the listing is there, DVC takes the files for pushed and sends nothing.
        bad = copy.paths(dict.fromkeys([*copy.problems, self.digest]))
        first = f"{self._fetched()} && " if self.cache.problems else ""
        local = copy.odb.fs.protocol == "local"
        delete = f"rm -f {bad} && " if local else f"delete {bad} there, then: "
        return f"{first}{delete}dvc push {self.stage}"

    def _fetched(self) -> str | None:
        """What brings a whole copy into the cache, and here too; None where the cache is whole."""
        if not self.cache.problems:
            return None
        delete = f"rm -f {self.cache.paths(self.cache.problems)}"
        if self.is_whole:
            return f"{delete} && dvc commit {self.stage}"
        if self.remote is not None and not self.remote.problems:
            return f"{delete} && dvc pull {self.stage}"
        if self.remote is None and self.has_remote:
            return f"{delete} && dvc pull {self.stage}  # whole there? bitladder verify --remote"
        if self.is_made:
            return f"{delete} && dvc repro --force --single-item {self.stage}  # no whole copy: made anew"
        return f"{delete}  # no whole copy: put {self.path} back from where it came, then dvc add it"


@contextmanager
def _outputs(remote: bool) -> Iterator[list[_Output]]:
    """What DVC keeps, by dvc.lock and its .dvc files."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        opened = Repo(".")
    except NotDvcRepoError:
        raise NoProjectError(
            "DVC does not know this folder; give the folder of a model: bitladder verify DIR"
        ) from None
    with opened as repo:
        has_remote = bool(repo.config["core"].get("remote"))
        if remote and not has_remote:
            raise NoProjectError("DVC has no default remote: dvc remote add --default NAME URL")
        far = repo.cloud.get_remote_odb(None, "verify") if remote else None
        yield [*_found(repo, far, has_remote)]


def _found(repo: Any, far: Any, has_remote: bool) -> Iterator[_Output]:
    known_here: dict[str, str | None] = {}
    known_there: dict[str, str | None] = {}
    for out in repo.index.outs:
        if not (out.use_cache and out.hash_info and out.hash_info.name == "md5"):
            continue
        digest = out.hash_info.value
        yield _Output(
            path=Path(out.fs_path).relative_to(Path.cwd().resolve()),
            stage=out.stage.addressing,
            is_made=bool(out.stage.cmd),
            digest=digest,
            cache=_Copy(repo.cache.local, digest, known_here),
            remote=None if far is None else _Copy(far, digest, known_there),
            has_remote=has_remote,
        )


def _digest(path: Path) -> str:
    """As DVC has it: of a folder that of its listing, a line of JSON with the files in the order of names."""
    from dvc_objects.fs import localfs

    if path.is_file():
        return _md5(localfs, str(path))
    names = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
    listing = [{"md5": _md5(localfs, str(path / name)), "relpath": name} for name in names]
    return f"{md5(json.dumps(listing).encode(), usedforsecurity=False).hexdigest()}.dir"


def _md5(filesystem: Any, path: str) -> str:
    from dvc_data.hashfile.hash import file_md5

    return str(file_md5(path, filesystem))
