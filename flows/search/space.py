"""A space of ladders: a file of conf/search/, read and checked like params.yaml.

    target: w1a8                # the rung whose score on the selection split is to be high
    steps: 500                  # of every ladder, all its rungs together
    weights:
      w2: {bits: 2, init_from: [teacher], data: [plain, augmented], share: [0.2, 0.4]}
    weights_activations:
      w1a8: {bits: 1, activation_bits: 8, init_from: [teacher, w2], data: [plain]}
    first:
      stepped: {w1a8: {init_from: w2}}

A rung is as params.yaml has it, but that `init_from`, `data`, `learning_rate` and `share` (of the steps) are
lists to choose from. It is part of a ladder when another rung of that starts from it; the target, which
always is, has the steps that the others leave. What stands first in each list is the usual.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from pipeline import params_file
from pipeline.params import Params
from pipeline.params_file import ParamsError, contradictions
from pipeline.problems.problem import Problem, listed, unknown
from pipeline.problems.task import repeated
from pipeline.rungs import TEACHER, ActivationRung, Count, DataKind, LearningRate, Rung, Section

CONF = Path("conf/search")
SEARCHED = ("init_from", "data", "share", "learning_rate")
Share = Annotated[float, Field(gt=0, lt=1)]
Choice = dict[str, Any]  # one rung's, by field
Way = dict[str, Choice]  # of each rung of a ladder, the first after the teacher first


class _Searched(BaseModel):
    """What a rung of a space has in place of a rung's own fields of these names.

    Attributes:
        init_from: models it may start from: `teacher`, general rungs of params.yaml, or rungs of the space.
        share: of the space's steps; the target has none.
        learning_rate: that of `training` if there is none.
        duration: given by the share.
    """

    init_from: Annotated[list[str], Field(min_length=1)]
    data: Annotated[list[DataKind], Field(min_length=1)]
    share: Annotated[list[Share], Field(min_length=1)] | None = None
    learning_rate: Annotated[list[LearningRate], Field(min_length=1)] | None = None
    taught_by: Literal["teacher"] = TEACHER
    duration: None = None

    @property
    def choices(self) -> dict[str, list[Any]]:
        """What there is to choose from, by field."""
        return {field: options for field in SEARCHED if (options := getattr(self, field)) is not None}

    @property
    def fixed(self) -> dict[str, Any]:
        """The fields that every ladder has alike, as the file has them."""
        given = self.model_dump(mode="json", exclude_unset=True, exclude={*SEARCHED, "taught_by", "duration"})
        return {**given, "taught_by": self.taught_by}


class WeightRung(_Searched, Rung):  # type: ignore[misc]
    """A rung of stage one, with choices."""


class QuantizedRung(_Searched, ActivationRung):  # type: ignore[misc]
    """A rung of stage two, with choices."""


class Space(Section):
    """All ladders to one rung.

    Attributes:
        first: ladders to try before any other, by name: of some rungs, what is not the usual.
    """

    target: str
    steps: Count
    weights: dict[str, WeightRung] = Field(default_factory=dict)
    weights_activations: dict[str, QuantizedRung] = Field(default_factory=dict)
    first: dict[str, dict[str, dict[str, str | float]]] = Field(default_factory=dict)

    @property
    def rungs(self) -> dict[str, WeightRung | QuantizedRung]:
        """Of both stages, by name."""
        return {**self.weights, **self.weights_activations}

    def count(self, name: str | None = None) -> int:
        """How many ladders lead to a model, the target if none is named; 1 where they start."""
        if name is not None and name not in self.rungs:
            return 1
        choices = self.rungs[name or self.target].choices
        count = sum(map(self.count, choices["init_from"]))
        for field in choices.keys() - {"init_from"}:
            count *= len(choices[field])
        return count


def load(name: str, params: Params, steps: int | None = None, folder: Path = CONF) -> Space:
    """The space `conf/search/<name>.yaml`; `steps` in place of its own.

    Raises:
        ParamsError: there is no such file; every wrong field of it, or else all that contradict something.
    """
    path = folder / f"{name}.yaml"
    known = sorted(other.stem for other in folder.glob("*.yaml"))
    if name not in known:
        raise ParamsError([unknown("space", name, known)], str(folder))
    space = params_file.read(Space, path)
    space = space.model_copy(update={"steps": steps or space.steps})
    if found := list(dict.fromkeys(map(str, space_problems(space, params)))):
        raise ParamsError(found, str(path))
    return space


def space_problems(space: Space, params: Params) -> Iterator[Problem]:
    """Everything that is right by itself and wrong together."""
    if params.evaluation.selection != "held_out":
        sentence = "validation is not allowed: a search chooses by the selection split; write held_out"
        yield Problem("params.yaml, evaluation.selection", sentence)
    if space.target not in space.rungs:
        yield Problem("target", unknown("rung", space.target, space.rungs))
        return
    yield from _lists(space)
    rungs = list(_rung_problems(space, params))
    yield from rungs
    if not rungs:  # every way has an end
        yield from _unused(space)
        yield from _shares(space, params.budget.evaluations)
        yield from _first(space)


def _place(space: Space, name: str) -> str:
    return f"{space.rungs[name].stage}.{name}"


def _lists(space: Space) -> Iterator[Problem]:
    for name, rung in space.rungs.items():
        for field, options in rung.choices.items():
            if twice := repeated(options):
                sentence = f"{listed(twice)} is written twice; once is enough"
                yield Problem(f"{_place(space, name)}.{field}", sentence)
        if name == space.target and rung.share is not None:
            sentence = "the target has the steps that the others leave; leave this out"
            yield Problem(f"{_place(space, name)}.share", sentence)
        if name != space.target and rung.share is None:
            yield Problem(
                f"{_place(space, name)}.share", "missing; write shares of the steps, as in [0.1, 0.2]"
            )


def _rung_problems(space: Space, params: Params) -> Iterator[Problem]:
    """What is wrong with rungs and with who starts from whom, each model that one may start from in turn."""
    usual = {name: rung.init_from[0] for name, rung in space.rungs.items()}
    for name, rung in space.rungs.items():
        for parent in rung.init_from:
            yield from contradictions(_whole(space, params, {**usual, name: parent}))
    yield from _circles(space, {TEACHER, *params.general})


def _whole(space: Space, params: Params, parents: Mapping[str, str]) -> Params:
    """Params with all rungs of the space, each from this parent; how long they train is not checked here."""
    built: dict[str, dict[str, Rung]] = {"weights": {}, "weights_activations": {}}
    for name, rung in space.rungs.items():
        kind = ActivationRung if isinstance(rung, QuantizedRung) else Rung
        values = {**rung.fixed, "init_from": parents[name], "data": rung.data[0]}
        built[rung.stage][name] = kind.model_validate(values)
    ladder = {**built, "deliver": [space.target], "claims": []}
    return params.model_copy(update=ladder)


def _circles(space: Space, roots: set[str]) -> Iterator[Problem]:
    """Where some choices would lead nowhere; one at a time they might."""
    leads = set(roots)
    while more := {
        name for name, rung in space.rungs.items() if name not in leads and leads.issuperset(rung.init_from)
    }:
        leads |= more
    left, known = (
        {name: space.rungs[name] for name in space.rungs if name not in leads},
        roots | space.rungs.keys(),
    )
    while ends := left.keys() - {parent for rung in left.values() for parent in rung.init_from}:
        left = {name: rung for name, rung in left.items() if name not in ends}
    if left and all(known.issuperset(rung.init_from) for rung in left.values()):
        sentence = f"{listed(left)} may start from each other in a circle; each must lead to the {TEACHER}"
        yield Problem(f"{_place(space, next(iter(left)))}.init_from", sentence)


def _unused(space: Space) -> Iterator[Problem]:
    used, waiting = set[str](), [space.target]
    while waiting:
        used.add(name := waiting.pop())
        waiting += [one for one in space.rungs[name].init_from if one in space.rungs and one not in used]
    for name in space.rungs.keys() - used:
        sentence = f"no way to {space.target} starts from it; add it to an init_from, or leave it out"
        yield Problem(_place(space, name), sentence)


def _shares(space: Space, evaluations: int) -> Iterator[Problem]:
    """Every rung needs a step for each of its evaluations."""
    for name, rung in space.rungs.items():
        least = round(min(rung.share or [1]) * space.steps)
        if least < evaluations:
            sentence = f"{min(rung.share or [1])} of {space.steps} steps are {least}"
            yield Problem(
                f"{_place(space, name)}.share",
                f"{sentence}; at least {evaluations} are right (budget.evaluations)",
            )
    way, total = _longest(space, space.target)
    if space.steps - sum(round(share * space.steps) for share in way.values()) < evaluations:
        shares = listed(f"{name} {share:g}" for name, share in reversed(way.items()))
        left = f"leave too little of {space.steps} steps for {space.target}; together less than 1 is right"
        yield Problem("steps", f"the largest shares of a way, {shares}, are {total:g} and {left}")


def _longest(space: Space, name: str) -> tuple[dict[str, float], float]:
    """The way to a rung on which most is gone before it, with the largest share of each rung on it."""
    best: tuple[dict[str, float], float] = ({}, 0.0)
    for parent in space.rungs[name].init_from:
        if parent in space.rungs:
            way, total = _longest(space, parent)
            own = max(space.rungs[parent].share or [0.0])
            best = max(best, ({parent: own, **way}, round(total + own, 9)), key=lambda found: found[1])
    return best


def _first(space: Space) -> Iterator[Problem]:
    """Of the ladders that the space names: rungs and choices that it does not have, or that do not count."""
    for name, said in space.first.items():
        found = list(_no_choices(space, f"first.{name}", said))
        yield from found or _beside_the_way(space, f"first.{name}", said)


def _no_choices(space: Space, place: str, said: Mapping[str, Choice]) -> Iterator[Problem]:
    for rung, chosen in said.items():
        if rung not in space.rungs:
            yield Problem(f"{place}.{rung}", unknown("rung", rung, space.rungs))
            continue
        choices = space.rungs[rung].choices
        for field, value in chosen.items():
            if field not in choices:
                sentence = f"there is no such choice; known: {listed(choices)}"
                yield Problem(f"{place}.{rung}.{field}", sentence)
            elif value not in choices[field]:
                sentence = f"{value!r} is no choice of the space; known: {listed(choices[field])}"
                yield Problem(f"{place}.{rung}.{field}", sentence)


def _beside_the_way(space: Space, place: str, said: Mapping[str, Choice]) -> Iterator[Problem]:
    on_the_way, name = set[str](), space.target
    while name in space.rungs:
        on_the_way.add(name)
        name = said.get(name, {}).get("init_from", space.rungs[name].init_from[0])
    for rung in said.keys() - on_the_way:
        sentence = f"nothing on this way to {space.target} starts from it; say what does, or leave it out"
        yield Problem(f"{place}.{rung}", sentence)
