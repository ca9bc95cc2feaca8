"""The page of a search: what was tried, what each choice is worth, what it cost; the same from the same."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.record import OtherFormatError
from pipeline.reporting import search
from pipeline.reporting.search import Search, Tried, TriedRung


def tried(number: int, score: float | None, *, how: str = "trained", w2: str | None = None) -> Tried:
    """A ladder straight to w1a8, or by way of a w2 that has learned from these rows."""
    target = {"init_from": "w2" if w2 else "teacher", "data": "plain", "learning_rate": 0.0005}
    rungs = {"w1a8": TriedRung(steps=80 if w2 else 100, chosen=target, score=score)}
    if w2:
        chosen: dict[str, str | float] = {"init_from": "teacher", "data": w2, "share": 0.2}
        rungs = {"w2": TriedRung(steps=20, chosen=chosen, score=0.9), **rungs}
    return Tried.model_validate(
        {
            "number": number,
            "name": "straight" if number == 0 else None,
            "how": how,
            "why": None,
            "rungs": rungs,
            "score": score,
            "core_seconds": 60.0,
            "core_seconds_alone": 90.0,
        }
    )


def found(*trials: Tried, importance: dict[str, float] | None = None) -> Search:
    return Search(
        study="s-demo-0",
        space="s",
        ladders=7,
        task="demo",
        model="demo",
        metrics=["accuracy"],
        selection_rows=600,
        target="w1a8",
        steps=100,
        seed=0,
        trials=list(trials),
        importance=importance or {},
    )


TRIED = (tried(0, 0.8), tried(2, 0.6, how="stopped", w2="plain"), tried(3, 0.9, w2="augmented"))


def test_the_best_is_the_highest_that_was_trained_to_its_end() -> None:
    best = found(*TRIED, tried(4, 0.95, how="stopped")).best
    assert best is not None
    assert best.number == 3
    assert found().best is None
    first = found(tried(5, 0.5), tried(6, 0.5)).best
    assert first is not None
    assert first.number == 5


def test_each_option_has_the_mean_of_the_ladders_that_had_it() -> None:
    rows = {
        (row.rung, row.field, row.option): (row.trials, row.stopped, row.mean, row.best)
        for row in search.worth(found(*TRIED, tried(7, 0.6)))
    }
    assert rows[("w1a8", "starts from", "teacher")] == (2, 0, pytest.approx(0.7), 0.8)
    assert rows[("w1a8", "starts from", "w2")] == (1, 1, 0.9, 0.9)
    assert rows[("w2", "starts from", "left out")] == (2, 0, pytest.approx(0.7), 0.8)
    assert rows[("w2", "rows", "plain")] == (0, 1, None, None)


def test_a_choice_that_was_never_made_otherwise_is_not_shown() -> None:
    assert {(row.rung, row.field) for row in search.worth(found(*TRIED))} == {
        ("w1a8", "starts from"),
        ("w2", "starts from"),
        ("w2", "rows"),
    }


def test_the_page_says_what_was_tried_and_needs_nothing_else() -> None:
    page = search.page("found", found(*TRIED, importance={"w2.data": 0.75}))
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "The best of 3 ladders to w1a8 in 100 steps" in text
    assert "straight: 0.8000" in text
    assert "3.0 core-minutes; 1.5 more were saved" in text
    assert "w2 (augmented, 20 steps), w1a8 (plain, 80 steps, rate 0.0005)" in text
    assert "w2.data 75%" in text
    assert not re.search(r"https?://|<script|<link", page)
    assert page == search.page("found", found(*TRIED, importance={"w2.data": 0.75}))


def test_names_are_escaped() -> None:
    page = search.page("found", found(*TRIED).model_copy(update={"task": "<b>x</b>"}))
    assert "<b>x</b>" not in page


def test_a_page_of_nothing_says_so() -> None:
    assert "No ladder to w1a8 has been trained to its end yet." in search.page("found", found())


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([None, "plain", "augmented"])), max_size=8))
def test_what_is_written_is_read_back(scores: list[tuple[float, str | None]]) -> None:
    written = found(*(tried(number, score, w2=w2) for number, (score, w2) in enumerate(scores)))
    assert Search.model_validate_json(written.model_dump_json()) == written


def test_a_file_of_another_version_is_refused_with_what_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text(found().model_dump_json().replace('"format":1', '"format":0'), encoding="utf-8")
    with pytest.raises(OtherFormatError, match="`bitladder search` writes it anew"):
        search.read(path)
