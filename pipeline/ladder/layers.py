"""Whether the layers that `init` names are there, for a model whose number of layers its own files tell.

A model from a package or a folder tells it at once, one from the Hub after the stage `pretrained`: every
later stage refuses before its own work.
"""

from pipeline.ladder.estimate import shape_of
from pipeline.params import Params, ParamsError
from pipeline.problems.initialization import selector_problems


def check(params: Params) -> None:
    """Raises ParamsError, as a wrong params.yaml does, when an `init` names a layer that is not there."""
    shape = shape_of(params)
    if shape is None:
        return
    problems = [
        str(problem)
        for stage in ("weights", "weights_activations")
        for name, rung in getattr(params, stage).items()
        for problem in selector_problems(f"{stage}.{name}.init", list(rung.init), shape.num_hidden_layers)
    ]
    if problems:
        raise ParamsError(problems)
