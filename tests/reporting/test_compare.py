"""Several tasks in one table: GLUE's order, both averages, and no mean that pretends to be another one."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitladder import files
from pipeline.evaluation.results import FORMAT, OtherFormatError
from pipeline.evaluation.seeds import over_seeds
from pipeline.reporting import averaged, compare, comparison
from pipeline.reporting.comparison import EIGHT, MismatchError, averages

METRICS = {"cola": ["matthews_correlation"], "mrpc": ["accuracy", "f1"], "stsb": ["pearson", "spearman"]}
TASKS = ("rte", "qnli", "mnli", "qqp", "stsb", "mrpc", "sst2", "cola")


def model(
    scores: dict[str, float | None], split: str, parent: str = "teacher", bits: int = 1
) -> dict[str, Any]:
    known = list(scores.values())
    return {
        "stage": "weights",
        "parent": parent,
        "weight_bits": bits,
        "embedding_bits": bits,
        "activation_bits": 32,
        "score": None if None in known else statistics.fmean(known),  # type: ignore[type-var]
        "scores": {split: scores},
        "accuracy": scores.get("accuracy"),
        "collapsed": False,
        "bytes": bits * 2**20,
        "digest": str(bits),
        "seed": 0,
        "selected_on": "selection",
        "unusual": [],
    }


def results(task: str, teacher: float = 0.9, rung: float | None = 0.8) -> dict[str, Any]:
    """The teacher's and one rung's score, on MNLI 0.1 less where it is mismatched."""
    split = "validation_matched" if task == "mnli" else "validation"
    names = METRICS.get(task, ["accuracy"])
    models = {
        "teacher": model(dict.fromkeys(names, teacher), split, "pretrained", 32),
        "w1": model(dict.fromkeys(names, rung), split),
    }
    splits = {split: 100}
    if task == "mnli":
        splits["validation_mismatched"] = 100
        for found, value in ((models["teacher"], teacher), (models["w1"], rung)):
            assert value is not None
            found["scores"]["validation_mismatched"] = {"accuracy": value - 0.1}
    for found in models.values():
        found["gap"] = None if found["score"] is None else found["score"] - teacher
    return {
        "format": FORMAT,
        "task": task,
        "kind": "classification",
        "metrics": names,
        "split": split,
        "rows": splits,
        "rows_read": splits,
        "majority": {name: 0.45 if name == split else 0.35 for name in splits},
        "majority_score": 0.4,
        "models": models,
        "claims": [],
    }


def claim(measure: str | None = "score", unequal: tuple[str, ...] = ()) -> dict[str, Any]:
    """w1 leads w1_direct by 2 points, give or take 1; in results.json's shape, as far as it is read."""
    return {
        "claim": "stepped",
        "rungs": ["w1", "w1_direct"],
        "measure": measure,
        "difference": None if measure is None else 0.02,
        "margin": None if measure is None else 0.01,
        "verdict": "not judged" if measure is None else "holds",
        "unequal": list(unequal),
        "rule": "undefined" if measure is None else "holds when it holds",
        "num_examples": 100,
        "num_seeds": 0 if measure is None else 1,
    }


def seeds(task: str, teachers: list[float], rungs: list[float]) -> dict[str, Any]:
    """Results of seed 0 with means over as many seeds as there are scores."""
    every = [results(task, *scores) for scores in zip(teachers, rungs, strict=True)]
    for name, found in over_seeds({seed: one["models"] for seed, one in enumerate(every)}).items():
        every[0]["models"][name]["seeds"] = found
    return every[0]


def as_peers_do(found: dict[str, Any]) -> dict[str, Any]:
    """The same with checkpoints chosen on the split that is reported."""
    for model in found["models"].values():
        model["selected_on"] = found["split"]
    return found


def said(found: comparison.Comparison) -> str:
    return " ".join(compare.notes(found))


def table(*found: dict[str, Any]) -> comparison.Comparison:
    return comparison.compare([("", f"{one['task']}.json", one) for one in found])


def every_task() -> list[dict[str, Any]]:
    """w1 gets 0.80 on RTE, 0.81 on QNLI and so on, 0.05 less than the teacher everywhere."""
    return [results(task, 0.85 + n / 100, 0.80 + n / 100) for n, task in enumerate(TASKS)]


def test_both_averages_by_hand() -> None:
    found = table(*every_task())
    eight, nine = found.averages
    [teacher, w1] = found.rows
    assert (eight.title, nine.title) == ("GLUE, 8", "GLUE, 9")
    # 0.80 to 0.87: mean 0.835. With MNLI-mm, 0.82 - 0.1, added: (8 * 0.835 + 0.72) / 9.
    assert w1.mean(eight) == pytest.approx(0.835)
    assert w1.mean(nine) == pytest.approx((8 * 0.835 + 0.72) / 9)
    assert w1.mean(eight, "gap") == w1.mean(nine, "gap") == pytest.approx(-0.05)
    assert teacher.mean(eight) == pytest.approx(0.885)


def test_the_order_is_glues_whatever_the_files(tmp_path: Path) -> None:
    titles = [column.title for column in table(*every_task()).columns]
    assert titles == ["CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI-m", "MNLI-mm", "QNLI", "RTE"]


def test_a_published_row_gives_its_published_averages() -> None:
    """BiT's 1-1-1, as its README has it: 73.5 over eight; over nine it would have been 74.2."""
    row = {
        "mnli": 79.5,
        "mnli-mm": 79.4,
        "qqp": 85.4,
        "qnli": 86.4,
        "sst2": 89.9,
        "cola": 32.9,
        "stsb": 72.0,
        "mrpc": 79.9,
        "rte": 62.1,
    }
    cells = {
        key: comparison.Cell(value, None, None, None, 1, {}, {}, "selection", ())
        for key, value in row.items()
    }
    eight, nine = averages(row)
    bit = comparison.Row("w1a1", (1, 1, 1), cells=cells)
    assert bit.mean(eight) == pytest.approx(73.5, abs=0.05)
    assert bit.mean(nine) == pytest.approx(74.2, abs=0.05)


@given(st.sets(st.sampled_from([*comparison.NAMES, "squad", "squad_v2", "demo"])))
def test_only_all_eight_tasks_are_called_glue(keys: set[str]) -> None:
    found = averages(keys)
    for average in found:
        whole = set(EIGHT) <= keys
        assert ("GLUE," in average.title) == whole
        assert whole or all(comparison.NAMES[key] in average.says for key in average.columns)
        assert set(average.columns) <= keys - {"wnli", "squad", "squad_v2", "demo"}
        assert len(average.columns) >= 2


def test_a_few_tasks_are_named_and_not_called_glue() -> None:
    found = table(*(results(task) for task in ("rte", "cola", "mrpc")))
    [average] = found.averages
    assert average.title == "mean of 3"
    assert average.says == "mean of 3 tasks: CoLA, MRPC, RTE; not GLUE's average."


def test_a_model_that_gives_one_answer_from_some_seed_is_marked() -> None:
    every = [results("mrpc", rung=rung) for rung in (0.75, 0.77)]
    every[0]["models"]["w1"]["collapsed"] = True
    found = every[0]
    for name, of_seeds in over_seeds({seed: one["models"] for seed, one in enumerate(every)}).items():
        found["models"][name]["seeds"] = of_seeds
    made = table(found, results("rte"))
    scores, gaps = ({row[0]: row for row in rows} for _, (_, rows) in compare.grids(made))
    assert scores["teacher"][2:5] == ["90.0 ± 0.0", "90.0", "90.0"]
    assert scores["w1"][2:5] == ["76.0 ± 1.4 †", "80.0", "78.0 †"]
    assert gaps["w1"][1:] == ["-14.0 ± 1.4 †", "-10.0", "-12.0 †"]
    assert compare.data(made)["models"]["w1"]["scores"]["mrpc"]["collapsed"] == ("0",)
    assert averaged.SAYS_COLLAPSED in said(made)
    assert "†" not in said(table(results("mrpc")))


def test_beside_it_stands_what_the_most_frequent_answer_scores_where_that_has_a_score() -> None:
    every = [results("cola"), results("mnli")]
    every[0]["models"]["w1"]["collapsed"] = True
    every[0]["majority_score"] = None
    assert "Always giving the most frequent one scores: MNLI-m 40.0; MNLI-mm 35.0." in said(table(*every))


def test_a_mean_with_an_undefined_score_is_undefined_and_with_a_missing_one_a_dash() -> None:
    collapsed = table(results("cola", rung=None), results("rte"))
    missing = results("sst2")
    del missing["models"]["w1"]
    for found, expected in ((collapsed, "undefined"), (table(missing, results("rte")), "-")):
        [(_, (_, rows)), _] = compare.grids(found)
        assert rows[1][-2] == expected


def test_seeds_are_shown_as_mean_and_spread() -> None:
    shown = table(seeds("rte", [0.9, 0.9], [0.8, 0.7]))
    [(_, (_, rows)), (_, (_, gaps))] = compare.grids(shown)
    assert rows[1][2] == "75.0 ± 7.1"
    assert gaps == [["w1", "-15.0 ± 7.1"]]
    assert "Mean ± standard deviation over seeds. Seeds: 2 for RTE." in said(shown)


def test_the_mismatched_half_of_mnli_is_a_mean_over_seeds_too() -> None:
    found = table(seeds("mnli", [0.9, 0.9], [0.8, 0.7]))
    cell = found.rows[1].cells["mnli-mm"]
    assert (cell.score, cell.gap, cell.num_seeds) == (pytest.approx(0.65), pytest.approx(-0.15), 2)
    assert cell.std == cell.gap_std == pytest.approx(0.05 * 2**0.5)
    assert "Seeds: 2 for MNLI-m, MNLI-mm." in said(found)


def test_a_column_of_models_with_one_and_with_three_seeds_says_both() -> None:
    ladders = [("", "a", seeds("rte", [0.9, 0.8, 0.7], [0.8, 0.7, 0.6])), ("bit", "b", results("rte"))]
    found = comparison.compare(ladders)
    assert "Mean ± standard deviation over seeds. Seeds: 1 to 3 for RTE." in said(found)
    assert "±" not in said(table(results("rte")))


def test_a_metric_of_two_is_said_to_be_their_mean_and_each_is_in_the_json() -> None:
    mrpc = results("mrpc")
    mrpc["models"]["w1"]["scores"]["validation"] = {"accuracy": 0.7, "f1": 0.9}
    found = table(mrpc)
    [(_, (headings, _)), _] = compare.grids(found)
    assert headings[2] == "MRPC (accuracy, F1)"
    assert any("MRPC: the mean of both metrics" in line for line in compare.notes(found))
    assert compare.data(found)["models"]["w1"]["scores"]["mrpc"]["metrics"] == {"accuracy": 0.7, "f1": 0.9}


def test_a_claim_is_one_row_with_what_each_task_says_of_it() -> None:
    of_task = {
        "cola": [claim("accuracy"), {**claim(), "rungs": ["w1a8", "w1a8_direct"]}],
        "mnli": [claim(unequal=("steps", "data"))],
        "rte": [claim(None)],
    }
    found = table(*({**results(task), "claims": claims} for task, claims in of_task.items()))
    title, grid = compare.grids(found)[-1]
    assert title == "claims"
    assert grid == (
        ["claim", "better", "worse", "CoLA", "MNLI-m", "RTE"],
        [
            [
                *("stepped", "w1", "w1_direct"),
                "+2.0 ± 1.0 accuracy: holds",
                "+2.0 ± 1.0: holds (unequal steps and data)",
                "not judged",
            ],
            ["stepped", "w1a8", "w1a8_direct", "+2.0 ± 1.0: holds", "-", "-"],
        ],
    )
    assert compare.notes(found).count("A claim holds when it holds.") == 1
    assert "Claims rest on: CoLA, MNLI-m: 100 examples, one seed." in said(found)
    assert compare.data(found)["claims"][1]["by_task"]["cola"]["difference"] == 0.02


def test_claims_of_ladders_told_apart_name_their_rungs_in_full() -> None:
    both = [(label, f"{label}.json", {**results("rte"), "claims": [claim()]}) for label in ("", "bit")]
    _, (_, rows) = compare.grids(comparison.compare(both))[-1]
    assert [row[1:3] for row in rows] == [["w1", "w1_direct"], ["bit w1", "bit w1_direct"]]


def test_tasks_whose_claims_are_judged_by_other_rules_are_named() -> None:
    several = {**claim(), "rule": "holds over seeds", "num_seeds": 3}
    found = table({**results("cola"), "claims": [several]}, {**results("rte"), "claims": [claim()]})
    assert "A claim on CoLA holds over seeds. A claim on RTE holds when it holds." in said(found)
    assert "CoLA: 100 examples, 3 seeds; RTE: 100 examples, one seed." in said(found)


def test_without_claims_nothing_is_said_of_them() -> None:
    found = table(results("rte"))
    assert [title for title, _ in compare.grids(found)] == [
        "score, in points",
        "gap to the own teacher, in points",
    ]
    assert "interval" not in said(found)


def test_what_checkpoints_were_chosen_on_is_said_task_by_task() -> None:
    notes = said(table(results("cola"), as_peers_do(results("rte"))))
    assert "held out of train: CoLA." in notes
    assert "Chosen on the split that is reported, so optimistic: RTE." in notes


@pytest.mark.parametrize("peers_first", [True, False])
def test_held_out_beside_optimistic_results_of_a_task_are_told_apart_row_by_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], peers_first: bool
) -> None:
    files.write_json(tmp_path / "ours.json", results("rte"))
    files.write_json(tmp_path / "theirs.json", as_peers_do(results("rte", rung=0.85)))
    given = [f"{tmp_path}/ours.json", f"peers={tmp_path}/theirs.json"]
    compare.main(given[::-1] if peers_first else given, as_json=True, as_markdown=False)
    shown = json.loads(capsys.readouterr().out)
    optimistic = {name: row["scores"]["rte"]["optimistic"] for name, row in shown["models"].items()}
    assert optimistic == {"teacher": False, "w1": False, "peers teacher": True, "peers w1": True}
    notes = " ".join(shown["notes"])
    assert "held out of train: of RTE the models teacher, w1." in notes
    assert "so optimistic: of RTE the models peers teacher, peers w1." in notes


def test_a_drawn_part_of_a_split_is_said() -> None:
    part = {**results("sst2"), "rows_read": {"validation": 872}}
    assert "SST-2: 100 of the 872 rows." in compare.notes(table(part))


def test_squad_stands_apart_with_both_metrics() -> None:
    scores: dict[str, float | None] = {"exact_match": 0.6, "f1": 0.7}
    teacher = model({"exact_match": 0.8, "f1": 0.9}, "validation", "pretrained", 32) | {
        "score": 0.9,
        "gap": 0,
    }
    squad = {
        **results("squad"),
        "kind": "question_answering",
        "metrics": ["exact_match", "f1"],
        "models": {"teacher": teacher, "w1": model(scores, "validation") | {"score": 0.7, "gap": -0.2}},
    }
    grids = compare.grids(table(squad, results("rte")))
    title, (headings, rows) = grids[-1]
    assert title.startswith("SQuAD")
    assert headings == ["model", "W-E-A", "SQuAD 1.1 EM", "SQuAD 1.1 F1", "SQuAD 1.1 gap", "MiB"]
    assert rows == [
        ["teacher", "32-32-32", "80.0", "90.0", "-", "32.00"],
        ["w1", "1-1-32", "60.0", "70.0", "-20.0", "1.00"],
    ]
    assert all("SQuAD" not in heading for heading in grids[0][1][0])


def test_ladders_told_apart_share_their_teacher() -> None:
    found = comparison.compare([("", "a", results("rte")), ("bit", "b", results("rte", rung=0.7))])
    assert [row.name for row in found.rows] == ["teacher", "w1", "bit w1"]
    other = results("rte", teacher=0.95)
    other["models"]["teacher"]["digest"] = "another"
    found = comparison.compare([("", "a", results("rte")), ("bit", "b", other)])
    assert [row.name for row in found.rows] == ["teacher", "w1", "bit teacher", "bit w1"]


def test_a_shared_teacher_of_more_seeds_here_than_there_has_two_rows_and_gaps_add_up() -> None:
    several, one = seeds("rte", [0.9, 0.8, 0.7], [0.8, 0.7, 0.6]), results("rte", rung=0.7)
    for sources in ([("", "a", several), ("bit", "b", one)], [("bit", "b", one), ("", "a", several)]):
        rows = {row.name: row.cells["rte"] for row in comparison.compare(sources).rows}
        assert rows.keys() == {"teacher", "w1", "bit teacher", "bit w1"}
        for label in ("", "bit "):
            score, gap = rows[f"{label}w1"].score, rows[f"{label}w1"].gap
            assert score is not None
            assert gap is not None
            assert score - gap == pytest.approx(rows[f"{label}teacher"].score)


def test_two_files_of_a_task_are_refused() -> None:
    with pytest.raises(MismatchError, match=r"rte\.json: results of rte, as rte\.json; name ladders apart"):
        table(results("rte"), results("rte"))


def test_a_name_with_other_bits_is_refused() -> None:
    other = results("cola")
    other["models"]["w1"]["activation_bits"] = 8
    with pytest.raises(MismatchError, match="w1 has 1-1-8 bits; elsewhere 1-1-32 bits"):
        table(results("rte"), other)


def test_rungs_of_equal_bits_are_told_apart_by_what_is_unusual() -> None:
    found = results("rte")
    lat = {**found["models"]["w1"], "unusual": ["lat", "relu"]}
    found["models"]["w1_lat"] = lat
    [(_, (_, rows)), _] = compare.grids(table(found))
    assert [row[1] for row in rows] == ["32-32-32", "1-1-32", "1-1-32, lat, relu"]
    other = results("cola")
    other["models"]["w1_lat"] = {**other["models"]["w1"], "unusual": ["lat"]}
    with pytest.raises(MismatchError, match="w1_lat has 1-1-32 bits, lat; elsewhere 1-1-32 bits, lat, relu"):
        table(found, other)


def test_a_split_rung_has_a_footnote() -> None:
    found = results("rte")
    assert not any("two 1-bit codes" in note for note in compare.notes(table(found)))
    found["models"]["w1"]["unusual"] = ["width 0.5", "sums of two"]
    assert any("two 1-bit codes per weight" in note for note in compare.notes(table(found)))


def test_one_column_holds_one_kind_of_number() -> None:
    fewer = {**results("rte"), "rows": {"validation": 50}}
    with pytest.raises(MismatchError, match=r"rows of RTE is \(50, 100\), a has \(100, 100\)"):
        comparison.compare([("", "a", results("rte")), ("bit", "b", fewer)])


def test_the_command_prints_a_terminal_table_markdown_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = []
    for found in every_task():
        files.write_json(tmp_path / f"{found['task']}.json", found)
        given.append(str(tmp_path / f"{found['task']}.json"))
    assert compare.main(given, as_json=False, as_markdown=False) == 0
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "GLUE, 9: mean of 9 numbers, MNLI-m and -mm (BinaryBERT's and BiBERT's)." in " ".join(
        shown.split()
    )
    assert compare.main(given, as_json=False, as_markdown=True) == 0
    lines = capsys.readouterr().out.splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert tables[0].startswith("| model | W-E-A | CoLA (Matthews) | SST-2 (accuracy) |")
    assert len({line.count("|") for line in tables[:4]}) == 1
    assert compare.main(given, as_json=True, as_markdown=False) == 0
    assert json.loads(capsys.readouterr().out)["models"]["w1"]["averages"]["GLUE, 8"][
        "score"
    ] == pytest.approx(0.835)


@pytest.mark.parametrize(("text", "said"), [("{", "no JSON"), ("{}", "no results"), ("[]", "no results")])
def test_what_is_no_results_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(MismatchError, match=said):
        compare.read(str(tmp_path / "x.json"))


def test_results_of_another_version_are_refused_with_what_writes_them_anew(tmp_path: Path) -> None:
    older = results("rte")
    del older["format"]
    files.write_json(tmp_path / "x.json", older)
    with pytest.raises(OtherFormatError, match=r"x\.json: .*`dvc repro evaluate` writes it anew"):
        compare.read(str(tmp_path / "x.json"))
