"""Problems of the ladder: names, parents and teachers, what is delivered, first weights, durations, claims.

A model is trained before what starts from it and before what it teaches, so `init_from` and `taught_by`
together lead from every rung to the teacher. DVC finds a missing parent only when the rung's turn comes,
hours later; here everything is found before anything runs.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import combinations, pairwise

from pipeline.durations import UnequalError
from pipeline.ladder import claims
from pipeline.ladder.sizes import Shape
from pipeline.params import Claim, Params
from pipeline.parts import MAX_LAYERS, SelectorError, choose, select
from pipeline.problems.problem import Found, Problem, did_you_mean, listed, of_rung, unknown
from pipeline.problems.task import NAME_RULE, is_name, repeated
from pipeline.rungs import PRETRAINED, TEACHER, Rung, ancestry

LINKS = {"init_from": "starts from", "taught_by": "is taught by"}
_ENOUGH_LAYERS = 99  # for a model whose number is not known: more only make selectors overlap less

Rungs = Mapping[str, Rung]


def ladder_problems(params: Params) -> Iterator[Problem]:
    """Every problem of names, of `init_from` and `taught_by`, and of `deliver`."""
    yield from _names(params)
    yield from _circles(params.rungs)
    yield from _deliver(params)


def sound(rungs: Rungs) -> dict[str, Rung]:
    """Those that lead to the teacher: what is wrong with others is not said twice."""
    found = {}
    for name, rung in rungs.items():
        with suppress(KeyError, ValueError):
            ancestry(rungs, name)
            found[name] = rung
    return found


def initialization_problems(params: Params, shape: Shape | None) -> Iterator[Problem]:
    """What is wrong with the selectors of each `init`: parts that do not exist, or that two of them claim."""
    num_layers = min(shape.num_hidden_layers, MAX_LAYERS) if shape else _ENOUGH_LAYERS
    for name, rung in params.rungs.items():
        yield from of_rung(name, rung, _selectors(rung, num_layers))


def duration_problems(params: Params, rungs: Rungs) -> Iterator[Problem]:
    """Every problem of the budget and of the rungs' own. `rungs`: those that lead to the teacher."""
    kinds = ("pretraining", "teacher", "rung", "binary_activations")
    budget = {f"budget.{kind}": getattr(params.budget, kind) for kind in kinds}
    for field, duration in budget.items():
        if duration.equal_to is not None:
            yield Problem(f"{field}.equal_to", "only for a rung's own duration; give steps or epochs")
            return
    steps = {field: budget[field].steps for field in list(budget)[1:]}
    for name, rung in rungs.items():
        if rung.duration is None:
            continue
        other, place = rung.duration.equal_to, f"{rung.stage}.{name}.duration"
        followed = params.weights.keys() | params.weights_activations.keys()
        if other is not None and rung.stage == "general":
            yield Problem(f"{place}.equal_to", "only for the rungs of a task; give steps or epochs")
        elif other is not None and other not in followed:
            known = (one for one in params.rungs if one != name and one in followed)
            yield Problem(f"{place}.equal_to", unknown("rung", other, known))
        elif other is None or other in rungs:
            try:
                steps[place] = params.duration_of(rung).steps
            except UnequalError as error:
                yield Problem(f"{place}.equal_to", str(error))
    for field, count in steps.items():
        if count is not None and count < params.budget.evaluations:
            yield Problem(
                "budget.evaluations",
                f"{params.budget.evaluations} do not fit in {count} steps ({field}); write at most {count}",
            )


def claim_problems(params: Params, rungs: Rungs) -> Iterator[Problem]:
    """Every problem of every claim. `rungs`: those that lead to the teacher."""
    for number, claim in enumerate(params.claims):
        where = f"claims[{number}]"
        if claim.claim not in claims.KINDS:
            yield Problem(f"{where}.claim", unknown("claim", claim.claim, claims.KINDS))
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
        elif claim.claim in claims.KINDS and {claim.better, claim.worse} <= rungs.keys():
            yield from _pair(where, claim, rungs)


def _selectors(rung: Rung, num_layers: int) -> Found:
    right = []
    for selector in rung.init:
        try:
            select(selector, num_layers)
            right.append(selector)
        except SelectorError as error:
            known = f"; {did_you_mean(error.word, error.known)}known: {listed(error.known)}"
            yield f"init.{selector}", f"{error}{known if error.known else ''}"
    try:
        choose(right, num_layers)
    except ValueError as error:
        yield "init", f"{error}; write a narrower selector for what they share, or leave one out"


def _names(params: Params) -> Iterator[Problem]:
    sections: dict[str, Rungs] = {
        "general": params.general,
        "weights": params.weights,
        "weights_activations": params.weights_activations,
    }
    for section, name in ((section, name) for section, rungs in sections.items() for name in rungs):
        place = f"{section}.{name}"
        if name in (TEACHER, PRETRAINED):
            yield Problem(place, f"{name!r} is reserved for the model of this name; choose another name")
        elif not is_name(name):
            yield Problem(place, f"{name!r} cannot be a rung's name; {NAME_RULE}")
    for (before, first), (section, others) in combinations(sections.items(), 2):
        for name in first.keys() & others.keys():
            sentence = f"stands under {before} too; a name may be used once; choose another"
            yield Problem(f"{section}.{name}", sentence)
    for name, rung in params.rungs.items():
        for field in LINKS:
            known = [other for other in _may_name(params, rung, field) if other != name]
            if (other := getattr(rung, field)) not in (*known, name):
                yield Problem(f"{rung.stage}.{name}.{field}", unknown("rung", other, known))


def _may_name(params: Params, rung: Rung, field: str) -> list[str]:
    """What a rung may start from, or be taught by: a general one knows no task, and teaches none."""
    if rung.stage == "general":
        return [PRETRAINED, *(params.general if field == "init_from" else ())]
    own = [TEACHER, *params.weights, *params.weights_activations]
    return [*own, *params.general] if field == "init_from" else own


def _circles(rungs: Rungs) -> Iterator[Problem]:
    """Each once: at a rung of it that names its teacher, or else at the one that is written first."""
    found: set[frozenset[str]] = set()
    for field, verb in reversed(LINKS.items()):
        for name, rung in rungs.items():
            way = _way(getattr(rung, field), name, rungs)
            if way is None or frozenset(way) in found:
                continue
            found.add(frozenset(way))
            steps = [f"{name} {verb} {way[0]}", *(_step(rungs, one, other) for one, other in pairwise(way))]
            root = PRETRAINED if rung.stage == "general" else TEACHER
            circle = f"a circle: {', '.join(steps)}; every rung must lead to the {root}"
            yield Problem(f"{rung.stage}.{name}.{field}", circle)


def _way(start: str, goal: str, rungs: Rungs) -> list[str] | None:
    """The shortest way along what each rung needs; None if it does not lead there."""
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == goal:
            return way
        rung = rungs.get(way[-1])
        for needed in (rung.init_from, rung.taught_by) if rung else ():
            if needed not in seen:
                seen.add(needed)
                ways.append([*way, needed])
    return None


def _step(rungs: Rungs, name: str, needed: str) -> str:
    return f"{name} {LINKS['init_from' if rungs[name].init_from == needed else 'taught_by']} {needed}"


def _deliver(params: Params) -> Iterator[Problem]:
    if not params.deliver:
        yield Problem("deliver", "empty; name at least one rung to pack")
    for name in dict.fromkeys(params.deliver):
        if name == TEACHER:
            yield Problem("deliver", f"{TEACHER} is evaluated anyway; name rungs only")
        elif name in params.general:
            yield Problem("deliver", f"{name} is a general rung, which answers nothing; name a task's rungs")
        elif name not in params.rungs:
            yield Problem("deliver", unknown("rung", name, params.rungs))
    for twice in repeated(params.deliver):
        yield Problem("deliver", f"{twice} is written twice; once is enough")


def _pair(where: str, claim: Claim, rungs: Rungs) -> Iterator[Problem]:
    kind, names = claims.KINDS[claim.claim], (claim.better, claim.worse)
    better, worse = (claims.way(rungs, name) for name in names)
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
