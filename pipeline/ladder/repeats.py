"""What the other seeds cost: for each the teacher and the whole ladder once more (`flows/repeat.py`).

Arithmetic only. Time is that of the graph's own stages, one after another, when nothing of the seed is there
yet. Of each model one copy lies in the working folder: neither DVC nor MLflow has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.ladder import cost
from pipeline.ladder.cost import Cost
from pipeline.params import Params

SHARED = "pretrained"  # the graph's own serves every seed


@dataclass(frozen=True)
class Repeat:
    """The ladder from one more seed. None where it is not known.

    Attributes:
        stage: of dvc.yaml.
        models: how many are trained, the teacher included.
        seconds: of training, packing and scoring them.
        disk_mib: of all of them, trained and packed.
    """

    seed: int
    stage: str
    models: int
    seconds: float | None
    disk_mib: float | None


def repeats(params: Params, costs: Mapping[str, Cost], scoring_seconds: float | None) -> list[Repeat]:
    """One for each seed but the graph's own. `scoring_seconds`: of the stage `evaluate`."""
    names = [name for name in costs if name != SHARED]
    seconds = [costs[name].seconds for name in names]
    packing = [costs[name].pack_seconds for name in params.deliver]
    return [
        Repeat(
            seed=seed,
            stage=f"repeat@{seed}",
            models=len(names),
            seconds=_sum([*seconds, *packing, scoring_seconds]),
            disk_mib=_one_copy_mib(params, names),
        )
        for seed in params.seeds
        if seed != params.seed
    ]


def _one_copy_mib(params: Params, names: list[str]) -> float | None:
    """Of the models' files, trained and packed: what one copy more takes."""
    once, twice = (cost.costs(params, {}, None, copies=copies) for copies in (1, 2))
    sizes = [(once[name].disk_mib, twice[name].disk_mib) for name in names]
    return _sum([None if less is None or more is None else more - less for less, more in sizes])


def _sum(values: list[float | None]) -> float | None:
    """None when one of them is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
