"""A registered model's packed folder, by `NAME@ALIAS`: for `bitladder serve`.

The folder is kept in the project, whole or not at all, and checked at each use. The alias is asked for each
time, so MLflow has to answer.
"""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bitladder import files
from bitladder.files import IntegrityError
from pipeline import paths
from pipeline.tracking import registry, store

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEPT = paths.WORK / "served"


class NotRegisteredError(ValueError):
    """There is no such registered model, or none has the alias."""

    exit_code = 2


def folder(name: str) -> Path:
    """The packed folder of `NAME@ALIAS`, such as `bitladder-demo@champion`.

    Raises:
        NotRegisteredError: MLflow knows no such model.
        StoreUnreachableError: MLflow does not answer.
        IntegrityError: its files are not what was registered.
    """
    model, _, alias = name.rpartition("@")
    with store.opened(store.locate()) as client:
        version = _version(client, model, alias)
        # Versions are counted anew in a store that was deleted; the id of what was logged is not given twice.
        source = str(client.get_model_version(model, version).source)
        kept = KEPT / source.rpartition("/")[2]
        if not _is_whole(kept):
            _fetch(source, kept)
    files.verify(kept)
    return kept


def _version(client: "MlflowClient", model: str, alias: str) -> str:
    found = {one.name: one for one in store.pages(client.search_registered_models)}
    if model not in found:
        known = ", ".join(sorted(found)) or "none"
        raise NotRegisteredError(f"{model}: no such registered model; known: {known}")
    aliases = client.get_registered_model(model).aliases
    if alias not in aliases:
        advice = "`bitladder best` chooses one" if alias == registry.ALIAS else f"known: {', '.join(aliases)}"
        raise NotRegisteredError(f"{model}: no version has the alias {alias!r}; {advice}")
    return str(aliases[alias])


def _is_whole(kept: Path) -> bool:
    try:
        files.verify(kept)
    except IntegrityError:
        return False
    return True


def _fetch(uri: str, target: Path) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    with tempfile.TemporaryDirectory() as scratch:
        served = Path(download_artifacts(uri, dst_path=scratch))
        inside = Model.load(str(served)).flavors["python_function"]["artifacts"]["packed"]["path"]
        source = served / inside
        files.verify(source)
        with files.publish(target) as made:
            for path in source.iterdir():
                if path.name != files.MANIFEST:
                    shutil.copy(path, made)
