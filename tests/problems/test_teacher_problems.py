"""A given teacher is refused where it has no place, or stands beside a model that it would replace."""

import pytest
from changed_params import MRPC, Change, Refusals

COMMIT = "0" * 40
PLACE = {"source": "path", "location": "a", "watched": "a"}
GIVEN: tuple[Change, ...] = (*MRPC, ("model", {"name": "own", "source": "teacher"}))


def test_a_folder_and_a_pinned_repository_are_accepted(refusals: Refusals) -> None:
    assert refusals(*GIVEN, ("teacher", PLACE)) == []
    assert refusals(*GIVEN, ("teacher", {"source": "hub", "location": "a/b", "revision": COMMIT})) == []


def test_without_the_section_the_teacher_is_trained_here(refusals: Refusals) -> None:
    assert refusals(("teacher", ...)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [("teacher.location", "x")],
            "teacher.location: only for teacher.source: path or hub, and it is trained; write",
        ),
        ([("teacher.revision", COMMIT)], "teacher.revision: only for teacher.source: hub, and it is trained"),
        ([*MRPC, ("model.source", "teacher"), ("model.location", None)], "teacher.source: trained, but"),
        (
            [*GIVEN, ("teacher.source", "path")],
            "teacher.location: missing; teacher.source: path needs a folder",
        ),
        ([*GIVEN, ("teacher", {"source": "hub", "location": "a/b"})], "teacher.revision: missing"),
        ([*GIVEN, ("teacher.source", "hub")], "teacher.location: missing; teacher.source: hub needs a repo"),
        (
            [*GIVEN, ("teacher", {"source": "path", "location": "a"})],
            "teacher.watched: conf/no_file; DVC watches it, and teacher.source is path; write a",
        ),
        (
            [*GIVEN, ("teacher", {"source": "hub", "location": "a/b", "watched": "a/b"})],
            "teacher.watched: a/b; DVC watches it, and teacher.source is hub; write conf/no_file",
        ),
        ([*MRPC, ("model.watched", "b")], "model.watched: b; DVC watches it, and model.source is path"),
        (
            [*GIVEN, ("teacher", {**PLACE, "revision": COMMIT})],
            "teacher.revision: only for teacher.source: hub",
        ),
        (
            [*MRPC, ("teacher", PLACE)],
            "model.source: path, but a given teacher brings its own encoder; write teacher (-S model=own)",
        ),
        (
            [*GIVEN, ("teacher", PLACE), ("model.location", "b")],
            "model.location: only where model.source is not teacher",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(refusals: Refusals, changes: list[Change], problem: str) -> None:
    assert any(problem in found for found in refusals(*changes)), refusals(*changes)
