"""Problems of `teacher`: one without a place, beside a model that it would replace, or of another task.

The folder is looked into where it is there: what does not fit is refused before anything runs.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.params import Params, Task, Teacher
from pipeline.problems import model_folder
from pipeline.problems.model_folder import ModelFolderError
from pipeline.problems.problem import Problem, pinned

FIELD = "teacher.location"


def teacher_problems(params: Params) -> Iterator[Problem]:
    """Every contradiction of where the teacher comes from, and everything in its folder that does not fit."""
    teacher, model = params.teacher, params.model
    yield from _places(teacher)
    if not teacher.is_given:
        if model.source == "teacher":
            yield Problem(
                "teacher.source", "trained, but model.source: teacher needs a given one; write path"
            )
        return
    if model.source != "teacher":
        yield Problem(
            "model.source",
            f"{model.source}, but a given teacher brings its own encoder; write teacher (-S model=own)",
        )
    if teacher.source == "path" and (folder := Path(teacher.location or "").expanduser()).is_dir():
        yield from _folder(folder, params.task)


def _places(teacher: Teacher) -> Iterator[Problem]:
    if teacher.is_given and not teacher.location:
        needed = {
            "path": "a folder with config.json and model.safetensors",
            "hub": "a repository, OWNER/NAME",
        }[teacher.source]
        yield Problem(FIELD, f"missing; teacher.source: {teacher.source} needs {needed}")
    elif not teacher.is_given and teacher.location:
        yield Problem(FIELD, "only for teacher.source: path or hub, and it is trained; write -S model=own")
    if teacher.source == "hub":
        yield from pinned("teacher", teacher.revision)
    elif teacher.revision:
        sentence = f"only for teacher.source: hub, and it is {teacher.source}; leave it empty"
        yield Problem("teacher.revision", sentence)


def _folder(root: Path, task: Task) -> Iterator[Problem]:
    try:
        folder = model_folder.find(root, field=FIELD)
        for sentence in model_folder.problems(folder, task, field=FIELD):
            yield Problem(*sentence.split(": ", 1))
    except ModelFolderError as error:
        yield Problem(*str(error).split(": ", 1))
