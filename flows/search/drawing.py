"""From choices to a ladder: drawn from the target down to what it starts from, written as in params.yaml."""

from collections.abc import Callable, Mapping
from typing import Any

from flows import repeat
from flows.search.space import Space, Way

Pick = Callable[[str, list[Any]], Any]  # of a choice's name, `w1a8.init_from`, and its options


def draw(space: Space, pick: Pick) -> Way:
    """One ladder. Only what its own rungs leave open is asked, where there is more than one option."""
    way: Way = {}
    name = space.target
    while name in space.rungs:
        choices = space.rungs[name].choices
        way[name] = {
            field: options[0] if len(options) == 1 else pick(f"{name}.{field}", options)
            for field, options in choices.items()
        }
        name = way[name]["init_from"]
    return dict(reversed(way.items()))


def named(space: Space, name: str) -> dict[str, Any]:
    """The choices of a ladder that the space names, as Optuna has them: those of its own rungs alone."""
    said, found = space.first[name], dict[str, Any]()

    def pick(choice: str, options: list[Any]) -> Any:
        rung, _, field = choice.partition(".")
        found[choice] = said.get(rung, {}).get(field, options[0])
        return found[choice]

    draw(space, pick)
    return found


def steps_of(space: Space, way: Way) -> dict[str, int]:
    """Of each rung; together they are the space's, whatever the shares round to."""
    steps = {name: round(choice["share"] * space.steps) for name, choice in way.items() if "share" in choice}
    steps[space.target] = space.steps - sum(steps.values())
    return steps


def ladder(space: Space, way: Way) -> dict[str, Any]:
    """The sections of params.yaml that are a ladder; nothing the search chose is left to other sections."""
    steps = steps_of(space, way)
    found: dict[str, Any] = {"weights": {}, "weights_activations": {}}
    for name, choice in way.items():
        rung = space.rungs[name]
        own = {field: option for field, option in choice.items() if field != "share"}
        found[rung.stage][name] = rung.fixed | own | {"duration": {"steps": steps[name]}}
    return {**found, "deliver": list(way), "claims": []}


def in_words(space: Space, way: Way) -> str:
    """`teacher, w2 (100 steps), w1a8 (400 steps, augmented, rate 0.0005)`."""
    steps, said = steps_of(space, way), [str(next(iter(way.values()))["init_from"])]
    for name, choice in way.items():
        words = [f"{steps[name]} steps", *([choice["data"]] if choice["data"] != "plain" else [])]
        words += [f"rate {choice['learning_rate']:g}"] if "learning_rate" in choice else []
        said.append(f"{name} ({', '.join(words)})")
    return ", ".join(said)


def project_values(base: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """params.yaml's values with another ladder and one seed; folders that it names stay where they are."""
    return repeat.in_place({**base, **found, "seeds": [base["seed"]]})
