"""The register stage: fills an empty store, does nothing in a moment when there is nothing to do."""

import subprocess
import sys
import time

import pytest
from ladder_on_disk import Project

from pipeline.stages import register
from pipeline.tracking import execution, receipt, store

NEEDS_NO_MLFLOW = """
import sys, pathlib
from pipeline import params
from pipeline.stages import register
register.run(params.load(pathlib.Path("params.yaml")))
assert "mlflow" not in sys.modules and "torch" not in sys.modules
"""


def register_again(project: Project, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    register.run(project.params)
    return capsys.readouterr().out


def test_the_second_time_needs_no_mlflow(registered_project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NEEDS_NO_MLFLOW],
        cwd=registered_project.root,
        env={"PYTHONPATH": str(register.__file__).removesuffix("/pipeline/stages/register.py")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "0 runs new, 6 unchanged; champion = w1 " in done.stdout


def test_the_second_time_is_quick(registered_project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert "0 runs new" in register_again(registered_project, capsys)
    assert time.monotonic() - started < 1


def test_a_deleted_store_is_filled_again(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (registered_project.root / store.HOME / "mlflow.db").unlink()
    assert "6 runs new, 0 unchanged; 4 versions new" in register_again(registered_project, capsys)
    assert "0 runs new, 6 unchanged" in register_again(registered_project, capsys)


def test_a_run_deleted_by_hand_is_noticed(registered_project: Project) -> None:
    place = store.locate()
    fingerprint = execution.fingerprint(registered_project.params)
    known = receipt.unchanged(place, "demo", fingerprint)
    assert known is not None
    with store.opened(place) as client:
        client.delete_run(known.runs[-1])
    assert receipt.unchanged(place, "demo", fingerprint) is None


def test_an_alias_moved_by_hand_is_noticed(registered_project: Project) -> None:
    place = store.locate()
    fingerprint = execution.fingerprint(registered_project.params)
    with store.opened(place) as client:
        client.delete_registered_model_alias("bitladder-demo", "champion")
    assert receipt.unchanged(place, "demo", fingerprint) is None


def test_results_that_changed_are_noticed(registered_project: Project) -> None:
    before = execution.fingerprint(registered_project.params)
    registered_project.evaluate(w1=0.5)
    after = execution.fingerprint(registered_project.params)
    assert before != after
    assert receipt.unchanged(store.locate(), "demo", after) is None


@pytest.mark.parametrize("content", ["", "{}", '{"fingerprint": "x"}', "[]", "null"])
def test_a_torn_receipt_means_publish(registered_project: Project, content: str) -> None:
    (registered_project.root / store.HOME / "published-demo.json").write_text(content)
    fingerprint = execution.fingerprint(registered_project.params)
    assert receipt.unchanged(store.locate(), "demo", fingerprint) is None


def test_nothing_is_left_outside_the_projects_own_folder(project: Project) -> None:
    before = {path.name for path in project.root.iterdir()}
    register.run(project.params)
    assert {path.name for path in project.root.iterdir()} == before
