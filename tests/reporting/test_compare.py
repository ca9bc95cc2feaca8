"""`bitladder compare`: what its tables and notes say, for the terminal, Markdown and JSON."""

import json
from pathlib import Path

import pytest
import some_results
from several_tasks import as_peers_do, every_task, of_task, seeds, source, table, with_rung

from pipeline.evaluation import results
from pipeline.record import OtherFormatError
from pipeline.reporting import cells, compare
from pipeline.reporting.columns import Comparison


def said(found: Comparison) -> str:
    return " ".join(compare.notes(found))


def test_a_model_that_gives_one_answer_from_some_seed_is_marked() -> None:
    every = [with_rung(of_task("mrpc", rung=0.75), collapsed=True), of_task("mrpc", rung=0.77)]
    made = table(some_results.of_several_seeds(every), of_task("rte"))
    scores, gaps = ({row[0]: row for row in rows} for _, (_, rows) in compare.grids(made))
    assert scores["teacher"][2:5] == ["90.0 ± 0.0", "90.0", "90.0"]
    assert scores["w1"][2:5] == ["76.0 ± 1.4 †", "80.0", "78.0 †"]
    assert gaps["w1"][1:] == ["-14.0 ± 1.4 †", "-10.0", "-12.0 †"]
    assert compare.data(made)["models"]["w1"]["scores"]["mrpc"]["collapsed"] == ("0",)
    assert cells.SAYS_COLLAPSED in said(made)
    assert "†" not in said(table(of_task("mrpc")))


def test_beside_it_stands_what_the_most_frequent_answer_scores_where_that_has_a_score() -> None:
    collapsed = with_rung(of_task("cola", majority_score=None), collapsed=True)
    expected = "Always giving the most frequent one scores: MNLI-m 40.0; MNLI-mm 35.0."
    assert expected in said(table(collapsed, of_task("mnli")))


def test_a_mean_with_an_undefined_score_is_undefined_and_with_a_missing_one_a_dash() -> None:
    sst2 = of_task("sst2")
    missing = sst2.model_copy(update={"models": {"teacher": sst2.models["teacher"]}})
    for one, expected in ((of_task("cola", rung=None), "undefined"), (missing, "-")):
        [(_, (_, rows)), _] = compare.grids(table(one, of_task("rte")))
        assert rows[1][-2] == expected


def test_seeds_are_shown_as_mean_and_spread() -> None:
    shown = table(seeds("rte", [0.9, 0.9], [0.8, 0.7]))
    [(_, (_, rows)), (_, (_, gaps))] = compare.grids(shown)
    assert rows[1][2] == "75.0 ± 7.1"
    assert gaps == [["w1", "-15.0 ± 7.1"]]
    assert "Mean ± standard deviation over seeds. Seeds: 2 for RTE." in said(shown)


def test_a_column_of_models_with_one_and_with_three_seeds_says_both() -> None:
    several = source(seeds("rte", [0.9, 0.8, 0.7], [0.8, 0.7, 0.6]))
    found = compare.compare([several, source(of_task("rte"), "bit")])
    assert "Mean ± standard deviation over seeds. Seeds: 1 to 3 for RTE." in said(found)
    assert "±" not in said(table(of_task("rte")))
    both = table(seeds("mnli", [0.9, 0.9], [0.8, 0.7]))
    assert "Seeds: 2 for MNLI-m, MNLI-mm." in said(both)


def test_a_metric_of_two_is_said_to_be_their_mean_and_each_is_in_the_json() -> None:
    found = table(with_rung(of_task("mrpc"), scores={"validation": {"accuracy": 0.7, "f1": 0.9}}))
    [(_, (headings, _)), _] = compare.grids(found)
    assert headings[2] == "MRPC (accuracy, F1)"
    assert any("MRPC: the mean of both metrics" in line for line in compare.notes(found))
    assert compare.data(found)["models"]["w1"]["scores"]["mrpc"]["metrics"] == {"accuracy": 0.7, "f1": 0.9}


def test_claims_stand_below_the_scores_and_are_whole_in_the_json() -> None:
    found = table(of_task("cola", claims=[some_results.claim()]))
    title, (_, rows) = compare.grids(found)[-1]
    assert (title, rows) == ("claims", [["stepped", "w1", "w1_direct", "+2.0 ± 1.0 ✓", "-"]])
    assert compare.data(found)["claims"][0]["by_task"]["cola"]["difference"] == 0.02


def test_without_claims_nothing_is_said_of_them() -> None:
    found = table(of_task("rte"))
    assert [title for title, _ in compare.grids(found)] == [
        "score, in points",
        "gap to the own teacher, in points",
    ]
    assert "interval" not in said(found)


def test_the_bits_are_explained() -> None:
    assert "W-E-A: bits of weights, embeddings and activations" in said(table(of_task("rte")))


def test_what_checkpoints_were_chosen_on_is_said_task_by_task() -> None:
    notes = said(table(of_task("cola"), as_peers_do(of_task("rte"))))
    assert "held out of train: CoLA." in notes
    assert "Chosen on the split that is reported, so optimistic: RTE." in notes


@pytest.mark.parametrize("peers_first", [True, False])
def test_held_out_beside_optimistic_results_of_a_task_are_told_apart_row_by_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], peers_first: bool
) -> None:
    results.write(tmp_path / "ours.json", of_task("rte"))
    results.write(tmp_path / "theirs.json", as_peers_do(of_task("rte", rung=0.85)))
    given = [f"{tmp_path}/ours.json", f"peers={tmp_path}/theirs.json"]
    compare.main(given[::-1] if peers_first else given, as_json=True, as_markdown=False)
    shown = json.loads(capsys.readouterr().out)
    optimistic = {name: row["scores"]["rte"]["optimistic"] for name, row in shown["models"].items()}
    assert optimistic == {"teacher": False, "w1": False, "peers teacher": True, "peers w1": True}
    notes = " ".join(shown["notes"])
    assert "held out of train: of RTE the models teacher, w1." in notes
    assert "so optimistic: of RTE the models peers teacher, peers w1." in notes


def test_a_drawn_part_of_a_split_is_said() -> None:
    part = of_task("sst2", rows_read={"validation": 872})
    assert "SST-2: 100 of the 872 rows." in compare.notes(table(part))


def test_squad_stands_apart_with_both_metrics() -> None:
    def scores(exact_match: float, f1: float) -> dict[str, dict[str, float]]:
        return {"validation": {"exact_match": exact_match, "f1": f1}}

    models = {
        "teacher": some_results.teacher(scores=scores(0.8, 0.9)),
        "w1": some_results.model(0.7, gap=-0.2, scores=scores(0.6, 0.7)),
    }
    setting = {"task": "squad", "kind": "question_answering", "metrics": ["exact_match", "f1"]}
    grids = compare.grids(table(some_results.results(models, **setting), of_task("rte")))
    title, (headings, rows) = grids[-1]
    assert title.startswith("SQuAD")
    assert headings == ["model", "W-E-A", "SQuAD 1.1 EM", "SQuAD 1.1 F1", "SQuAD 1.1 gap", "MiB"]
    assert rows == [
        ["teacher", "32-32-32", "80.0", "90.0", "-", "32.00"],
        ["w1", "1-1-32", "60.0", "70.0", "-20.0", "1.00"],
    ]
    assert all("SQuAD" not in heading for heading in grids[0][1][0])


def test_rungs_of_equal_bits_are_told_apart_by_what_is_unusual() -> None:
    found = with_rung(of_task("rte"), "w1_lat", unusual=["lat", "relu"])
    [(_, (_, rows)), _] = compare.grids(table(found))
    assert [row[1] for row in rows] == ["32-32-32", "1-1-32", "1-1-32, lat, relu"]


def test_a_rung_of_split_weights_has_a_footnote() -> None:
    found = of_task("rte")
    assert "two 1-bit codes" not in said(table(found))
    assert "two 1-bit codes" in said(table(with_rung(found, unusual=["width 0.5", "sums of two"])))


def test_the_command_prints_a_terminal_table_markdown_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = []
    for found in every_task():
        results.write(tmp_path / f"{found.task}.json", found)
        given.append(str(tmp_path / f"{found.task}.json"))
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


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"format": 2}'])
def test_what_is_no_results_file_of_this_version_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(OtherFormatError, match=r"x\.json: .*`dvc repro evaluate` writes it anew"):
        compare.read(f"bit={tmp_path / 'x.json'}")
