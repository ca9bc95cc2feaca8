"""`bitladder verify DIR`: every file of a published folder hashed anew and compared with its manifest."""

import json
import sys
from pathlib import Path
from typing import Any

from bitladder import files
from bitladder.shown import printable

ADVICE = (
    "Do not use it. Copy the whole folder again from where it came; in the project that made it, "
    "`bitladder verify --cache` says how to bring it back"
)


def main(folder: Path, as_json: bool) -> int:
    """Say what differs, and what to do.

    Returns:
        0 when every file is what was written, 1 when one is not.
    """
    found = differences(folder)
    if as_json:
        sys.stdout.write(json.dumps({"folder": str(folder), "differences": found}, indent=2) + "\n")
    elif found:
        sys.stdout.writelines(f"{printable(name)}: {reason}\n" for name, reason in found.items())
    else:
        names = _manifest(folder)
        size = sum((folder / name).stat().st_size for name in names)
        sys.stdout.write(f"{folder}: {len(names)} files, {size:,} bytes, all as they were written\n")
    if found:
        sys.stderr.write(f"bitladder: {folder}: {len(found)} files differ. {ADVICE}.\n")
    return 1 if found else 0


def differences(folder: Path) -> dict[str, str]:
    """What is wrong with each file that is not as the manifest says, by its name; empty when all are."""
    if not (folder / files.MANIFEST).is_file():
        return {files.MANIFEST: "missing: the folder was not written by bitladder, or not completely"}
    try:
        promised = _manifest(folder)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {files.MANIFEST: "damaged: it lists no files with their size and sha256"}
    found = {name: reason for name, entry in promised.items() if (reason := _differs(folder / name, entry))}
    extra = sorted(one.name for one in folder.iterdir() if files.would_be_read(one.name, promised))
    return found | dict.fromkeys(extra, "unexpected: a loader would read it, unchecked; remove it")


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    entries = files.read_json(folder / files.MANIFEST)["files"].items()
    return {name: {"bytes": int(one["bytes"]), "sha256": str(one["sha256"])} for name, one in entries}


def _differs(path: Path, entry: dict[str, Any]) -> str | None:
    if not path.is_file():
        return "missing"
    if (size := path.stat().st_size) != entry["bytes"]:
        return f"{size:,} bytes; the manifest says {entry['bytes']:,}"
    if (found := files.sha256(path)) != entry["sha256"]:
        return f"sha256 {found}; the manifest says {entry['sha256']}"
    return None
