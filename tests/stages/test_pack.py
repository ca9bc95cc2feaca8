"""`pack` publishes what agrees with the trained rung, and nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_project
from made_up import params
from safetensors.torch import load_file, save_file
from with_kernels import has_kernels

from bitladder import files
from bitladder.modeling.traces import PADDING
from bitladder.runtime.kernels import engines
from bitladder.transformers_model import model
from pipeline import paths, record
from pipeline.evaluation import agreement
from pipeline.evaluation.agreement import OnSplit
from pipeline.params import Params
from pipeline.stages import pack


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    return tiny_project.make()


def test_the_packed_folder_is_whole_and_loads(project: Params) -> None:
    pack.run(project, "w1a8")
    names = files.verify(paths.packed_dir("w1a8")).keys()
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "record.json", "agreement.json"}
    assert wanted <= names
    assert model.load(paths.packed_dir("w1a8")).config.bitladder_precision["activations"] == 8
    assert record.read(paths.packed_dir("w1a8")) == record.read(paths.model_dir("w1a8"))


@pytest.mark.parametrize("rung", ["w8", "w4", "w2", "w1", "w1a4", "w1a1"])
def test_outputs_are_the_trained_rungs_on_the_whole_validation_split(project: Params, rung: str) -> None:
    pack.run(project, rung)
    found = agreement.read(paths.packed_dir(rung)).splits
    # There are no kernels for layers of 32 features.
    assert found == {"validation": OnSplit(48, 0.0, 1.0, by_kernels=None)}


@has_kernels
@pytest.mark.parametrize("rung", ["w1a8", "w1a4", "w1a1", "w1"])
def test_the_kernels_are_compared_with_the_trained_rung_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rung: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(engines.VARIABLE, raising=False)
    pack.run(tiny_project.make(hidden_size=64, intermediate_size=128), rung)
    found = agreement.read(paths.packed_dir(rung)).splits["validation"]
    assert found.largest_logit_difference == 0
    by_kernels = found.by_kernels
    assert "by the kernels they differ" in capsys.readouterr().out
    assert by_kernels is not None
    assert by_kernels.mean_logit_difference <= by_kernels.largest_logit_difference
    assert by_kernels.score_difference is not None
    assert by_kernels.label_agreement is not None
    assert by_kernels.label_agreement >= 0.9


@has_kernels
def test_engines_that_differ_in_a_bit_are_refused_whatever_the_model_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitladder import runtime

    def wrong(self: runtime.Model, *inputs: object) -> object:
        answers = right(self, *inputs)  # type: ignore[arg-type]
        return answers if self.engine.engine == engines.running()[0] else np.nextafter(answers, np.float32(9))

    monkeypatch.chdir(tmp_path)
    project, right = tiny_project.make("stsb", hidden_size=64, intermediate_size=128), runtime.Model.logits
    monkeypatch.setattr(runtime.Model, "logits", wrong)
    with pytest.raises(ValueError, match=r"engines \w+ and \w+ do not give the same logits"):
        pack.run(project, "w1a8")
    assert not paths.packed_dir("w1a8").exists()


@has_kernels
def test_a_regression_that_says_the_same_of_every_row_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its logits have next to no standard deviation, to which no difference can be held."""
    monkeypatch.chdir(tmp_path)
    project = tiny_project.make("stsb", hidden_size=64, intermediate_size=128)
    folder = paths.model_dir("w1a8")
    state = load_file(folder / paths.WEIGHTS)
    state["classifier.weight"] *= 1e-6
    with files.publish(folder) as changed:
        for path in (path for path in folder.iterdir() if path.name != files.MANIFEST):
            shutil.copy(path, changed)
        save_file(state, changed / paths.WEIGHTS, metadata={"format": "pt"})
        digest = files.sha256(changed / paths.WEIGHTS)
        record.write(changed, replace(record.read(folder), digest=digest))
    pack.run(project, "w1a8")
    [found] = agreement.read(paths.packed_dir("w1a8")).splits.values()
    assert found.by_kernels is not None
    assert found.by_kernels.largest_logit_difference < 1e-4


def test_padding_is_no_part_of_the_mean_difference() -> None:
    trained_N2S = np.full((3, 2, 100), PADDING, dtype=np.float32)
    trained_N2S[..., :10] = np.arange(10)
    other_N2S = np.where(trained_N2S == PADDING, PADDING, trained_N2S + 1)
    assert pack.mean_difference(trained_N2S, other_N2S) == 1.0


def test_an_engine_that_there_is_not_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is neither a rung nor data
    monkeypatch.setenv(engines.VARIABLE, "quick")
    with pytest.raises(engines.EngineError, match="quick"):
        pack.run(params(Path()), "w1")


def test_it_says_size_and_agreement_in_one_line(project: Params, capsys: pytest.CaptureFixture[str]) -> None:
    pack.run(project, "w1")
    [line] = capsys.readouterr().out.splitlines()
    assert "MiB" in line
    assert "times smaller" in line
    assert "labels agree on 100.00%" in line


def test_packing_twice_gives_the_same_bytes(project: Params) -> None:
    pack.run(project, "w2")
    first = files.verify(paths.packed_dir("w2"))
    pack.run(project, "w2")
    assert files.verify(paths.packed_dir("w2")) == first


def test_a_regression_agrees_by_its_values_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pack.run(tiny_project.make("stsb"), "w1")
    [found] = agreement.read(paths.packed_dir("w1")).splits.values()
    assert found.label_agreement is None
    assert found.largest_logit_difference == 0


def test_a_changed_rung_is_refused_and_nothing_is_published(project: Params) -> None:
    weights = paths.model_dir("w1") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(files.IntegrityError, match=r"model\.safetensors"):
        pack.run(project, "w1")
    assert not paths.packed_dir("w1").exists()


def test_a_record_of_other_weights_is_refused(project: Params) -> None:
    kept = {path.name: path.read_bytes() for path in paths.model_dir("w1").iterdir()}
    with files.publish(paths.model_dir("w1")) as folder:
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        state = load_file(folder / "model.safetensors")
        state["classifier.bias"] = state["classifier.bias"] + 1
        (folder / "model.safetensors").unlink()
        save_file(state, folder / "model.safetensors")
    with pytest.raises(files.IntegrityError, match=r"record\.json"):
        pack.run(project, "w1")


def test_a_name_that_is_no_rung_is_refused_with_those_that_are(project: Params) -> None:
    with pytest.raises(ValueError, match="no rung 'w3'; known"):
        pack.run(project, "w3")
