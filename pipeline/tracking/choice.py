"""Which registered rung is best, within what limits, and why.

The choice is a function of written evidence alone: score, size, bits, digest. The score is the mean where
there are several seeds: a recipe is not as good as its luckiest training. Never of time, and never of a
version's number, which is a matter of who published first. A score that is missing or not finite does not
compete; neither does that of a model which gives one answer to all rows, one from other validation data,
one that a later evaluation of the same weights replaced, nor that of a rung which was trained again since.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import pydantic
from pydantic import ConfigDict

ANY = 0


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
        for name, value in asdict(self).items():
            if value is not None and not math.isfinite(value):
                raise CriteriaError(f"{name}: {value!r} is not a finite number")
        if self.weight_bits not in (ANY, 1, 2, 4, 8):
            raise CriteriaError(f"weight_bits: {self.weight_bits!r} is none of 1, 2, 4, 8 or 0 (any)")

    def describe(self) -> str:
        stated = {
            "weights of any bits": self.weight_bits == ANY,
            f"{self.weight_bits}-bit weights": self.weight_bits != ANY,
            f"{self.activation_bits}-bit activations": self.activation_bits is not None,
            f"at most {self.max_mib} MiB": self.max_mib is not None,
            f"a score of at least {self.min_score}": self.min_score is not None,
        }
        return ", ".join(text for text, holds in stated.items() if holds)


@pydantic.dataclasses.dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class Candidate:
    """One registered version, as its tags describe it.

    Attributes:
        score: of this file, which is one seed's; None where it is undefined.
        mib: size of the weights file.
        mean: over `num_seeds` trainings, where there are several; None where one of them has no score.
        collapsed: the seeds from which it gives one answer to all rows; None when from none.
    """

    rung: str
    version: str
    digest: str
    weight_bits: int
    embedding_bits: int
    activation_bits: int
    score: float | None = None
    mib: float | None = None
    evaluated_on: str | None = None
    superseded_by: str | None = None
    mean: float | None = None
    num_seeds: int = 1
    collapsed: str | None = None

    @property
    def counted(self) -> float | None:
        """What it is ranked by: the mean of several seeds, else its one score; None where not finite."""
        value = self.mean if self.num_seeds > 1 else self.score
        return value if value is not None and math.isfinite(value) else None

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


def choose(candidates: list[Candidate], criteria: Criteria, today: Today | None = None) -> Choice:
    """Highest score (or mean over seeds) first, then the smaller file, then name and digest.

    Args:
        candidates: in any order; the result does not depend on it.
        criteria: what the best must satisfy.
        today: scores on other data and of other weights are left out. What is not known there leaves out
            nothing, so that a registry can be asked without the models.
    """
    judged = [(one, _objection(one, criteria, today or Today())) for one in sorted(candidates, key=_rank)]
    ranked = tuple(one for one, objection in judged if objection is None)
    excluded = tuple((one, objection) for one, objection in judged if objection is not None)
    reason = _reason(ranked, criteria) if judged else "nothing is registered yet; run dvc repro register"
    return Choice(ranked[0] if ranked else None, ranked, excluded, reason)


def _rank(one: Candidate) -> tuple[float, float, str, str, str]:
    best_first = math.inf if one.counted is None else -one.counted
    # The version comes in only between two publications of the same weights under the same name.
    return best_first, math.inf if one.mib is None else one.mib, one.rung, one.digest, one.version


def _objection(one: Candidate, criteria: Criteria, today: Today) -> str | None:
    score = one.counted
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
    if criteria.weight_bits not in (ANY, one.weight_bits):
        return f"{one.weight_bits}-bit weights, wanted {criteria.weight_bits}"
    if criteria.activation_bits not in (None, one.activation_bits):
        return f"{one.activation_bits}-bit activations, wanted {criteria.activation_bits}"
    if criteria.max_mib is not None and one.mib is None:
        return "unknown size"
    if criteria.max_mib is not None and one.mib is not None and one.mib > criteria.max_mib:
        return f"{one.mib:.4g} MiB, at most {criteria.max_mib} wanted"
    if criteria.min_score is not None and score < criteria.min_score:
        return f"{_said(one, score)}, at least {criteria.min_score} wanted"
    return None


def _reason(ranked: tuple[Candidate, ...], criteria: Criteria) -> str:
    if not ranked:
        return f"no registered rung that competes has {criteria.describe()}"
    tied = "; equals by size, then name" if ranked[0].counted in [one.counted for one in ranked[1:]] else ""
    score = f"{ranked[0].counted:.4f}"
    return f"{_said(ranked[0], score)} is the highest of {len(ranked)} with {criteria.describe()}{tied}"


def _said(one: Candidate, score: float | str) -> str:
    """`score 0.9`, or `score 0.9 (mean over 3 seeds)`."""
    return f"score {score}" + (f" ({one.of_seeds})" if one.of_seeds else "")
