"""A piece of a rehearsal is done in a process of its own, and whatever dies in it is told."""

import os
import signal
from pathlib import Path
from typing import Any, NoReturn

import pytest

from flows.rehearsal import apart
from flows.rehearsal.apart import Piece


def done_apart(piece: Piece, tmp_path: Path) -> dict[str, Any]:
    with (tmp_path / "log.txt").open("a") as log:
        return apart.apart(piece, log.fileno())


def test_a_piece_comes_back_with_what_it_found_and_the_log_with_what_it_said(tmp_path: Path) -> None:
    def piece() -> dict[str, Any]:
        os.write(1, b"said")
        return {"found": 1}

    assert done_apart(piece, tmp_path) == {"found": 1}
    assert (tmp_path / "log.txt").read_text() == "said"


def test_a_piece_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    def piece() -> NoReturn:
        raise ValueError("no such model")

    assert done_apart(piece, tmp_path) == {"error": "ValueError: no such model"}


def test_a_piece_that_is_killed_is_told(tmp_path: Path) -> None:
    def piece() -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    assert "memory" in done_apart(piece, tmp_path)["error"]


def test_a_piece_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS_PER_PIECE", 1)

    def piece() -> NoReturn:
        signal.pause()
        raise AssertionError

    assert done_apart(piece, tmp_path) == {"error": "took longer than 1 s"}
