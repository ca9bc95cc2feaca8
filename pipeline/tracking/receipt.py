"""What a SQLite store was given, noted beside it, so that publishing the same again needs no MLflow.

The note counts only while the files are the same (their manifests and results, no weights are read) and
the store still holds every run, logged model, version and the alias that it names. That is asked with
plain SQL, read only; an inode would not do, since a deleted file's number is given to the next one.
Whatever is amiss, the answer is "publish". A server has no such note.
"""

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from bitladder import files
from pipeline.tracking.store import Store

# json_each: the lists arrive as one parameter each, no SQL is put together.
HELD = """
SELECT
  (SELECT count(*) FROM runs WHERE lifecycle_stage = 'active' AND status = 'FINISHED'
     AND run_uuid IN (SELECT value FROM json_each(:runs))),
  (SELECT count(*) FROM logged_models WHERE lifecycle_stage = 'active'
     AND model_id IN (SELECT value FROM json_each(:logged_models))),
  (SELECT count(*) FROM model_versions WHERE name = :registered_model AND current_stage <> 'Deleted_Internal'
     AND CAST(version AS TEXT) IN (SELECT value FROM json_each(:versions))),
  (SELECT CAST(version AS TEXT) FROM registered_model_aliases
     WHERE name = :registered_model AND alias = :alias)
"""


@dataclass(frozen=True)
class Receipt:
    """What a publication left in MLflow.

    Attributes:
        store: its address; MLflow keeps absolute paths, so a copied or moved store is another one.
        champion: the version that had the alias, if any.
        models: how many were published.
        because: the choice in words.
    """

    fingerprint: str
    store: str
    runs: list[str]
    logged_models: list[str]
    registered_model: str
    versions: list[str]
    alias: str
    champion: str | None
    models: int
    because: str


def write(store: Store, task: str, receipt: Receipt) -> None:
    """Leave the note. A server gets none."""
    if store.database is not None:
        files.write_json(_path(store.database, task), asdict(receipt))


def unchanged(store: Store, task: str, fingerprint: str) -> Receipt | None:
    """The note of the last publication, if publishing again would change nothing; else None."""
    if store.database is None or store.artifacts is None or not store.database.is_file():
        return None
    try:
        receipt = Receipt(**files.read_json(_path(store.database, task)))
    except (OSError, ValueError, TypeError):
        return None
    if (receipt.fingerprint, receipt.store) == (fingerprint, store.uri) and _holds(store.database, receipt):
        kept = store.artifacts / "models"
        return receipt if all((kept / name).is_dir() for name in receipt.logged_models) else None
    return None


def _path(database: Path, task: str) -> Path:
    return database.with_name(f"published-{task}.json")


def _holds(database: Path, receipt: Receipt) -> bool:
    wanted = (len(receipt.runs), len(receipt.logged_models), len(receipt.versions), receipt.champion)
    values = {
        name: json.dumps(value) if isinstance(value, list) else value
        for name, value in asdict(receipt).items()
    }
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            return bool(connection.execute(HELD, values).fetchone() == wanted)
    except sqlite3.Error:
        return False
