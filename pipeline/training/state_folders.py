"""Which folders below `.bitladder/work/<model>/` hold states of a training, without reading any.

Without torch: the process that supervises the training ones looks here too.
"""

import re
from pathlib import Path

DIGITS = 16  # of the fingerprint, in names


def trainings(parent: Path) -> list[Path]:
    """The folders of a model's trainings that hold a state; set-aside ones have a suffix."""
    named = (folder for folder in parent.glob("*") if re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", folder.name))
    return sorted(folder for folder in named if steps(folder))


def steps(folder: Path) -> list[int]:
    """The steps of a training's states, oldest first."""
    names = (re.fullmatch(r"step-(\d{9,})", path.name) for path in folder.glob("step-*"))
    return sorted(int(name[1]) for name in names if name)
