"""What a champion must satisfy, and the memory of it.

`bitladder best` states it, and every later `register` chooses by the same. It is kept twice: on the
registered model, where everybody who uses that store finds it, and in a small file of the project, because
a store may be deleted and filled again. Where both are there, the registered model's counts.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitladder import files
from pipeline import paths
from pipeline.tracking.execution import finite

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "bitladder.champion_criteria"
ANY = 0
WEIGHT_BITS = (1, 2, 4, 8)


class CriteriaError(ValueError):
    """What was asked of the best rung makes no sense."""

    exit_code = 2


@dataclass(frozen=True)
class Criteria:
    """Limits on a rung. None: no such limit.

    Attributes:
        weight_bits: 1, 2, 4 or 8; 0 for any. 1 unless something else is asked for.
    """

    max_mib: float | None = None
    min_score: float | None = None
    activation_bits: int | None = None
    weight_bits: int = 1

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is not None and finite(value) is None:
                raise CriteriaError(f"{entry.name}: {value!r} is not a finite number")
        if self.weight_bits not in (ANY, *WEIGHT_BITS):
            allowed = ", ".join(map(str, WEIGHT_BITS))
            raise CriteriaError(f"weight_bits: {self.weight_bits!r} is none of {allowed} or 0 (any)")

    def describe(self) -> str:
        weights = "weights of any bits" if self.weight_bits == ANY else f"{self.weight_bits}-bit weights"
        stated = {
            weights: True,
            f"{self.activation_bits}-bit activations": self.activation_bits is not None,
            f"at most {self.max_mib} MiB": self.max_mib is not None,
            f"a score of at least {self.min_score}": self.min_score is not None,
        }
        return ", ".join(text for text, holds in stated.items() if holds)


def remember(client: "MlflowClient", name: str, criteria: Criteria) -> None:
    """Keep the criteria with the registered model and in the project."""
    client.set_registered_model_tag(name, TAG, json.dumps(asdict(criteria), sort_keys=True))
    files.write_json(kept_in(name), asdict(criteria))


def remembered(client: "MlflowClient", name: str) -> Criteria:
    """The criteria last used for this registered model, else the project's, else the default ones.

    Raises:
        CriteriaError: what was kept is not what `remember` writes.
    """
    found = client.search_registered_models(f"name = '{name}'")
    tag = found[0].tags.get(TAG) if found else None
    if tag is not None:
        return _parsed(tag, f"tag {TAG} of {name}")
    path = kept_in(name)
    return _parsed(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else Criteria()


def kept_in(name: str) -> Path:
    """The project's own copy: outside the store's folder, which may be deleted as a whole."""
    return paths.WORK / f"champion-{name}.json"


def _parsed(text: str, origin: str) -> Criteria:
    try:
        values: dict[str, Any] = json.loads(text)
        return Criteria(**values)
    except (ValueError, TypeError) as error:
        raise CriteriaError(
            f"{origin}: not the criteria that `bitladder best` keeps ({error}); remove it and choose again"
        ) from error
