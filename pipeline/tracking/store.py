"""Which MLflow to talk to, and how to reach it without waiting for ever.

`MLFLOW_TRACKING_URI` if it is set, else one SQLite file in the project with the artifacts beside it. A
SQLite store is created once, under a lock, beside its place and then renamed: several processes that meet
a missing store would each migrate it and crash. A server has seconds to answer; MLflow's own patience is
minutes.

MLflow's "active run" is never used: it belongs to a thread and is moved by the environment.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from filelock import FileLock, Timeout

from pipeline import paths
from pipeline.tracking import descriptions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

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
        return re.sub("//[^/]*@", "//", self.uri)


def locate() -> Store:
    """The store that the environment asks for, or the project's own. Nothing is created.

    Raises:
        StoreUriError: the address is neither `sqlite:///...`, `http://...` nor `https://...`.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri:
        return own()
    if uri.startswith("sqlite:///") and uri != "sqlite:///":
        return _sqlite(Path(uri.removeprefix("sqlite:///")))
    if urlsplit(uri).scheme in {"http", "https"}:
        return Store(uri.rstrip("/"))
    raise StoreUriError(
        f"MLFLOW_TRACKING_URI: {Store(uri).shown!r} is not usable; allowed: sqlite:///<file>, "
        "http://<server>, https://<server> (other databases: behind an MLflow server)"
    )


def own() -> Store:
    """The project's own store."""
    return _sqlite(HOME / "mlflow.db")


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
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        # By itself MLflow writes the path of its default experiment into SQL, where quotes would end it.
        place = paths.sqlite_address(temporary), _artifacts(database).as_uri()
        SqlAlchemyStore(*place)  # type: ignore[no-untyped-call]
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
    try:
        held = FileLock(path, timeout=wait_seconds).acquire()
    except Timeout:
        raise StoreBusyError(f"{path}: another process has held the lock for {wait_seconds:.0f} s") from None
    with held:
        yield


def publishing_lock(store: Store) -> Path:
    """The lock that one publication holds; with a server it keeps only this project's own processes apart.

    Machines are kept apart by turns.py.
    """
    return (store.database.parent if store.database else HOME) / "publish.lock"


def experiment(client: "MlflowClient", store: Store, task: str) -> str:
    """The id of a task's experiment, which is found, made, or brought back.

    Raises:
        StoreUnreachableError: it exists, and its artifacts cannot be had from here.
    """
    name = f"bitladder/{task}"
    tags = {**descriptions.KIND, descriptions.NOTE: descriptions.of_experiment(task)}
    with unless_it_exists():
        location = store.artifacts.as_uri() if store.artifacts else None
        return str(client.create_experiment(name, artifact_location=location, tags=tags))
    found = client.get_experiment_by_name(name)
    assert found is not None
    _require_artifacts(store, name, found.artifact_location)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    for key, value in tags.items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


@contextmanager
def unless_it_exists() -> Iterator[None]:
    """MLflow's refusal to make what is there already, by another process perhaps, ends the block in peace."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def pages(search: Any, **query: Any) -> Iterator[Any]:
    """Every result of one of the client's searches."""
    page = search(**query)
    yield from page
    while page.token:
        page = search(**query, page_token=page.token)
        yield from page


def runs(client: "MlflowClient", experiment_id: str, tags: Mapping[str, str]) -> list["Run"]:
    """The runs of an experiment that have all these tags, by id."""
    wanted = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found: Iterator[Run] = pages(client.search_runs, experiment_ids=[experiment_id], filter_string=wanted)
    return sorted(found, key=lambda run: run.info.run_id)


def log(client: "MlflowClient", run: "Run", **entries: Sequence[Any]) -> None:
    """Write `metrics`, `params` and `tags` to a run in as few requests as MLflow takes them."""
    for kind, values in entries.items():
        size = 1000 if kind == "metrics" else 100  # more at once are refused
        for start in range(0, len(values), size):
            batch: dict[str, Any] = {kind: values[start : start + size]}
            client.log_batch(run.info.run_id, **batch)


def _require_artifacts(store: Store, experiment: str, location: str) -> None:
    """MLflow keeps absolute places: of a server's own store, or of where the project lay before."""
    if store.artifacts is None or location == store.artifacts.as_uri():
        return
    if location.startswith("mlflow-artifacts:"):
        raise StoreUnreachableError(
            f"{store.shown}: experiment {experiment} was made through an MLflow server, which keeps its "
            "artifacts; set MLFLOW_TRACKING_URI to that server"
        )
    if location.startswith("file:") and not Path(unquote(urlsplit(location).path)).exists():
        raise StoreUnreachableError(
            f"{store.shown}: its artifacts were in {location}, which is gone; if the project was moved, "
            f"remove {store.database} and everything is published again"
        )


def _sqlite(database: Path) -> Store:
    """Raises StoreUriError where SQLite's address would lead elsewhere."""
    path = database.resolve()
    uri = paths.sqlite_address(path)
    if "?" in uri:
        raise StoreUriError(
            f"{path.parent}: SQLite's addresses end at ?, so MLflow keeps no database in such a folder; name "
            "another place by MLFLOW_TRACKING_URI=sqlite:////absolute/path/mlflow.db"
        )
    return Store(uri, path, _artifacts(path))


def _artifacts(database: Path) -> Path:
    return database.resolve().parent / "artifacts"


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


def _probe(store: Store) -> None:
    patience = min(PROBE_SECONDS, float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]))
    try:
        with urlopen(f"{store.uri}/health", timeout=patience):  # noqa: S310 - locate() allows http(s) only
            return
    except (OSError, HTTPException) as error:
        # Anything below 500 is a live server's answer; what it refuses, the calls that follow will tell.
        if getattr(error, "code", 500) >= 500:
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
