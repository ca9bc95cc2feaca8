"""Which registered rung is best, why, and the alias `champion` that says so in the registry.

The choice is a function of written evidence alone: score, size, bits, digest. Never of time, and never of
a version's number, which is a matter of who published first. A score that is missing or not finite does
not compete; neither does one from other validation data, nor one that a later evaluation of the same
weights replaced.

The criteria are kept on the registered model, so that the next publication chooses by the same ones.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from pipeline.tracking import versions
from pipeline.tracking.execution import finite
from pipeline.tracking.store import StoreBusyError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
CRITERIA = "bitladder.champion_criteria"
ATTEMPTS = 5


class CriteriaError(ValueError):
    """What was asked of the best rung makes no sense."""

    exit_code = 2


@dataclass(frozen=True)
class Candidate:
    """One registered version, as its tags describe it. `mib` is the size of the weights file."""

    rung: str
    version: str
    digest: str
    score: float | None
    mib: float | None
    weight_bits: int
    embedding_bits: int
    activation_bits: int
    evaluated_on: str | None = None
    superseded_by: str | None = None


@dataclass(frozen=True)
class Criteria:
    """What a champion must satisfy. With none of them given, 1-bit weights are asked for."""

    max_mib: float | None = None
    min_score: float | None = None
    activation_bits: int | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is not None and finite(value) is None:
                raise CriteriaError(f"{entry.name}: {value!r} is not a finite number")

    @property
    def weight_bits(self) -> int | None:
        return 1 if self == Criteria() else None

    def describe(self) -> str:
        stated = {
            "1-bit weights": self.weight_bits == 1,
            f"{self.activation_bits}-bit activations": self.activation_bits is not None,
            f"at most {self.max_mib} MiB": self.max_mib is not None,
            f"a score of at least {self.min_score}": self.min_score is not None,
        }
        return ", ".join(text for text, holds in stated.items() if holds)


@dataclass(frozen=True)
class Choice:
    """The best candidate, all that competed from best to worst, and each excluded one with the reason."""

    best: Candidate | None
    ranked: tuple[Candidate, ...]
    excluded: tuple[tuple[Candidate, str], ...]
    reason: str


def choose(candidates: list[Candidate], criteria: Criteria, evaluated_on: str | None = None) -> Choice:
    """Highest score first, then the smaller file, then name and digest.

    Args:
        candidates: in any order; the result does not depend on it.
        criteria: what the best must satisfy.
        evaluated_on: digest of today's validation data; scores on other data are left out. None: not known.
    """
    judged = [(one, _objection(one, criteria, evaluated_on)) for one in sorted(candidates, key=_rank)]
    ranked = tuple(one for one, objection in judged if objection is None)
    excluded = tuple((one, objection) for one, objection in judged if objection is not None)
    reason = _reason(ranked, criteria) if judged else "nothing is registered yet; run dvc repro register"
    return Choice(ranked[0] if ranked else None, ranked, excluded, reason)


def candidates(client: "MlflowClient", name: str) -> list[Candidate]:
    """Every version of the registered model that `register` published."""
    found = versions.every(client, name)
    return [_candidate(version) for version in found if "bitladder.name" in version.tags]


def appoint(client: "MlflowClient", name: str, criteria: Criteria, evaluated_on: str | None) -> Choice:
    """Choose, set the alias, and read both again until they agree: somebody else may be choosing too.

    Without a candidate the alias stays where it is.

    Raises:
        StoreBusyError: they did not agree after several attempts.
    """
    for _ in range(ATTEMPTS):
        choice = choose(candidates(client, name), criteria, evaluated_on)
        if choice.best is None or champion(client, name) == choice.best.version:
            return choice
        client.set_registered_model_alias(name, ALIAS, choice.best.version)
    raise StoreBusyError(f"{name}: somebody else keeps moving the alias {ALIAS!r}; try again")


def champion(client: "MlflowClient", name: str) -> str | None:
    """The version that has the alias now."""
    found = client.search_registered_models(f"name = '{name}'")
    version = client.get_registered_model(name).aliases.get(ALIAS) if found else None
    return None if version is None else str(version)


def remember(client: "MlflowClient", name: str, criteria: Criteria) -> None:
    """Keep the criteria with the registered model."""
    client.set_registered_model_tag(name, CRITERIA, json.dumps(asdict(criteria), sort_keys=True))


def remembered(client: "MlflowClient", name: str) -> Criteria:
    """The criteria of the last `bitladder best`, or the default ones."""
    found = client.search_registered_models(f"name = '{name}'")
    stored = json.loads(found[0].tags.get(CRITERIA, "{}")) if found else {}
    known = {entry.name for entry in fields(Criteria)}
    return Criteria(**{key: value for key, value in stored.items() if key in known})


def _candidate(version: "ModelVersion") -> Candidate:
    def tag(name: str) -> Any:
        return version.tags.get(f"bitladder.{name}")

    return Candidate(
        rung=tag("name"),
        version=str(version.version),
        digest=tag("digest"),
        score=_number(tag("score")),
        mib=_number(tag("mib")),
        weight_bits=int(tag("weight_bits")),
        embedding_bits=int(tag("embedding_bits")),
        activation_bits=int(tag("activation_bits")),
        evaluated_on=tag("evaluated_on"),
        superseded_by=version.tags.get(versions.SUPERSEDED),
    )


def _number(text: str | None) -> float | None:
    try:
        return finite(float(text)) if text is not None else None
    except ValueError:
        return None


def _rank(one: Candidate) -> tuple[float, float, str, str, str]:
    score, size = finite(one.score), finite(one.mib)
    worst = float("inf")
    # The version comes in only between two publications of the same weights under the same name.
    return (
        worst if score is None else -score,
        worst if size is None else size,
        one.rung,
        one.digest,
        one.version,
    )


def _objection(one: Candidate, criteria: Criteria, evaluated_on: str | None) -> str | None:
    score, size = finite(one.score), finite(one.mib)
    if one.superseded_by is not None:
        return f"the same weights were evaluated again: version {one.superseded_by}"
    if score is None:
        return "no finite score"
    if evaluated_on is not None and one.evaluated_on != evaluated_on:
        return "scored on other validation data than today's"
    if criteria.weight_bits is not None and one.weight_bits != criteria.weight_bits:
        return f"{one.weight_bits}-bit weights, wanted {criteria.weight_bits}"
    if criteria.activation_bits is not None and one.activation_bits != criteria.activation_bits:
        return f"{one.activation_bits}-bit activations, wanted {criteria.activation_bits}"
    if criteria.max_mib is not None and size is None:
        return "unknown size"
    if criteria.max_mib is not None and size is not None and size > criteria.max_mib:
        return f"{size:.4g} MiB, at most {criteria.max_mib} wanted"
    if criteria.min_score is not None and score < criteria.min_score:
        return f"score {score}, at least {criteria.min_score} wanted"
    return None


def _reason(ranked: tuple[Candidate, ...], criteria: Criteria) -> str:
    if not ranked:
        return f"no registered rung has a finite score and {criteria.describe()}"
    best, tied = ranked[0], [one for one in ranked[1:] if one.score == ranked[0].score]
    text = f"score {best.score:.4f} is the highest of {len(ranked)} with {criteria.describe()}"
    if not tied:
        return text
    if any(one.mib == best.mib for one in tied):
        return f"{text}; equal scores and sizes: first by name"
    return f"{text}; {', '.join(one.rung for one in tied)} equal it but are larger"
