"""Folders that appear whole or not at all, and that can tell whether they still are what was written.

A folder is filled under a temporary name beside its place, every file is synced, `manifest.json` (size and
sha256 of each file) is written last, and one rename publishes it. No weight format notices a flipped bit, so
readers call `verify` before they trust a folder.
"""

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Any

from bitladder.shown import misfits

MANIFEST = "manifest.json"
# The same file names in every model's folder, trained or packed.
WEIGHTS = "model.safetensors"
CONFIG = "config.json"


OF_TOKENIZERS = frozenset(
    {
        "tokenizer*",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.*",
        "merges.txt",
        "*.model",
        "chat_template*",
    }
)
# Names that our readers, transformers and peft open where they find them, whether asked to or not.
READ_BY_LOADERS = OF_TOKENIZERS | {
    "*.safetensors",
    "*.index.json",
    "*.parquet",
    "*.csv",
    "config.json",
    "record.json",
    "agreement.json",
    "summary.json",
    "generation_config.json",
    "*processor_config.json",
    "pytorch_model*",
    "adapter_*",
}


class IntegrityError(RuntimeError):
    """A published folder no longer holds what its manifest promises."""

    exit_code = 4


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Hex digest of a value as JSON; the order of keys is no part of it."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def code(parts: Sequence[str], root: Path) -> dict[str, str]:
    """sha256 of every .py file of these folders and files under `root`, by its path from there."""
    found = (root / part for part in parts)
    paths = [path for part in found for path in (sorted(part.rglob("*.py")) if part.is_dir() else [part])]
    return {path.relative_to(root).as_posix(): sha256(path) for path in paths}


def write_json(path: Path, value: Any) -> None:
    """Readable, key-sorted JSON. NaN and infinity are refused: they are not JSON."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: a sibling temporary file, synced, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; publish it as `target` when the block ends without an error.

    A folder already at `target` is replaced in one step and only then deleted.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    _sweep(target)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _seal(temporary)
        old = target.with_name(f".{target.name}.{os.getpid()}.old")
        if target.exists():
            target.rename(old)
        temporary.rename(target)
        _sync(target.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def verify(folder: Path) -> dict[str, str]:
    """Check every file of a published folder against its manifest; return the sha256 of each by name.

    Other files may lie there (a README, .git, what a Hub's client keeps), but none of a name that a loader of
    models or data looks for: it would be read unchecked.

    Raises:
        IntegrityError: the manifest or a file is missing or changed, or one lies there that would be read.
    """
    promised = {name: sha for name, (_, sha) in read_manifest(folder).items()}
    missing = sorted(name for name in promised if not (folder / name).is_file())
    unexpected = sorted(one.name for one in folder.iterdir() if would_be_read(one.name, promised))
    if found := misfits(missing=missing, unexpected=unexpected):
        raise IntegrityError(f"{folder}: {found}; its {MANIFEST} lists what belongs into it")
    for name, entry in promised.items():
        actual = sha256(folder / name)
        if actual != entry:
            raise IntegrityError(f"{folder / name}: sha256 {actual}, manifest says {entry}")
    return promised


def read_manifest(folder: Path) -> dict[str, tuple[int, str]]:
    """Bytes and sha256 of each file of a published folder, by its name.

    Raises:
        IntegrityError: there is no manifest, or it is damaged, or names what lies elsewhere.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise IntegrityError(f"{folder}: no {MANIFEST}: not written by bitladder, or not completely")
    try:
        entries = read_json(path)["files"].items()
        promised = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in entries}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise IntegrityError(f"{path}: damaged, it lists no files with their sha256 ({error})") from error
    if odd := [name for name in promised if not _lies_inside(name)]:
        raise IntegrityError(f"{path}: damaged, {odd[0]!r:.100} is no file of this folder")
    return promised


def _lies_inside(name: str) -> bool:
    """Whether a name of a manifest is that of a file below its folder, on any system."""
    parts = name.split("/")
    return "\\" not in name and not any(
        part in ("", ".", "..") or len(part.encode("utf-8", "replace")) > 255 for part in parts
    )


def seal(folder: Path, names: Sequence[str]) -> None:
    """Write the manifest of these files of a folder."""
    for name in names:
        _sync(folder / name)
    entries = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in names
    }
    write_json(folder / MANIFEST, {"files": entries})
    _sync(folder)


def would_be_read(name: str, promised: Mapping[str, Any]) -> bool:
    """Whether a file that is not promised has a name that loaders look for.

    A tokenizer that nothing was promised of is its owner's: transformers saves it after the model.
    """
    if name in promised or name == MANIFEST:
        return False
    looked_for = READ_BY_LOADERS if any(map(_is_of_tokenizer, promised)) else READ_BY_LOADERS - OF_TOKENIZERS
    return any(fnmatchcase(name, pattern) for pattern in looked_for)


def _is_of_tokenizer(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in OF_TOKENIZERS)


def _seal(folder: Path) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)
    seal(folder, [file.relative_to(folder).as_posix() for file in files])


def _sweep(target: Path) -> None:
    """Delete what processes that were killed while they wrote this have left beside it."""
    for left in target.parent.glob(f".{escape(target.name)}.*"):
        pid, _, kind = left.name.removeprefix(f".{target.name}.").partition(".")
        if kind in ("tmp", "old") and pid.isdecimal() and not _lives(int(pid)):
            left.unlink() if left.is_file() else shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
