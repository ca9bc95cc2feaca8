"""Problems of what DVC watches: conf/ sees to it, else who writes params.yaml by hand."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.params import NO_FILE, NUM_WATCHED, Model, Params, Teacher, Watched
from pipeline.problems.problem import Problem, listed


def watched_problems(params: Params) -> Iterator[Problem]:
    """Each folder and file that is read and not watched, or watched and not read."""
    yield from _folder("teacher", params.teacher)
    yield from _folder("model", params.model)
    yield from _files(params)


def _folder(section: str, one: Teacher | Model) -> Iterator[Problem]:
    wanted = str(Path(one.location).expanduser()) if one.source == "path" and one.location else NO_FILE
    if one.watched != wanted:
        sentence = f"{one.watched}; DVC watches it, and {section}.source is {one.source}; write {wanted}"
        yield Problem(f"{section}.watched", sentence)


def _files(params: Params) -> Iterator[Problem]:
    judged_by = [one for one in params.task.judged_by or () if one.file]
    read = {"data.corpus": params.data.corpus, "task.judged_by": judged_by}
    wanted = Watched.wanted(params.data, params.task)
    for field, files in read.items():
        name = field.partition(".")[2]
        given, needed = getattr(params.watched, name), getattr(wanted, name)
        if files and len(files) > NUM_WATCHED:
            sentence = f"{len(files)} files, and DVC watches {NUM_WATCHED} at most; put some into one file"
            yield Problem(field, sentence)
        elif given != needed:
            sentence = f"{_shown(given)}, and DVC watches the files of {field}; write {_shown(needed)}"
            yield Problem(f"watched.{name}", sentence)


def _shown(paths: Sequence[str]) -> str:
    """Without the places that are left over, but for saying that there are some."""
    named = [path for path in paths if path != NO_FILE]
    left = f"{NUM_WATCHED - len(named)} times {NO_FILE}" if len(named) < NUM_WATCHED else ""
    return f"[{listed(filter(None, [*named, left]))}]"
