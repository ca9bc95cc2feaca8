"""Whether a stage's code and parameters are at its end what they were at its start.

DVC hashes what a stage depends on after the stage has run. A `git checkout` in the middle, or an editor, so
makes it record what was made by the old code as the new one's, and call it up to date. A stage that finds
this out fails instead: nothing is recorded, and the next run makes it anew.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bitladder import files
from flows import graph
from pipeline import paths
from pipeline.problems.reading import read_mapping

CODE = ("bitladder", "flows", "pipeline")


class ChangedMeanwhileError(RuntimeError):
    """What the stage is made from is no longer what it was made from."""


def watched(stage: str) -> Callable[[], None]:
    """Note what there is now; the function that comes back raises ChangedMeanwhileError if it has changed.

    Of a stage that was started by hand nobody records anything: there is nothing to check.
    """
    if "DVC_STAGE" not in os.environ:
        return lambda: None
    code, values = _code(), read_mapping(paths.PARAMS)

    def check() -> None:
        now = _code()
        files_changed = {path for path in {*code, *now} if code.get(path) != now.get(path)}
        values_now = read_mapping(paths.PARAMS)
        if not files_changed and values_now == values:
            return  # DVC takes a second to say what belongs to a stage
        own = graph.definitions().get(stage)
        if own is None:
            return
        changed = {path for path in files_changed for part in own.inputs if Path(path).is_relative_to(part)}
        changed |= {name for name in own.params if _value(values, name) != _value(values_now, name)}
        if changed:
            raise ChangedMeanwhileError(
                f"changed while this ran: {', '.join(sorted(changed))}; what was made is of neither the old "
                "nor the new. Nothing of it counts: the same command makes it anew"
            )

    return check


def _code() -> dict[str, str]:
    return files.code([part for part in CODE if Path(part).is_dir()], Path())


def _value(values: Mapping[str, Any], name: str) -> Any:
    """By its dotted name; None where there is none."""
    found: Any = values
    for key in name.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
