"""The folder that `bitladder compress` works in: a project like a clone, whose code are links to this one.

    params.yaml, dvc.yaml          what is made of the file, and how
    data/ models/ packed/ metrics/ reports/    as in every project
    .bitladder/compress.json       what was asked, and the steps that it came to
    .bitladder/compress.log        what the stages said

All commands of a project work in it (`bitladder results`, `bitladder lineage w1a8`, `dvc repro`).
"""

import os
import shutil
from pathlib import Path
from typing import Any

from bitladder import files
from flows import repeat
from pipeline import paths
from pipeline.problems.reading import UnreadableError, read_mapping

LINKS = ("bitladder", "flows", "pipeline", "conf")
ASKED, LOG = paths.WORK / "compress.json", paths.WORK / "compress.log"
_DVC_CONFIG = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
_OWN_MARKS = (ASKED, Path("params.yaml"))


class FolderError(ValueError):
    """A folder that was named is in use for something else."""

    exit_code = 2


def settle(folder: Path) -> None:
    """Make `folder` a project, or bring one's links up to date.

    Raises:
        FolderError: it holds something else.
    """
    require_usable(folder)
    (folder / paths.WORK).mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        place = folder / name
        place.unlink(missing_ok=True)
        place.symlink_to(repeat.ROOT / name)
    _write(folder / "dvc.yaml", (repeat.ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    _write(folder / ".dvc" / "config", _DVC_CONFIG)
    _write(folder / ".dvcignore", (repeat.ROOT / ".dvcignore").read_text(encoding="utf-8"))
    _write(folder / ".gitignore", "*\n")  # hundreds of megabytes, in whatever repository this lies
    (folder / paths.METRICS / "search").mkdir(parents=True, exist_ok=True)  # the report looks there
    _write(folder / paths.METRICS / "search" / "README.md", "Searches that were made here.\n")


def require_usable(folder: Path) -> None:
    """Raises FolderError unless there is nothing at `folder`, or what `settle` has made."""
    if folder.is_dir() and (not any(folder.iterdir()) or (folder / ".bitladder").is_dir()):
        if (folder / "flows").is_dir() and not (folder / "flows").is_symlink():
            raise FolderError(f"--project: {folder} is a clone; name another folder, which need not exist")
        return
    if folder.exists():
        raise FolderError(
            f"--project: {folder} holds something else; name another folder, which need not exist"
        )


def require_apart(output: Path, folder: Path) -> None:
    """Raises FolderError where one would be put into the other, or neither can be made."""
    if output == folder or output in folder.parents or folder in output.parents:
        raise FolderError(f"-o: {output} and --project: {folder} lie in each other; name two folders apart")
    for option, one in (("-o", output), ("--project", folder)):
        near = next(parent for parent in one.parents if parent.exists())
        if not near.is_dir() or not os.access(near, os.W_OK | os.X_OK):
            raise FolderError(f"{option}: {one} cannot be made in {near}, where nothing may be written")
        if one.is_symlink() and not one.exists():
            raise FolderError(f"{option}: {one} is a link to what is not there; name another folder")


def write_params(values: dict[str, Any]) -> None:
    """params.yaml, where it says something else than what is there: DVC looks at values, people at dates."""
    try:
        same = read_mapping(paths.PARAMS) == values
    except UnreadableError:
        same = False
    if not same:
        files.write_text(paths.PARAMS, repeat.as_text(values))


def require_output(folder: Path) -> None:
    """Raises FolderError unless `deliver` may write there: nothing but a packed model is replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        promised = {*files.verify(folder), files.MANIFEST} if folder.is_dir() else set()
    except files.IntegrityError:
        promised = set()
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if not promised or found - promised:
        raise FolderError(f"-o: {folder} holds something else than a packed model; name another folder")


def deliver(packed: Path, output: Path) -> None:
    """Copy a packed model, whole or not at all. Raises IntegrityError where it is not what was packed."""
    promised = files.verify(packed)
    there = output / files.MANIFEST
    if there.is_file() and files.sha256(there) == files.sha256(packed / files.MANIFEST):
        return
    with files.publish(output.resolve()) as folder:  # where a link leads to
        for name in promised:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(packed / name, folder / name)


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        files.write_text(path, text)
