"""Problems of `teacher`: a given one without a place, or beside a model that it would replace."""

from collections.abc import Iterator

from pipeline.params import Params
from pipeline.problems.problem import Problem, pinned

_WHAT = {"path": "a folder with config.json and model.safetensors", "hub": "a repository"}


def teacher_problems(params: Params) -> Iterator[Problem]:
    """Every contradiction of where the teacher comes from."""
    teacher, model = params.teacher, params.model
    if not teacher.is_given:
        if teacher.location or teacher.revision:
            name = "location" if teacher.location else "revision"
            sentence = "only for teacher.source: path or hub, and it is trained; leave it empty"
            yield Problem(f"teacher.{name}", sentence)
        if model.source == "teacher":
            yield Problem(
                "teacher.source", "trained, but model.source: teacher needs a given one; write path"
            )
        return
    if not teacher.location:
        yield Problem(
            "teacher.location", f"missing; teacher.source: {teacher.source} needs {_WHAT[teacher.source]}"
        )
    if teacher.source == "hub":
        yield from pinned("teacher", teacher.revision)
    elif teacher.revision:
        yield Problem("teacher.revision", "only for teacher.source: hub; leave it empty")
    if model.source != "teacher":
        yield Problem(
            "model.source",
            f"{model.source}, but a given teacher brings its own encoder; write teacher (-S model=own)",
        )
