"""What MLflow's pages say, and where its links lead."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import some_results

from bitladder.quantizers.precision import Precision
from pipeline.record import Record
from pipeline.tracking import descriptions
from pipeline.tracking.execution import Execution, Model

PARAMS: Any = SimpleNamespace(
    model=SimpleNamespace(name="minilm"), budget=SimpleNamespace(name="quick"), seed=3
)


def model(name: str, result: Any = None, packed: dict[str, str] | None = None, **record: Any) -> Model:
    stage = name if name in ("pretrained", "teacher") else "weights"
    own = Record(name, stage, "demo", "0" * 64, **record)  # type: ignore[arg-type]
    return Model(own, Path("models") / name, {}, packed, result)


RUNG = model(
    "w1",
    some_results.model(0.8, "w2", gap=-0.1, mib=0.5, ratio=16.0),
    packed={},
    parent="w2",
    teacher="teacher",
    precision=Precision(weights=1, embeddings=1),
)


def test_a_rung_says_what_it_is_comes_from_and_is_worth_and_leads_to_the_report() -> None:
    said = descriptions.of_model(RUNG, "#/there")
    for part in (
        "1-bit weights, 1-bit embeddings, 32-bit activations",
        "starts from w2 and is taught by teacher",
        "Score 0.8000, -0.1000 to its teacher",
        "0.500 MiB",
        "packed/w1",
        "[Report](#/there)",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("name", "part"), [("teacher", "all others learn from"), ("pretrained", "descend from")]
)
def test_the_teacher_and_the_pretrained_model_are_no_rungs(name: str, part: str) -> None:
    said = descriptions.of_model(model(name), None)
    assert part in said
    assert "rung" not in said
    assert "Report" not in said


def test_an_execution_names_its_rungs_task_model_budget_and_seed() -> None:
    found = Execution("demo", (model("teacher"), RUNG), None)
    said = descriptions.of_execution(found, PARAMS, "#/there")
    for part in ("task demo", "model minilm", "budget quick", "seed 3", ": w1 beside", "[Report](#/there)"):
        assert part in said


def test_links_hold_on_any_port() -> None:
    pages = (
        descriptions.runs_page("7"),
        descriptions.model_page("bitladder-demo"),
        descriptions.report_page("7", "abc", Path("reports/report.html")),
    )
    assert all(page.startswith("#/") for page in pages)
    assert all(page.endswith("?workflowType=machine_learning") for page in pages)
    assert pages[2].startswith("#/experiments/7/runs/abc/artifacts/report.html?")
