"""The register stage: fills an empty store, does nothing in a moment when there is nothing to do."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from ladder_on_disk import ROOT, Project

from pipeline.stages import register
from pipeline.tracking import execution, receipt, store

NEEDS_NO_MLFLOW = """
import sys, pathlib
from pipeline import params
from pipeline.stages import register
register.run(params.load(pathlib.Path("params.yaml")))
assert "mlflow" not in sys.modules and "torch" not in sys.modules
"""


def noted(project: Project) -> receipt.Receipt | None:
    return receipt.unchanged(store.locate(), "demo", execution.fingerprint(project.params))


@pytest.fixture
def published_copy(registered_project: Project) -> Project:
    """A registered ladder whose receipt is its own."""
    register.run(registered_project.params)
    assert noted(registered_project) is not None
    return registered_project


def register_again(project: Project, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    register.run(project.params)
    return capsys.readouterr().out


def test_the_second_time_needs_no_mlflow(registered: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NEEDS_NO_MLFLOW],
        cwd=registered,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "0 runs new, 6 unchanged; champion = w1 " in done.stdout


def test_the_second_time_is_quick(
    registered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(registered)
    started = time.monotonic()
    assert "0 runs new" in register_again(Project(registered), capsys)
    assert time.monotonic() - started < 1


def test_a_copied_store_is_published_to_as_another_one(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert noted(registered_project) is None
    assert "0 runs new, 6 unchanged; 0 versions new, 4 unchanged" in register_again(
        registered_project, capsys
    )
    assert noted(registered_project) is not None


def test_a_store_whose_artifacts_were_left_behind_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    register.run(project.params)
    moved = project.root.rename(project.root.with_name("moved"))
    monkeypatch.chdir(moved)
    with pytest.raises(store.StoreUnreachableError, match="if the project was moved"):
        register.run(Project(moved).params)


def test_a_deleted_store_is_filled_again(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (registered_project.root / store.HOME / "mlflow.db").unlink()
    assert "6 runs new, 0 unchanged; 4 versions new" in register_again(registered_project, capsys)
    assert "0 runs new, 6 unchanged" in register_again(registered_project, capsys)


def test_a_run_deleted_by_hand_is_noticed(published_copy: Project) -> None:
    known = noted(published_copy)
    assert known is not None
    with store.opened(store.locate()) as client:
        client.delete_run(known.runs[-1])
    assert noted(published_copy) is None


def test_an_alias_moved_by_hand_is_noticed(published_copy: Project) -> None:
    with store.opened(store.locate()) as client:
        client.delete_registered_model_alias("bitladder-demo", "champion")
    assert noted(published_copy) is None


def test_results_that_changed_are_noticed(published_copy: Project) -> None:
    published_copy.evaluate(w1=0.5)
    assert noted(published_copy) is None


@pytest.mark.parametrize("content", ["", "{}", '{"fingerprint": "x"}', "[]", "null"])
def test_a_torn_receipt_means_publish(published_copy: Project, content: str) -> None:
    (published_copy.root / store.HOME / "published-demo.json").write_text(content)
    assert noted(published_copy) is None


def test_nothing_is_left_outside_the_projects_own_folder(project: Project) -> None:
    before = {path.name for path in project.root.iterdir()}
    register.run(project.params)
    assert {path.name for path in project.root.iterdir()} == before
