"""Problems of `claims`: kinds that are not known, rungs that are not delivered, pairs that prove nothing."""

from collections.abc import Iterator, Mapping

from pipeline.ladder.claims import KINDS, way
from pipeline.params import Claim, Params
from pipeline.problems.problem import Problem, unknown
from pipeline.rungs import Rung


def claim_problems(params: Params, rungs: Mapping[str, Rung]) -> Iterator[Problem]:
    """Every problem of every claim. `rungs`: those that lead to the teacher."""
    for number, claim in enumerate(params.claims):
        where = f"claims[{number}]"
        if claim.claim not in KINDS:
            yield Problem(f"{where}.claim", unknown("claim", claim.claim, KINDS))
        for field, name in (("better", claim.better), ("worse", claim.worse)):
            if name in params.rungs and name not in params.deliver:
                yield Problem(
                    f"{where}.{field}", f"{name} is not delivered, so it gets no score; add it to deliver"
                )
            elif name not in params.deliver:
                yield Problem(f"{where}.{field}", unknown("rung", name, params.deliver, which="delivered"))
        if claim in params.claims[:number]:
            pair = f"{claim.claim} of {claim.better} and {claim.worse}"
            yield Problem(where, f"{pair} is written twice; once is enough")
        elif claim.better == claim.worse:
            yield Problem(f"{where}.worse", f"{claim.worse} cannot beat itself; name another rung")
        elif claim.claim in KINDS and {claim.better, claim.worse} <= rungs.keys():
            yield from _pair(where, claim, rungs)


def _pair(where: str, claim: Claim, rungs: Mapping[str, Rung]) -> Iterator[Problem]:
    kind, names = KINDS[claim.claim], (claim.better, claim.worse)
    better, worse = (way(rungs, name) for name in names)
    if better.bits != worse.bits:
        first, second = ("-".join(map(str, each.bits)) for each in (better, worse))
        yield Problem(
            where,
            f"{claim.claim} does not fit: both must have equal bits (of weights, embeddings, activations); "
            f"{claim.better} has {first}, {claim.worse} {second}",
        )
    elif not kind.fits(better, worse):
        needs = kind.needs.format(better=claim.better, worse=claim.worse)
        yield Problem(where, f"{claim.claim} does not fit: {needs}")
