"""Which registered rung is best, why, and the alias `champion` that says so in the registry.

The choice is a function of written evidence alone: score, size, bits, digest. The score is the mean where
there are several seeds: a recipe is not as good as its luckiest training. Never of time, and never of a
version's number, which is a matter of who published first. A score that is missing or not finite does not
compete; neither does that of a model which gives one answer to all rows, one from other validation data,
one that a later evaluation of the same weights replaced, nor that of a rung which was trained again since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.tracking import versions
from pipeline.tracking.criteria import ANY, Criteria
from pipeline.tracking.execution import finite
from pipeline.tracking.store import StoreBusyError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
ATTEMPTS = 5


@dataclass(frozen=True)
class Candidate:
    """One registered version, as its tags describe it.

    Attributes:
        score: of this file, which is one seed's.
        mib: size of the weights file.
        mean: over `num_seeds` trainings, where there are several; None where one of them has no score.
        collapsed: the seeds from which it gives one answer to all rows; None when from none.
    """

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
    mean: float | None = None
    num_seeds: int = 1
    collapsed: str | None = None

    @property
    def counted(self) -> float | None:
        """What it is ranked by: the mean of several seeds, else its one score; None where not finite."""
        return finite(self.mean if self.num_seeds > 1 else self.score)

    @property
    def of_seeds(self) -> str:
        """What `counted` is, where it is not the score of this file."""
        return f"mean over {self.num_seeds} seeds" if self.num_seeds > 1 else ""


@dataclass(frozen=True)
class Choice:
    """The best candidate, all that competed from best to worst, and each excluded one with the reason."""

    best: Candidate | None
    ranked: tuple[Candidate, ...]
    excluded: tuple[tuple[Candidate, str], ...]
    reason: str


@dataclass(frozen=True)
class Today:
    """What lies on disk now, which registered evidence must still be about.

    Attributes:
        evaluated_on: digest of the validation data; None when it is not there.
        digests: sha256 of the weights in `models/<rung>/`, by rung; rungs that are not there are left out.
    """

    evaluated_on: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


NOT_KNOWN = Today()


def choose(candidates: list[Candidate], criteria: Criteria, today: Today = NOT_KNOWN) -> Choice:
    """Highest score (or mean over seeds) first, then the smaller file, then name and digest.

    Args:
        candidates: in any order; the result does not depend on it.
        criteria: what the best must satisfy.
        today: scores on other data and of other weights are left out. What is not known there leaves out
            nothing, so that a registry can be asked without the models.
    """
    judged = [(one, _objection(one, criteria, today)) for one in sorted(candidates, key=_rank)]
    ranked = tuple(one for one, objection in judged if objection is None)
    excluded = tuple((one, objection) for one, objection in judged if objection is not None)
    reason = _reason(ranked, criteria) if judged else "nothing is registered yet; run dvc repro register"
    return Choice(ranked[0] if ranked else None, ranked, excluded, reason)


def candidates(client: "MlflowClient", name: str) -> list[Candidate]:
    """Every version of the registered model that `register` published."""
    found = versions.every(client, name)
    return [_candidate(version) for version in found if "bitladder.name" in version.tags]


def appoint(client: "MlflowClient", name: str, criteria: Criteria, today: Today) -> Choice:
    """Choose, set the alias, and read both again until they agree: somebody else may be choosing too.

    Without a candidate the alias stays where it is.

    Raises:
        StoreBusyError: they did not agree after several attempts.
    """
    for _ in range(ATTEMPTS):
        choice = choose(candidates(client, name), criteria, today)
        if choice.best is None or champion(client, name) == choice.best.version:
            return choice
        client.set_registered_model_alias(name, ALIAS, choice.best.version)
    raise StoreBusyError(f"{name}: somebody else keeps moving the alias {ALIAS!r}; try again")


def champion(client: "MlflowClient", name: str) -> str | None:
    """The version that has the alias now."""
    found = client.search_registered_models(f"name = '{name}'")
    version = client.get_registered_model(name).aliases.get(ALIAS) if found else None
    return None if version is None else str(version)


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
        mean=_number(tag("mean")),
        num_seeds=int(tag("num_seeds") or 1),
        collapsed=tag("collapsed"),
    )


def _number(text: str | None) -> float | None:
    try:
        return finite(float(text)) if text is not None else None
    except ValueError:
        return None


def _rank(one: Candidate) -> tuple[float, float, str, str, str]:
    score, size = one.counted, finite(one.mib)
    worst = float("inf")
    # The version comes in only between two publications of the same weights under the same name.
    return (
        worst if score is None else -score,
        worst if size is None else size,
        one.rung,
        one.digest,
        one.version,
    )


def _objection(one: Candidate, criteria: Criteria, today: Today) -> str | None:
    score, size = one.counted, finite(one.mib)
    if one.superseded_by is not None:
        return f"the same weights were evaluated again: version {one.superseded_by}"
    if today.digests.get(one.rung, one.digest) != one.digest:
        return "trained again since"
    if score is None:
        return f"no finite {one.of_seeds or 'score'}"
    if one.collapsed:
        return f"gives one answer to all rows (seed {one.collapsed})"
    if today.evaluated_on is not None and one.evaluated_on != today.evaluated_on:
        return "scored on other validation data than today's"
    if criteria.weight_bits != ANY and one.weight_bits != criteria.weight_bits:
        return f"{one.weight_bits}-bit weights, wanted {criteria.weight_bits}"
    if criteria.activation_bits is not None and one.activation_bits != criteria.activation_bits:
        return f"{one.activation_bits}-bit activations, wanted {criteria.activation_bits}"
    if criteria.max_mib is not None and size is None:
        return "unknown size"
    if criteria.max_mib is not None and size is not None and size > criteria.max_mib:
        return f"{size:.4g} MiB, at most {criteria.max_mib} wanted"
    if criteria.min_score is not None and score < criteria.min_score:
        return f"{_said(one)}, at least {criteria.min_score} wanted"
    return None


def _reason(ranked: tuple[Candidate, ...], criteria: Criteria) -> str:
    if not ranked:
        return f"no registered rung that competes has {criteria.describe()}"
    best, tied = ranked[0], [one for one in ranked[1:] if one.counted == ranked[0].counted]
    text = f"{_said(best, 4)} is the highest of {len(ranked)} with {criteria.describe()}"
    if not tied:
        return text
    if any(one.mib == best.mib for one in tied):
        return f"{text}; equal scores and sizes: first by name"
    return f"{text}; {', '.join(one.rung for one in tied)} equal it but are larger"


def _said(one: Candidate, places: int | None = None) -> str:
    """`score 0.9`, or `score 0.9 (mean over 3 seeds)`."""
    score = one.counted if places is None else f"{one.counted:.{places}f}"
    return f"score {score}" + (f" ({one.of_seeds})" if one.of_seeds else "")
