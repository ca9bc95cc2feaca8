"""The points at which the writer of a state may end: around its data, its manifest, its rename."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bitladder import files
from pipeline.training import resume

POINTS = ("before data", "mid data", "before manifest", "before rename", "after rename")


def end_at(
    where: str, step: int, end: Callable[[], object], set_attribute: Callable[[Any, str, Any], None]
) -> None:
    """Have `end` called at this point of writing the state of this step."""
    save_file, seal, sync = resume.save_file, files._seal, files._sync

    def end_if(point: str, path: Path) -> None:
        if point == where and f"step-{step:09d}" in str(path):
            end()

    def saving(tensors: Any, path: Path) -> None:
        end_if("before data", path)
        save_file(tensors, path)
        if where == "mid data" and f"step-{step:09d}" in str(path):
            path.write_bytes(path.read_bytes()[:-100])
        end_if("mid data", path)

    def sealing(folder: Path) -> None:
        end_if("before manifest", folder)
        seal(folder)
        end_if("before rename", folder)

    def syncing(path: Path) -> None:
        if (renamed := path / f"step-{step:09d}").exists():
            end_if("after rename", renamed)
        sync(path)

    set_attribute(resume, "save_file", saving)
    set_attribute(files, "_seal", sealing)
    set_attribute(files, "_sync", syncing)
