"""MLflow's store lies in the project whatever its folder is called, or is refused; never elsewhere."""

from pathlib import Path

import pytest

from pipeline.tracking import store

NAMES = ["two words", "-dash", "ü", "it's", 'a "b"', "#%&;", "what?", "'a' \"b\""]


@pytest.mark.parametrize("name", NAMES)
def test_the_store_lies_in_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    found = store.locate().database
    assert found is not None
    assert found.is_relative_to(tmp_path / name)


def test_an_address_that_would_lead_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At ? SQLite's address ends: the database was made beside the folder."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/what?/mlflow.db")
    with pytest.raises(store.StoreUriError, match=r"what\?: SQLite's addresses end at \?"):
        store.locate()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["-two words ü#%&;'", "what? 'a' \"b\" %20"])
def test_runs_are_kept_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with store.opened(store.locate()) as client:
        found = store.locate()
        run = client.create_run(store.experiment(client, found, "demo"))
        Path("card.md").write_text("# a model\n")
        client.log_artifact(run.info.run_id, "card.md")
        assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["card.md"]
    assert [path.name for path in tmp_path.iterdir()] == [name]
