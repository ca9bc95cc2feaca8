"""`${watched:SOURCE,LOCATION}` in conf/: the path that DVC watches of a model, which its source decides.

DVC loads this file itself (`hydra.plugins_path` in .dvc/config), flows/compose.py as DVC does.
"""

from pathlib import Path

from omegaconf import OmegaConf

NO_FILE = "conf/no_file"  # DVC has no empty path


def watched(source: str, location: str | None) -> str:
    """A folder's path; of what comes from elsewhere NO_FILE."""
    return str(Path(location).expanduser()) if source == "path" and location else NO_FILE


OmegaConf.register_new_resolver("watched", watched, replace=True)
