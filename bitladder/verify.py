"""`bitladder verify DIR`: every file of a published folder hashed anew and compared with its manifest."""

import json
import sys
from pathlib import Path

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
        names = files.read_manifest(folder)
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
        promised = files.read_manifest(folder)
    except files.IntegrityError:
        return {files.MANIFEST: "damaged: it lists no files of this folder with their size and sha256"}
    found = {name: reason for name, entry in promised.items() if (reason := _differs(folder / name, *entry))}
    extra = sorted(one.name for one in folder.iterdir() if files.would_be_read(one.name, promised))
    return found | dict.fromkeys(extra, "unexpected: a loader would read it, unchecked; remove it")


def _differs(path: Path, promised: int, digest: str) -> str | None:
    if not path.is_file():
        return "missing"
    if (size := path.stat().st_size) != promised:
        return f"{size:,} bytes; the manifest says {promised:,}"
    if (found := files.sha256(path)) != digest:
        return f"sha256 {found}; the manifest says {digest}"
    return None
