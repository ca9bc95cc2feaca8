"""Off a terminal, long work writes plain lines, the last of which is complete."""

import pytest

from pipeline.data.progress import progress


def test_the_last_line_tells_the_whole_count(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(30, "augment swap 1") as advance:
        advance(10)
        advance(20)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("augment swap 1: 30 of 30 rows, ")


def test_a_line_is_written_per_interval_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(30, "rows", interval_seconds=0) as advance:
        for _ in range(3):
            advance(10)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"rows: {n} of 30 rows" for n in (10, 20, 30)]
    assert lines[0].endswith("s left")


def test_nothing_is_written_for_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(0, "rows"):
        pass
    assert capsys.readouterr().out == ""
