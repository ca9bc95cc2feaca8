"""Resolvers in conf/ for the paths that DVC watches; dvc.yaml names each of them, so their number is fixed.

`${watched:SOURCE,LOCATION}`: a model's folder, which its source decides. `${watched_files:FILES,ROOT}`: those
of data.corpus or task.judged_by.

DVC loads this file itself (`hydra.plugins_path` in .dvc/config), flows/compose.py as DVC does.
"""

from pathlib import Path
from typing import Any

from omegaconf import ListConfig, OmegaConf

NO_FILE = "conf/no_file"  # DVC has no empty path
NUM_FILES = 8


def watched(source: str, location: str | None) -> str:
    """A folder's path; of what comes from elsewhere NO_FILE."""
    return str(Path(location).expanduser()) if source == "path" and location else NO_FILE


def watched_files(files: Any, root: str | None) -> ListConfig:
    """The path of each file, and NO_FILE in the places that are left; more than there are places are refused
    when params.yaml is read."""
    listed = [] if files is None else [files] if isinstance(files, str) else list(files)
    named = [one if isinstance(one, str) else one.get("file") for one in listed]
    paths = [str(Path(root or ".") / Path(one).expanduser()) for one in named if isinstance(one, str)]
    return ListConfig(paths[:NUM_FILES] + [NO_FILE] * (NUM_FILES - len(paths)))


OmegaConf.register_new_resolver("watched", watched, replace=True)
OmegaConf.register_new_resolver("watched_files", watched_files, replace=True)
