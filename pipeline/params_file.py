"""params.yaml, read and checked: the one entry for every stage and every command.

Every problem has one line, with the field, its value and what would be right. First all wrong fields are
reported at once; once every field is right by itself, all that contradict each other (`pipeline.problems`).
Nothing here imports torch: a wrong file is refused in a blink.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.ladder.sizes import shape_of
from pipeline.params import Params
from pipeline.problems.distillation import distillation_problems
from pipeline.problems.fields import field_problems
from pipeline.problems.ladder import (
    claim_problems,
    duration_problems,
    initialization_problems,
    ladder_problems,
    sound,
)
from pipeline.problems.own_files import files_problems
from pipeline.problems.precision import precision_problems
from pipeline.problems.problem import Problem
from pipeline.problems.reading import UnreadableError, read_mapping
from pipeline.problems.task import task_problems
from pipeline.problems.teacher import teacher_problems
from pipeline.problems.watched import watched_problems

T = TypeVar("T", bound=BaseModel)


class ParamsError(ValueError):
    """params.yaml cannot be used; `problems` holds every reason, one line each, and `str()` all of them."""

    exit_code = 2

    def __init__(self, problems: Sequence[str], source: str = "params.yaml") -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join((f"{source}: {count}", *(f"  {problem}" for problem in self.problems))))


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        ParamsError: with every wrong field, or else with everything that contradicts something.
    """
    params = read(Params, path)
    problems = [str(problem) for problem in contradictions(params)]
    if problems:
        raise ParamsError(problems, str(path))
    return params


def read(kind: type[T], path: Path) -> T:
    """The file as such a model. Raises ParamsError with every field that is wrong by itself."""
    try:
        return kind.model_validate(read_mapping(path))
    except UnreadableError as error:
        raise ParamsError([str(error)], str(path)) from None
    except ValidationError as error:
        raise ParamsError([str(problem) for problem in field_problems(kind, error)], str(path)) from None


def contradictions(params: Params) -> Iterator[Problem]:
    """Everything that is right by itself and wrong together.

    Layers and groups of weights are held against the model's sizes where these are known (`shape_of`): for a
    model from the Hub not before the stage `pretrained` has fetched it.
    """
    shape, rungs = shape_of(params), sound(params.rungs)
    yield from task_problems(params)
    yield from files_problems(params.data, params.task)
    yield from teacher_problems(params)
    yield from watched_problems(params)
    yield from ladder_problems(params)
    yield from initialization_problems(params, shape)
    yield from precision_problems(params, rungs, shape)
    yield from distillation_problems(params)
    yield from duration_problems(params, rungs)
    yield from claim_problems(params, rungs)
