"""What each process of the project finds in its environment: no telemetry, no hub, no wait for a dead server.

Set before the libraries are imported, because most of them read their variables at import. A variable that
the person has set already stays as it is.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import paths

if TYPE_CHECKING:
    from pipeline import params

SILENT = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # transformers' own of tensors too: it spoils a log
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
NO_PICKLE = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
}
# Prefect only watches. By default it waits minutes for a server that has gone, and says so many times.
IMPATIENT = {
    "PREFECT_API_REQUEST_TIMEOUT": "5",
    "PREFECT_CLIENT_MAX_RETRIES": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "pipeline",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
# A second thread that spins at a barrier while another program has its core makes a step ten times slower.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
# Where curves, runs and flow runs of the graph's own models go.
WATCHERS = ("BITLADDER_SPOOL", "MLFLOW_TRACKING_URI", "PREFECT_API_URL")
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def prepare() -> None:
    """Fill this process's environment, which its children inherit."""
    home = {"PREFECT_HOME": str((paths.WORK / "prefect").absolute())}
    os.environ.update({**SILENT, **NO_PICKLE, **IMPATIENT, **PATIENT_THREADS, **home} | os.environ)


class FolderNameError(ValueError):
    """No project works in a folder of this name."""

    exit_code = 2


def require_folder(folder: Path) -> None:
    """Raises FolderNameError where DVC would fail at a stage's end: it formats the path of its cache."""
    if "{" in str(folder) or "}" in str(folder):
        raise FolderNameError(f"{folder}: DVC fails where a folder's name has {{ or }}; name another folder")


def stay_offline_unless(settings: "params.Params") -> None:
    """Keep Hugging Face's libraries from the network unless data or a model comes from the hub."""
    if "hub" not in (settings.data.source, settings.model.source, settings.teacher.source):
        os.environ.update(OFFLINE | os.environ)
