"""The register stage: fills an empty store, and changes nothing where there is nothing to do."""

import pytest
from ladder_on_disk import Project

from pipeline.stages import register
from pipeline.tracking import registry, store


def register_again(project: Project, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    register.run(project.params)
    return capsys.readouterr().out


def test_the_second_time_there_is_nothing_to_do(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    said = register_again(registered_project, capsys)
    assert "0 runs new, 6 unchanged; 0 versions new, 4 unchanged; champion = w1 " in said


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


def test_a_run_deleted_by_hand_is_published_again(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.opened(store.locate()) as client:
        experiment = client.get_experiment_by_name("bitladder/demo")
        (run,) = client.search_runs([experiment.experiment_id], "tags.`bitladder.name` = 'w1'")
        client.delete_run(run.info.run_id)
    assert "1 runs new, 5 unchanged" in register_again(registered_project, capsys)


def test_an_alias_moved_by_hand_is_set_again(registered_project: Project) -> None:
    with store.opened(store.locate()) as client:
        before = registry.champion(client, "bitladder-demo")
        client.delete_registered_model_alias("bitladder-demo", "champion")
        register.run(registered_project.params)
        assert registry.champion(client, "bitladder-demo") == before is not None


def test_nothing_is_left_outside_the_projects_own_folder(project: Project) -> None:
    before = {path.name for path in project.root.iterdir()}
    register.run(project.params)
    assert {path.name for path in project.root.iterdir()} == before
