"""The results table: order, undefined values, and the sentences that say what was counted."""

import json
from pathlib import Path
from typing import Any

import pytest
import some_results

from bitladder import files
from pipeline import paths
from pipeline.evaluation import results
from pipeline.evaluation.results import ModelResult, Results, Value, difference
from pipeline.record import OtherFormatError
from pipeline.reporting import cells, table

MODELS = {
    "w1a8_direct": some_results.model(None, "teacher", (1, 8)),
    "w1": some_results.model(0.85, "w8"),
    "teacher": some_results.teacher(),
    "w8": some_results.model(0.91, bits=(8, 32), mib=0.8),
}
RESULTS = some_results.results(
    MODELS, task="mrpc", metrics=["accuracy", "f1"], rows={"validation": 408}, rows_read={"validation": 408}
)
W1 = MODELS["w1"]


def test_every_rung_comes_after_the_one_it_starts_from() -> None:
    assert list(table.in_order(MODELS)) == ["teacher", "w8", "w1", "w1a8_direct"]


def test_rows_hold_what_the_headings_say() -> None:
    rows = table.rows(RESULTS, {"w8": 61.4})
    assert rows[0]["gap"] == "-"
    assert rows[1] == {
        "rung": "w8",
        "W": "8",
        "E": "8",
        "A": "32",
        "from": "teacher",
        "score": "0.9100",
        "gap": "+0.0100",
        "MiB": "0.800",
        "ratio": "4.0",
        "seconds": "61",
    }
    assert rows[3]["score"] == rows[3]["gap"] == "undefined"
    assert rows[3]["seconds"] == "-"


def changed(name: str, **changes: Any) -> Results:
    """RESULTS with this model of w1's numbers, changed."""
    return some_results.with_models(RESULTS, **{name: W1.model_copy(update=changes)})


def test_a_rung_that_gives_one_answer_is_marked_whatever_it_scores() -> None:
    found = changed("w1", collapsed=True)
    marked = {row["rung"]: row["score"] for row in table.rows(found)}
    assert (marked["w1"], marked["w8"]) == ("0.8500 †", "0.9100")
    assert cells.SAYS_COLLAPSED in table.counted(found)
    assert not any("†" in line for line in table.counted(RESULTS))


def test_it_says_what_was_counted() -> None:
    text = " ".join(table.counted(RESULTS))
    for expected in ("mean of accuracy and f1", "408 rows of validation", "one seed", "0.4000", "selection"):
        assert expected in text


def test_main_prints_every_model(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results.write(paths.RESULTS, RESULTS)
    assert table.main(as_json=False) == 0
    text = capsys.readouterr().out
    assert "mrpc: mean of accuracy and f1 on validation" in text
    assert all(name in text for name in MODELS)


def test_main_as_json_is_the_file(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results.write(paths.RESULTS, RESULTS)
    assert table.main(as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == files.read_json(paths.RESULTS)


def with_seeds(of_w1: Value = 0.77) -> Results:
    """The teacher 0.9, 0.8; w1 0.85, 0.77: gaps -0.05 and -0.03."""
    scores = ((0.9, 0.85), (0.8, of_w1))
    every = [
        RESULTS.model_copy(update={"models": {"teacher": scored(t, t), "w1": scored(w1, t)}})
        for t, w1 in scores
    ]
    return some_results.of_several_seeds(every)


def scored(score: Value, of_teacher: float) -> ModelResult:
    """The teacher itself where both are the same; its exact match is 0.1 less than its score."""
    metrics = {"validation": {"exact_match": difference(score, 0.1), "f1": score}}
    changes = {"gap": difference(score, of_teacher), "scores": metrics}
    return (
        some_results.teacher(score, **changes)
        if score == of_teacher
        else some_results.model(score, **changes)
    )


def test_with_seeds_score_and_gap_are_means_with_their_spread() -> None:
    rows = table.rows(with_seeds())
    assert rows[0]["score"] == "0.8500 ± 0.0707"
    assert (rows[1]["score"], rows[1]["gap"]) == ("0.8100 ± 0.0566", "-0.0400 ± 0.0141")


def test_with_seeds_it_says_whose_the_files_are() -> None:
    text = " ".join(table.counted(with_seeds()))
    assert "mean ± standard deviation over 2 seeds (0, 1)." in text
    assert "Files and sizes are those of seed 0; the gap is to the teacher of the same seed." in text


def test_one_seed_in_the_entry_changes_no_cell() -> None:
    assert table.rows(some_results.of_several_seeds([RESULTS])) == table.rows(RESULTS)


def test_a_seed_without_a_score_makes_the_mean_undefined() -> None:
    row = table.rows(with_seeds(None))[1]
    assert (row["score"], row["gap"]) == ("undefined", "undefined")


def test_with_seeds_exact_match_is_a_mean_as_its_neighbour_is() -> None:
    found = with_seeds().model_copy(update={"kind": "question_answering", "metrics": ["exact_match", "f1"]})
    rows = table.rows(found)
    assert (rows[0]["score"], rows[0]["EM"]) == ("0.8500 ± 0.0707", "0.7500 ± 0.0707")


def test_rungs_of_equal_bits_are_told_apart(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bwn_zero_mean", "a scale per matrix", "relu", "taught by w1a2"]
    found = changed("w1_lat", unusual=words)
    rows = table.rows(found)
    assert [row["besides"] for row in rows if row["W"] == "1"] == ["", ", ".join(words), ""]
    monkeypatch.chdir(tmp_path)
    results.write(paths.RESULTS, found)
    table.main(as_json=False)
    assert ", ".join(words) in capsys.readouterr().out


def test_a_rung_of_split_weights_has_a_footnote() -> None:
    """Its W and E say 1, its file holds two codes per weight."""
    note = "Sums of two: each weight is two 1-bit codes, of which W and E count one."
    assert note in table.counted(changed("w1_split", unusual=["sums of two"]))
    assert note not in table.counted(RESULTS)


@pytest.mark.parametrize("as_json", [False, True])
def test_results_of_another_version_are_refused_with_what_writes_them_anew(
    as_json: bool, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_json(paths.RESULTS, {**RESULTS.as_dict(), "format": results.FORMAT - 1})
    with pytest.raises(OtherFormatError, match=r"\(format: .*\); `dvc repro evaluate` writes it anew"):
        table.main(as_json=as_json)


def test_claims_stand_under_the_table(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    claim = some_results.claim(num_examples=1000, num_seeds=3)
    results.write(paths.RESULTS, RESULTS.model_copy(update={"claims": [claim]}))
    table.main(as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "holds: w1 beats w1_direct (both after 40 steps). mean of accuracy and f1 0.8200 against 0.8000, "
        "difference +0.0200 ± 0.0100 (95 %); 1,000 examples, 3 seeds. A claim holds when it holds."
    ) in said


def test_seconds_are_those_that_were_timed_here(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_json(Path(".bitladder/timings/weights@w8.json"), {"seconds": 61.4, "finished": "2024-01-01"})
    files.write_json(Path(".bitladder/timings/teacher.json"), {"seconds": 9.0, "finished": "2024-01-01"})
    assert table.read_seconds(RESULTS) == {"w8": 61.4, "teacher": 9.0}


def test_without_results_it_says_how_to_get_them(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(table.NoResultsError, match="dvc repro"):
        table.main(as_json=False)


def test_markup_in_a_name_is_text(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results.write(paths.RESULTS, RESULTS.model_copy(update={"task": "[red]x[/red]"}))
    table.main(as_json=False)
    assert "[red]x[/red]" in capsys.readouterr().out
