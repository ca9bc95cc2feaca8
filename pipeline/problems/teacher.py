"""Problems of `teacher`: one without a place, beside a model that it would replace, or of another task.

The folder is looked into where it is there: what does not fit is refused before anything runs.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.params import NO_FILE, Params, Teacher
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
    if teacher.source == "path" and Path(teacher.location).is_dir():
        yield from _folder(params)


def _places(teacher: Teacher) -> Iterator[Problem]:
    has_location = teacher.location not in ("", NO_FILE)
    if teacher.source == "path" and not has_location:
        needed = "a folder with config.json and model.safetensors"
        yield Problem(FIELD, f"missing; teacher.source: path needs {needed}")
    elif teacher.source == "path" and teacher.location.startswith("~"):
        yield Problem(FIELD, f"{teacher.location!r}: DVC watches it and does not know ~; write it out")
    elif teacher.source != "path" and has_location:
        instead = "write teacher.repository" if teacher.source == "hub" else "write teacher.source: path"
        yield Problem(FIELD, f"only for teacher.source: path, and it is {teacher.source}; {instead}")
    if teacher.source == "hub":
        if not teacher.repository:
            yield Problem("teacher.repository", "missing; teacher.source: hub needs one")
        yield from pinned("teacher", teacher.revision)
        return
    for name in ("repository", "revision"):
        if getattr(teacher, name):
            sentence = f"only for teacher.source: hub, and it is {teacher.source}; leave it empty"
            yield Problem(f"teacher.{name}", sentence)


def _folder(params: Params) -> Iterator[Problem]:
    try:
        folder = model_folder.find(Path(params.teacher.location), field=FIELD)
        for sentence in model_folder.problems(folder, params.task, field=FIELD):
            yield Problem(*sentence.split(": ", 1))
    except ModelFolderError as error:
        yield Problem(*str(error).split(": ", 1))
