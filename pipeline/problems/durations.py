"""Problems of durations: said twice or not at all, as long as a rung that cannot tell, too short to score."""

from collections.abc import Iterator

from pipeline.equal_steps import STEPS, Length, MixedError, UnequalError, epochs, length_of
from pipeline.problems.ladder import SECTIONS, TEACHER
from pipeline.problems.problem import Problem, did_you_mean, listed
from pipeline.problems.values import Values

_WAYS = ("steps", "epochs", "equal_to")
_REMEDY = "as long as another needs steps on both ways, or epochs: take a budget in steps (budget=hours)"
_BUDGET = ("pretraining", "teacher", "rung", "binary_activations")
Place = tuple[str, ...]


def duration_problems(values: Values) -> Iterator[Problem]:
    """Every problem of the budget's durations and of the rungs' own."""
    ladder = _ladder(values)
    for place in [*(("budget", kind) for kind in _BUDGET), *((*rung, "duration") for rung in _rungs(values))]:
        yield from _one_way(values, place)
    for rung in _rungs(values):
        yield from _equal(values, rung, ladder)
    yield from _mixed(values, ladder)
    yield from _evaluations(values, ladder)


def _one_way(values: Values, place: Place) -> Iterator[Problem]:
    given = [way for way in _WAYS if values.written(*place, way)]
    if values.written(*place) and len(given) != 1:
        found = {0: "none is given", 2: "both are given", 3: "all are given"}[len(given)]
        shown = listed(given) + ": " if given else ""
        yield Problem(".".join(place), f"exactly one of steps, epochs and equal_to is needed, {shown}{found}")
    elif place[0] == "budget" and given == ["equal_to"]:
        yield Problem(f"{'.'.join(place)}.equal_to", "for a rung's own duration only; give steps or epochs")


def _equal(values: Values, rung: tuple[str, str], ladder: dict[str, Length]) -> Iterator[Problem]:
    other = values.text(*rung, "duration", "equal_to")
    if other is None or not _leads_to_the_teacher(rung[1], ladder):
        return
    where = ".".join((*rung, "duration", "equal_to"))
    if other not in ladder:
        known = [name for name in ladder if name != rung[1]]
        yield Problem(where, f"no rung {other!r}; {did_you_mean(other, known)}known: {listed(known)}")
    elif _leads_to_the_teacher(other, ladder):
        try:
            length_of(rung[1], ladder)
        except MixedError:
            return
        except UnequalError as error:
            yield Problem(where, str(error))


def _mixed(values: Values, ladder: dict[str, Length]) -> Iterator[Problem]:
    """Said once for the ladder: the budget makes it so for all of them."""
    found: dict[str, Problem] = {}
    for rung in _rungs(values):
        try:
            if ladder[rung[1]].equal_to in ladder and _leads_to_the_teacher(rung[1], ladder):
                length_of(rung[1], ladder)
        except MixedError as error:
            found[rung[1]] = Problem(".".join((*rung, "duration", "equal_to")), f"{error}; {_REMEDY}")
        except UnequalError:
            continue
    if found:
        first, *others = found
        so = f"; so it is with {listed(others)}" if others else ""
        yield Problem(found[first].field, f"{found[first].sentence}{so}")


def _evaluations(values: Values, ladder: dict[str, Length]) -> Iterator[Problem]:
    evaluations = values.whole("budget", "evaluations")
    lengths: dict[Place, int | None] = {
        ("budget", kind): values.whole("budget", kind, "steps") for kind in _BUDGET[1:]
    }
    lengths |= {(*rung, "duration"): _steps(values, rung, ladder) for rung in _rungs(values)}
    for place, steps in lengths.items():
        if evaluations and steps and evaluations > steps:
            where = ".".join(place)
            yield Problem("budget.evaluations", f"{evaluations} do not fit in {steps} steps ({where})")


def _steps(values: Values, rung: tuple[str, str], ladder: dict[str, Length]) -> int | None:
    """What its own duration comes to; None where it has none, or one that is wrong or in epochs."""
    own = values.whole(*rung, "duration", "steps")
    if own is not None or not values.written(*rung, "duration", "equal_to"):
        return own
    try:
        amount = length_of(rung[1], ladder)
    except UnequalError:
        return None
    return int(amount.count) if amount.unit == STEPS else None


def _ladder(values: Values) -> dict[str, Length]:
    return {rung[1]: _length(values, rung) for rung in _rungs(values)}


def _length(values: Values, rung: tuple[str, str]) -> Length:
    place = _duration(values, rung)
    parent, other = values.text(*rung, "init_from") or "", values.text(*place, "equal_to")
    in_epochs = values.number(*place, "epochs")
    if in_epochs is None:
        return Length(parent, values.whole(*place, "steps"), equal_to=other)
    batch_size = values.whole("training", _kind(values, rung), "batch_size") or 0
    return Length(parent, in_epochs, epochs(batch_size), other)


def _duration(values: Values, rung: tuple[str, str]) -> Place:
    """Where the rung's duration stands: as `Params.duration_of`."""
    if values.written(*rung, "duration"):
        return (*rung, "duration")
    return ("budget", _kind(values, rung))


def _kind(values: Values, rung: tuple[str, str]) -> str:
    """Which section of `budget` and `training` it is trained by."""
    one_bit = rung[0] == "weights_activations" and values.whole(*rung, "activation_bits") == 1
    return "binary_activations" if one_bit else "rung"


def _leads_to_the_teacher(name: str, ladder: dict[str, Length]) -> bool:
    """Missing parents and circles of them are the ladder's problems."""
    way: list[str] = []
    while name in ladder and name not in way:
        way.append(name)
        name = ladder[name].parent
    return name == TEACHER


def _rungs(values: Values) -> list[tuple[str, str]]:
    return [(section, name) for section in SECTIONS for name in values.names(section)]
