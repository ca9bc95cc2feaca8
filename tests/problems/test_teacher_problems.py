"""A given teacher is refused where it has no place, or stands beside a model that it would replace."""

import pytest
from changed_params import MRPC, Change, Refusals

COMMIT = "0" * 40
GIVEN: tuple[Change, ...] = (*MRPC, ("model", {"name": "own", "source": "teacher"}))


def test_a_folder_and_a_pinned_repository_are_accepted(refusals: Refusals) -> None:
    assert refusals(*GIVEN, ("teacher", {"source": "path", "location": "somewhere"})) == []
    assert refusals(*GIVEN, ("teacher", {"source": "hub", "repository": "a/b", "revision": COMMIT})) == []


def test_without_the_section_the_teacher_is_trained_here(refusals: Refusals) -> None:
    assert refusals(("teacher", ...)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [("teacher.location", "x")],
            "teacher.location: only for teacher.source: path, and it is trained; write",
        ),
        ([("teacher.revision", COMMIT)], "teacher.revision: only for teacher.source: hub, and it is trained"),
        ([*MRPC, ("model.source", "teacher"), ("model.location", None)], "teacher.source: trained, but"),
        (
            [*GIVEN, ("teacher.source", "path")],
            "teacher.location: missing; teacher.source: path needs a folder",
        ),
        ([*GIVEN, ("teacher", {"source": "hub", "repository": "a/b"})], "teacher.revision: missing"),
        ([*GIVEN, ("teacher.source", "hub")], "teacher.repository: missing"),
        (
            [*GIVEN, ("teacher", {"source": "hub", "location": "a/b"})],
            "teacher.location: only for teacher.source: path, and it is hub; write teacher.repository",
        ),
        ([*GIVEN, ("teacher", {"source": "path", "location": "~/a"})], "does not know ~; write it out"),
        (
            [*GIVEN, ("teacher", {"source": "path", "location": "a", "revision": COMMIT})],
            "teacher.revision: only for teacher.source: hub",
        ),
        (
            [*MRPC, ("teacher", {"source": "path", "location": "a"})],
            "model.source: path, but a given teacher brings its own encoder; write teacher (-S model=own)",
        ),
        (
            [*GIVEN, ("teacher", {"source": "path", "location": "a"}), ("model.location", "b")],
            "model.location: only where model.source is not teacher",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(refusals: Refusals, changes: list[Change], problem: str) -> None:
    assert any(problem in found for found in refusals(*changes)), refusals(*changes)
