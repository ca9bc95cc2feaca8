"""MLflow's store lies in the project whatever its folder is called, or is refused; never elsewhere."""

from pathlib import Path

import pytest

from pipeline.tracking import store


@pytest.mark.parametrize("name", ["two words", "-dash", "ü", "it's", 'a "b"', "#%&;"])
def test_the_store_lies_in_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    found = store.locate().database
    assert found is not None
    assert found.is_relative_to(tmp_path / name)


@pytest.mark.parametrize("name", ["what?", "'a' \"b\""])
def test_a_name_that_would_lead_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """At ? SQLite's address ends: the database was made beside the project."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(store.StoreUriError, match="MLflow keeps no database in a folder with"):
        store.locate()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["-two words ü#%&;'", '"'])
def test_the_store_opens_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with store.opened(store.locate()) as client:
        assert client.search_experiments()
    assert [path.name for path in tmp_path.iterdir()] == [name]
