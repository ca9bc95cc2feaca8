"""Where each part of a rung's first weights comes from, as its `init` in params.yaml says."""

from collections.abc import Callable, Mapping

from pipeline import rungs
from pipeline.initialization.assemble import Origin, Source
from pipeline.initialization.partially_random import Draw
from pipeline.parts import choose


def origins(
    wanted: Mapping[str, rungs.Origin],
    num_layers: int,
    *,
    parent: Source,
    teacher: Callable[[], Source],
    std: float,
    seed: int,
) -> dict[str, Origin]:
    """The origin of every smallest part; what no selector names is the parent's.

    `teacher` is called for parts that are copied from it, not where there are none.

    Raises:
        ValueError: a selector names no part of a model with so many layers, or two contradict each other.
    """
    plain = rungs.Origin()
    return {
        part: _origin(wanted[selector] if selector else plain, parent, teacher, std=std, seed=seed)
        for part, selector in choose(wanted, num_layers).items()
    }


def _origin(
    wanted: rungs.Origin, parent: Source, teacher: Callable[[], Source], *, std: float, seed: int
) -> Origin:
    if wanted.is_drawn:
        own_seed = seed if wanted.seed is None else wanted.seed
        return Draw(wanted.distribution or "normal", wanted.std or std, own_seed)
    return teacher() if wanted.copy_from == "teacher" else parent
