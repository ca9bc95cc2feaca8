"""The registered model of a task: a version per delivered rung, and the alias `champion` on the best.

A version carries as tags everything that choosing (choice.py) needs, because MLflow can neither sort nor
filter versions by a number. When the same weights are evaluated anew and score differently, the newer
evidence gets a version of its own and the older one a tag that says so.

What a champion must satisfy, `bitladder best` states and every later `register` chooses by. It is kept twice:
on the registered model, where everybody who uses that store finds it, and in a small file of the project,
because a store may be deleted and filled again. Where both are there, the registered model's counts.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitladder import files
from pipeline import paths
from pipeline.tracking import store
from pipeline.tracking.choice import Candidate, Choice, Criteria, CriteriaError, Today, choose
from pipeline.tracking.execution import Model, registered_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
ATTEMPTS = 5
CRITERIA = "bitladder.champion_criteria"
SUPERSEDED = "bitladder.superseded_by"
# MLflow's page shows all tags of all versions: what only audits need stays with the logged model.
_HIDDEN = ("key", "data.", "record_digest", "packed_digest", "schema_version", "seed", "task")


def versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """Every version of a registered model; empty when there is no such model."""
    return list(store.pages(client.search_model_versions, filter_string=f"name = '{name}'"))


def ensure_version(
    client: "MlflowClient", model: Model, logged: "LoggedModel", tags: dict[str, str], note: str
) -> tuple[str, bool]:
    """The number of a delivered rung's version, found again by its source or made; and whether it is new.

    `note`: what its page says.
    """
    name, source = registered_model(model.record.task), f"models:/{logged.model_id}"
    with store.unless_it_exists():
        client.create_registered_model(name, {"bitladder.task": model.record.task})
    same = versions(client, name)
    for key in ("bitladder.name", "bitladder.digest"):
        same = [found for found in same if found.tags.get(key) == tags[key]]
    own = next((found for found in same if found.source == source), None)
    shown = {key: tags[key] for key in tags if not key.removeprefix("bitladder.").startswith(_HIDDEN)}
    version = own or client.create_model_version(
        name,
        source,
        logged.source_run_id,
        shown,
        description=f"{model.name}. {note}",
        model_id=logged.model_id,
    )
    # What MLflow's own register_model does: the logged model's page then shows the version.
    link = json.dumps([{"name": name, "version": version.version}])
    if logged.tags.get("mlflow.modelVersions") != link:
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": link})
    _supersede(client, name, str(version.version), same)
    return str(version.version), own is None


def describe(client: "MlflowClient", task: str, note: str) -> None:
    """Have the registered model's page say `note`."""
    name = registered_model(task)
    if client.get_registered_model(name).description != note:
        client.update_registered_model(name, note)


def candidates(client: "MlflowClient", name: str) -> list[Candidate]:
    """Every version of the registered model that `register` published."""
    found = []
    for version in versions(client, name):
        tags: dict[str, Any] = {key.removeprefix("bitladder."): value for key, value in version.tags.items()}
        if "name" in tags:
            found.append(Candidate(**{**tags, "rung": tags["name"], "version": str(version.version)}))
    return found


def appoint(client: "MlflowClient", name: str, criteria: Criteria, today: Today) -> Choice:
    """Choose, set the alias, and read both again until they agree: another process may be choosing too.

    Without a candidate the alias stays where it is.

    Raises:
        StoreBusyError: they did not agree after several attempts.
    """
    for _ in range(ATTEMPTS):
        choice = choose(candidates(client, name), criteria, today)
        if choice.best is None or champion(client, name) == choice.best.version:
            return choice
        client.set_registered_model_alias(name, ALIAS, choice.best.version)
    raise store.StoreBusyError(f"{name}: another process keeps moving the alias {ALIAS!r}; try again")


def champion(client: "MlflowClient", name: str) -> str | None:
    """The version that has the alias now."""
    found = client.search_registered_models(f"name = '{name}'")
    version = client.get_registered_model(name).aliases.get(ALIAS) if found else None
    return None if version is None else str(version)


def remember(client: "MlflowClient", name: str, criteria: Criteria) -> None:
    """Keep the criteria with the registered model and in the project."""
    client.set_registered_model_tag(name, CRITERIA, json.dumps(asdict(criteria), sort_keys=True))
    files.write_json(kept_in(name), asdict(criteria))


def remembered(client: "MlflowClient", name: str) -> Criteria:
    """The criteria last used for this registered model, else the project's, else the default ones.

    Raises:
        CriteriaError: what was kept is not what `remember` writes.
    """
    found = client.search_registered_models(f"name = '{name}'")
    text, origin = found[0].tags.get(CRITERIA) if found else None, f"tag {CRITERIA} of {name}"
    path = kept_in(name)
    if text is None and path.is_file():
        text, origin = path.read_text(encoding="utf-8"), str(path)
    try:
        return Criteria() if text is None else Criteria(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise CriteriaError(
            f"{origin}: not the criteria that `bitladder best` keeps ({error}); remove it and choose again"
        ) from error


def kept_in(name: str) -> Path:
    """The project's own copy: outside the store's folder, which may be deleted as a whole."""
    return paths.WORK / f"champion-{name}.json"


def _supersede(client: "MlflowClient", name: str, current: str, same: list["ModelVersion"]) -> None:
    for other in same:
        number, stated = str(other.version), other.tags.get(SUPERSEDED)
        if number == current and stated is not None:
            client.delete_model_version_tag(name, number, SUPERSEDED)
        if number != current and stated != current:
            client.set_model_version_tag(name, number, SUPERSEDED, current)
