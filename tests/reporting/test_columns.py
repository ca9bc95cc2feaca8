"""Several tasks side by side: GLUE's order, both averages, and no mean that pretends to be another one."""

import pytest
import some_results
from hypothesis import given
from hypothesis import strategies as st
from several_tasks import every_task, of_task, seeds, source, table, with_rung

from pipeline.reporting.columns import EIGHT, NAMES, Cell, MismatchError, Row, averages, compare


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


def test_the_order_is_glues_whatever_the_files() -> None:
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
    cells = {key: Cell(value, None, None, None, 1, {}, {}, "selection", ()) for key, value in row.items()}
    eight, nine = averages(row)
    bit = Row("w1a1", (1, 1, 1), cells=cells)
    assert bit.mean(eight) == pytest.approx(73.5, abs=0.05)
    assert bit.mean(nine) == pytest.approx(74.2, abs=0.05)


@given(st.sets(st.sampled_from([*NAMES, "squad", "squad_v2", "demo"])))
def test_only_all_eight_tasks_are_called_glue(keys: set[str]) -> None:
    found = averages(keys)
    for average in found:
        whole = set(EIGHT) <= keys
        assert ("GLUE," in average.title) == whole
        assert whole or all(NAMES[key] in average.says for key in average.columns)
        assert set(average.columns) <= keys - {"wnli", "squad", "squad_v2", "demo"}
        assert len(average.columns) >= 2


def test_a_few_tasks_are_named_and_not_called_glue() -> None:
    found = table(*(of_task(task) for task in ("rte", "cola", "mrpc")))
    [average] = found.averages
    assert average.title == "mean of 3"
    assert average.says == "mean of 3 tasks: CoLA, MRPC, RTE; not GLUE's average."


def test_the_mismatched_half_of_mnli_is_a_mean_over_seeds_too() -> None:
    found = table(seeds("mnli", [0.9, 0.9], [0.8, 0.7]))
    cell = found.rows[1].cells["mnli-mm"]
    assert (cell.score, cell.gap, cell.num_seeds) == (pytest.approx(0.65), pytest.approx(-0.15), 2)
    assert cell.std == cell.gap_std == pytest.approx(0.05 * 2**0.5)


def test_ladders_told_apart_share_their_teacher() -> None:
    found = compare([source(of_task("rte")), source(of_task("rte", rung=0.7), "bit")])
    assert [row.name for row in found.rows] == ["teacher", "w1", "bit w1"]
    other = of_task("rte", teacher=0.95)
    other = some_results.with_models(
        other, teacher=other.models["teacher"].model_copy(update={"digest": "b"})
    )
    found = compare([source(of_task("rte")), source(other, "bit")])
    assert [row.name for row in found.rows] == ["teacher", "w1", "bit teacher", "bit w1"]


def test_a_shared_teacher_of_more_seeds_here_than_there_has_two_rows_and_gaps_add_up() -> None:
    several = source(seeds("rte", [0.9, 0.8, 0.7], [0.8, 0.7, 0.6]))
    one = source(of_task("rte", rung=0.7), "bit")
    for sources in ([several, one], [one, several]):
        rows = {row.name: row.cells["rte"] for row in compare(sources).rows}
        assert rows.keys() == {"teacher", "w1", "bit teacher", "bit w1"}
        for label in ("", "bit "):
            score, gap = rows[f"{label}w1"].score, rows[f"{label}w1"].gap
            assert score is not None
            assert gap is not None
            assert score - gap == pytest.approx(rows[f"{label}teacher"].score)


def test_two_files_of_a_task_are_refused() -> None:
    with pytest.raises(MismatchError, match=r"rte\.json: results of rte, as rte\.json; name ladders apart"):
        table(of_task("rte"), of_task("rte"))


def test_a_name_with_other_bits_is_refused() -> None:
    other = with_rung(of_task("cola"), activation_bits=8)
    with pytest.raises(MismatchError, match=r"w1 has 1-1-8 \(bits of .*; elsewhere 1-1-32;"):
        table(of_task("rte"), other)


def test_a_name_with_something_else_unusual_is_refused() -> None:
    found = with_rung(of_task("rte"), "w1_lat", unusual=["lat", "relu"])
    other = with_rung(of_task("cola"), "w1_lat", unusual=["lat"])
    with pytest.raises(MismatchError, match=r"w1_lat has 1-1-32, lat .*; elsewhere 1-1-32, lat, relu;"):
        table(found, other)


def test_one_column_holds_one_kind_of_number() -> None:
    fewer = of_task("rte", rows={"validation": 50})
    with pytest.raises(MismatchError, match=r"rows of RTE is \(50, 100\), rte.json has \(100, 100\)"):
        compare([source(of_task("rte")), source(fewer, "bit")])
