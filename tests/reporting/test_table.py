"""The results table: order, undefined values, and the sentences that say what was counted."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from bitladder import files
from pipeline.evaluation.results import FORMAT, OtherFormatError
from pipeline.reporting import averaged, table


def model(parent: str, bits: tuple[int, int], score: float | None, stage: str = "weights") -> dict[str, Any]:
    gap = None if score is None else score - 0.9
    return {
        "parent": parent,
        "stage": stage,
        "weight_bits": bits[0],
        "embedding_bits": bits[0],
        "activation_bits": bits[1],
        "score": score,
        "gap": gap,
        "seed": 0,
        "collapsed": False,
        "mib": bits[0] / 10,
        "ratio": 32 / bits[0],
        "unusual": [],
    }


RESULTS: dict[str, Any] = {
    "format": FORMAT,
    "task": "mrpc",
    "metrics": ["accuracy", "f1"],
    "split": "validation",
    "rows": {"validation": 408},
    "majority": {"validation": 0.684},
    "majority_score": 0.748,
    "num_seeds": 1,
    "checkpoint_selected_on": "selection",
    "claims": [],
    "models": {
        "w1a8_direct": model("teacher", (1, 8), None, "weights_activations"),
        "w1": model("w8", (1, 32), 0.85),
        "teacher": model("pretrained", (32, 32), 0.9, "teacher"),
        "w8": model("teacher", (8, 32), 0.91),
    },
}


CLAIM: dict[str, Any] = {
    "claim": "stepped",
    "statement": "a beats b (both after 9 steps)",
    "rungs": ["a", "b"],
    "measure": "score",
    "values": {"a": 0.9, "b": 0.8},
    "difference": 0.1,
    "standard_error": 0.01,
    "margin": 0.04,
    "num_examples": 1000,
    "num_seeds": 3,
    "total_steps": {"a": 9, "b": 9},
    "equal_steps": True,
    "unequal": [],
    "score_is": None,
    "collapsed": [],
    "verdict": "holds",
    "rule": "holds if",
}


def test_every_rung_comes_after_the_one_it_starts_from() -> None:
    assert table.in_order(RESULTS["models"]) == ["teacher", "w8", "w1", "w1a8_direct"]


def test_rows_hold_what_the_headings_say() -> None:
    rows = [dict(zip(table.HEADINGS, row, strict=True)) for row in table.rows(RESULTS, {"w8": 61.4})]
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


def test_a_rung_that_gives_one_answer_is_marked_whatever_it_scores() -> None:
    models = {**RESULTS["models"], "w1": {**RESULTS["models"]["w1"], "collapsed": True}}
    found = {**RESULTS, "models": models}
    marked = {row[0]: row[table.HEADINGS.index("score")] for row in table.rows(found, {})}
    assert (marked["w1"], marked["w8"]) == ("0.8500 †", "0.9100")
    assert averaged.SAYS_COLLAPSED in table.counted(found)
    assert not any("†" in line for line in table.counted(RESULTS))


def test_it_says_how_many_labels_are_those_of_the_trained_rungs() -> None:
    shares = {"w8": (1.0, None), "w1": (1.0, 0.9981), "w1a8_direct": (1.0, 0.999)}
    models = {
        name: {**own, "label_agreement": dict(zip(("file", "kernels"), shares[name], strict=True))}
        if name in shares
        else {**own, "label_agreement": None}
        for name, own in RESULTS["models"].items()
    }
    said = "Packed rungs give the trained ones' labels on all rows; run by the kernels, on at least 99.81%"
    assert f"{said} of rows (w1)." in table.counted({**RESULTS, "models": models})
    assert not any("trained ones' labels" in line for line in table.counted(RESULTS))


def test_it_says_what_was_counted() -> None:
    text = " ".join(table.counted(RESULTS))
    for expected in ("mean of accuracy and f1", "408 rows of validation", "one seed", "0.7480", "selection"):
        assert expected in text


def test_main_prints_every_model(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_json(table.RESULTS, RESULTS)
    assert table.main(as_json=False) == 0
    text = capsys.readouterr().out
    assert "mrpc: mean of accuracy and f1 on validation" in text
    assert all(name in text for name in RESULTS["models"])


def test_main_as_json_is_the_file(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_json(table.RESULTS, RESULTS)
    assert table.main(as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == RESULTS


def over_seeds(scores: list[float], gaps: list[float]) -> dict[str, Any]:
    return {
        "scores": {str(seed): score for seed, score in enumerate(scores)},
        "mean": statistics.fmean(scores),
        "std": statistics.stdev(scores),
        "collapsed": {str(seed): False for seed in range(len(scores))},
        "num_seeds": len(scores),
        "gap_mean": statistics.fmean(gaps),
        "gap_std": statistics.stdev(gaps),
    }


def with_seeds() -> dict[str, Any]:
    """The teacher 0.9, 0.8; w1 0.85, 0.77: gaps -0.05 and -0.03."""
    models = {
        "teacher": {**RESULTS["models"]["teacher"], "seed": 0, "seeds": over_seeds([0.9, 0.8], [0.0, 0.0])},
        "w1": {**RESULTS["models"]["w1"], "seed": 0, "seeds": over_seeds([0.85, 0.77], [-0.05, -0.03])},
    }
    return {**RESULTS, "num_seeds": 2, "models": models}


def test_with_seeds_score_and_gap_are_means_with_their_spread() -> None:
    rows = [dict(zip(table.HEADINGS, row, strict=True)) for row in table.rows(with_seeds(), {})]
    assert rows[0]["score"] == "0.8500 ± 0.0707"
    assert (rows[1]["score"], rows[1]["gap"]) == ("0.8100 ± 0.0566", "-0.0400 ± 0.0141")


def test_with_seeds_it_says_whose_the_files_are() -> None:
    text = " ".join(table.counted(with_seeds()))
    assert "mean ± standard deviation over 2 seeds (0, 1)." in text
    assert "Files and sizes are those of seed 0; the gap is to the teacher of the same seed." in text


def test_one_seed_in_the_entry_changes_no_cell() -> None:
    means = {"mean": 0.9, "std": None, "gap_mean": 0.0, "gap_std": None}
    entry = {"scores": {"0": 0.9}, "collapsed": {"0": False}, "num_seeds": 1, **means}
    models = {name: {**found, "seeds": entry} for name, found in RESULTS["models"].items()}
    assert table.rows({**RESULTS, "models": models}, {}) == table.rows(RESULTS, {})


def test_a_seed_without_a_score_makes_the_mean_undefined() -> None:
    results = with_seeds()
    seeds = {"mean": None, "std": None, "gap_mean": None, "gap_std": None}
    results["models"]["w1"]["seeds"] |= seeds
    row = dict(zip(table.HEADINGS, table.rows(results, {})[1], strict=True))
    assert (row["score"], row["gap"]) == ("undefined", "undefined")


def questions() -> dict[str, Any]:
    """F1 of the teacher 0.9 and 0.8, exact match 0.1 less."""
    results = with_seeds()
    for model in results["models"].values():
        model["scores"] = {"validation": {"exact_match": model["score"] - 0.1, "f1": model["score"]}}
        own = model["seeds"]
        exact = {"mean": own["mean"] - 0.1, "std": own["std"], "gap_mean": None, "gap_std": None}
        model["seeds"] = {**own, "metrics": {"validation": {"exact_match": exact}}}
    return {**results, "kind": "question_answering", "metrics": ["exact_match", "f1"]}


def test_with_seeds_exact_match_is_a_mean_as_its_neighbour_is() -> None:
    results = questions()
    rows = [dict(zip(table.headings(results), row, strict=True)) for row in table.rows(results, {})]
    assert (rows[0]["score"], rows[0]["EM"]) == ("0.8500 ± 0.0707", "0.7500 ± 0.0707")


def test_rungs_of_equal_bits_are_told_apart(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bwn_zero_mean", "a scale per matrix", "relu", "taught by w1a2"]
    models = {**RESULTS["models"], "w1_lat": {**RESULTS["models"]["w1"], "unusual": words}}
    results = {**RESULTS, "models": models}
    rows = [dict(zip(table.headings(results), row, strict=True)) for row in table.rows(results, {})]
    assert [row["besides"] for row in rows if row["W"] == "1"] == ["", ", ".join(words), ""]
    monkeypatch.chdir(tmp_path)
    files.write_json(table.RESULTS, results)
    table.main(as_json=False)
    assert ", ".join(words) in capsys.readouterr().out


def test_a_split_rung_has_a_footnote() -> None:
    """Its W and E say 1, its file holds two codes per weight."""
    note = "Sums of two: split, two 1-bit codes per weight, of which W and E count one."
    split = {**RESULTS["models"]["w1"], "unusual": ["sums of two"]}
    assert note in table.counted({**RESULTS, "models": {**RESULTS["models"], "w1_split": split}})
    assert note not in table.counted(RESULTS)


@pytest.mark.parametrize("older", [{}, {"format": FORMAT - 1}])
def test_results_of_another_version_are_refused_with_what_writes_them_anew(
    older: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = {key: value for key, value in RESULTS.items() if key != "format"}
    files.write_json(table.RESULTS, {**kept, **older})
    for as_json in (False, True):
        with pytest.raises(
            OtherFormatError, match=rf"expected {FORMAT}\); `dvc repro evaluate` writes it anew"
        ):
            table.main(as_json=as_json)


def test_claims_stand_under_the_table(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_json(table.RESULTS, {**RESULTS, "claims": [CLAIM]})
    table.main(as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "holds: a beats b (both after 9 steps). mean of accuracy and f1 0.9000 against 0.8000, difference "
        "+0.1000 ± 0.0400 (95 %); 1,000 examples, 3 seeds. A claim holds if."
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
    files.write_json(table.RESULTS, {**RESULTS, "task": "[red]x[/red]"})
    table.main(as_json=False)
    assert "[red]x[/red]" in capsys.readouterr().out
