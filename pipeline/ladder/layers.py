"""Whether the layers that `init` names are there and groups of weights fill rows, for a model whose shape its
own files tell.

A model from a package or a folder tells it at once, one from the Hub after the stage `pretrained`: every
later stage refuses before its own work.
"""

from collections.abc import Iterator

from pipeline.ladder.sizes import Shape, shape_of
from pipeline.params import Params, ParamsError
from pipeline.problems.initialization import selector_problems
from pipeline.problems.problem import Problem
from pipeline.problems.quantizers import SIZES, group_problems, row_sizes
from pipeline.rungs import Rung


def check(params: Params) -> None:
    """Raises ParamsError, as a wrong params.yaml does, for a missing layer or a group that leaves a rest."""
    shape = shape_of(params)
    if shape is None:
        return
    problems = [
        str(problem)
        for stage in ("weights", "weights_activations")
        for name, rung in getattr(params, stage).items()
        for problem in _problems(f"{stage}.{name}", rung, shape)
    ]
    if problems:
        raise ParamsError(problems)


def _problems(place: str, rung: Rung, shape: Shape) -> Iterator[Problem]:
    yield from selector_problems(f"{place}.init", list(rung.init), shape.num_hidden_layers)
    if rung.group_size is not None:
        sizes = row_sizes({name: getattr(shape, name) for name in SIZES}, rung.width)
        yield from group_problems(f"{place}.group_size", rung.group_size, sizes)
