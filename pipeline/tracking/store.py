"""Which MLflow to talk to, and how to reach it without waiting for ever.

`MLFLOW_TRACKING_URI` if it is set, else one SQLite file in the project with the artifacts beside it. A
SQLite store is created once, under a lock, beside its place and then renamed: several processes that meet
a missing store would each migrate it and crash. A server has seconds to answer; MLflow's own patience is
minutes.

MLflow's "active run" is never used: it belongs to a thread and is moved by the environment.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

from pipeline import paths

if TYPE_CHECKING:
    from mlflow import MlflowClient

HOME = paths.WORK / "mlflow"
PROBE_SECONDS = 5
LOCK_SECONDS = 60

_ALWAYS = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # results go there
}
# By default one call to a silent server waits 120 s and is tried eight times.
_UNLESS_SET = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
_SERVICE_FAILED = {
    "CUSTOMER_UNAUTHORIZED",
    "DEADLINE_EXCEEDED",
    "ENDPOINT_NOT_FOUND",
    "INTERNAL_ERROR",
    "PERMISSION_DENIED",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "TEMPORARILY_UNAVAILABLE",
    "UNAUTHENTICATED",
}


class StoreUriError(ValueError):
    """MLFLOW_TRACKING_URI names something that cannot be used."""

    exit_code = 2


class StoreUnreachableError(RuntimeError):
    """MLflow does not answer, or answers that it cannot."""

    exit_code = 3


class StoreBusyError(RuntimeError):
    """Another process is publishing to the same store."""

    exit_code = 75


@dataclass(frozen=True)
class Store:
    """Where MLflow's entities live. `database` and `artifacts` are None for a server, which keeps its own."""

    uri: str
    database: Path | None = None
    artifacts: Path | None = None

    @property
    def shown(self) -> str:
        """The address without user name and password."""
        parts = urlsplit(self.uri)
        if "@" not in parts.netloc:
            return self.uri
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def locate() -> Store:
    """The store that the environment asks for, or the project's own. Nothing is created.

    Raises:
        StoreUriError: the address is neither `sqlite:///...`, `http://...` nor `https://...`.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri:
        return _sqlite(HOME / "mlflow.db")
    if uri.startswith("sqlite:///") and uri != "sqlite:///":
        return _sqlite(Path(uri.removeprefix("sqlite:///")))
    if urlsplit(uri).scheme in {"http", "https"}:
        return Store(uri.rstrip("/"))
    raise StoreUriError(
        f"MLFLOW_TRACKING_URI: {Store(uri).shown!r} is not usable; allowed: sqlite:///<file>, "
        "http://<server>, https://<server> (other databases: behind an MLflow server)"
    )


@contextmanager
def opened(store: Store) -> Iterator["MlflowClient"]:
    """Yield a client of `store`, made ready first; MLflow's failures to answer become one sentence.

    Raises:
        StoreUnreachableError: the server or the database does not answer, within seconds.
    """
    configure()
    if store.database is None:
        _probe(store)
    with explained(store):
        if store.database is not None:
            prepare(store.database)
        yield _client(store.uri)


def configure() -> None:
    """Telemetry off, pickled models refused, short patience. Must run before mlflow is first imported."""
    os.environ.update(_ALWAYS)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry.abstract_store"):
        logging.getLogger(name).setLevel(logging.WARNING)


def prepare(database: Path) -> None:
    """Create an empty store unless there is one. Safe for several processes at once and against a kill."""
    if database.is_file():
        return
    configure()
    with locked(database.parent / "create.lock"):
        if database.is_file():
            return
        temporary = database.with_name(f".{database.name}.{os.getpid()}.tmp")
        temporary.unlink(missing_ok=True)
        _client(f"sqlite:///{temporary}").search_experiments(max_results=1)
        # Not a rename: that would replace a store that a server has created meanwhile.
        with suppress(FileExistsError):
            os.link(temporary, database)
        temporary.unlink()


@contextmanager
def locked(path: Path, wait_seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold an exclusive lock on `path`; it dies with the process.

    Raises:
        StoreBusyError: another process still held it after `wait_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        deadline = time.monotonic() + wait_seconds
        while not _acquired(file.fileno()):
            if time.monotonic() > deadline:
                raise StoreBusyError(f"{path}: another process has held the lock for {wait_seconds:.0f} s")
            time.sleep(0.05)
        yield


def publishing_lock(store: Store) -> Path:
    """The lock that one publication holds; with a server it keeps only this project's own processes apart."""
    return (store.database.parent if store.database else HOME) / "publish.lock"


def _sqlite(database: Path) -> Store:
    path = database.resolve()
    return Store(f"sqlite:///{path}", path, path.parent / "artifacts")


def _client(uri: str) -> "MlflowClient":
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    # The SQL registry looks a version's source up through the default address, whatever the client's own is.
    mlflow.set_tracking_uri(uri)
    # It also exports that address to child processes; what children talk to is not this module's business.
    if before is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = before
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def _acquired(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _probe(store: Store) -> None:
    try:
        with urlopen(f"{store.uri}/health", timeout=PROBE_SECONDS):  # noqa: S310 - locate() allows http(s) only
            return
    except HTTPError as error:
        # Anything below 500 is a live server; what it refuses, the calls that follow will tell.
        if error.code >= 500:
            raise _unreachable(store, f"it answered {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _unreachable(store, str(getattr(error, "reason", error))) from error


@contextmanager
def explained(store: Store) -> Iterator[None]:
    """MLflow's failures to answer become StoreUnreachableError; what it refuses stays as it is."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        if error.error_code not in _SERVICE_FAILED:
            raise
        raise _unreachable(store, error.message) from error
    except (RequestException, SQLAlchemyError) as error:
        raise _unreachable(store, str(error)) from error


def _unreachable(store: Store, reason: str) -> StoreUnreachableError:
    first_line = (reason.strip().splitlines() or ["no reason given"])[0].replace(store.uri, store.shown)[:300]
    advice = (
        "" if store.database else "; start it, or unset MLFLOW_TRACKING_URI to use the project's own store"
    )
    return StoreUnreachableError(f"MLflow at {store.shown} cannot be used: {first_line}{advice}")
