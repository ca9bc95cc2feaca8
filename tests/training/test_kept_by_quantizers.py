"""Weight quantizers that keep something, in training: LAT's moments, LSQ's steps, and where they go."""

from collections.abc import Callable
from pathlib import Path

import ladder_project
import pytest
import torch
from tiny_model import batch, classifier
from torch import nn

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.layers import weight_quantizers
from bitladder.packed.writing import pack
from bitladder.quantizers.lat import LossAwareTernary
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.weight_lsq import WeightLsq
from bitladder.transformers_model import model as packed_model
from pipeline import paths, record
from pipeline.params import Params
from pipeline.training import loop
from pipeline.training.fit_models import fit_rung
from pipeline.training.optimizer import adamw, show_second_moments

TABLE = "bert.embeddings.word_embeddings"
LADDER = (
    "weights.w4.bits=2",
    "weights.w4.init_from=teacher",
    "+weights.w4.weight_quantizer=lat",
    "+weights.w2.weight_quantizer=lsq",
    "+weights.w2.granularity=group",
    "+weights.w2.group_size=8",
    *ladder_project.LADDER,
)


class KilledError(BaseException):
    """Ends a training as `kill -9` does."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    root = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        params = ladder_project.make("cola", "training.checkpoint_every=1", ladder=LADDER)
        ladder_project.climb(params, "w4", "w2")
    return root, params


@pytest.fixture
def project(trained: tuple[Path, Params], monkeypatch: pytest.MonkeyPatch) -> Params:
    root, params = trained
    monkeypatch.chdir(root)
    return params


def test_quantizers_that_observe_see_adams_second_moment_and_others_nothing() -> None:
    model = classifier(Precision(2, 8, 32, weight_quantizer="lat"))  # its tables are min_max's
    optimizer = adamw(model, learning_rate=1e-3, weight_decay=0.0)
    show_second_moments(model, optimizer)  # there is none yet
    model(**batch()).logits.square().sum().backward()
    optimizer.step()
    show_second_moments(model, optimizer)
    observing = [(q, w) for q, w in weight_quantizers(model) if isinstance(q, LossAwareTernary)]
    assert len(observing) == 2 * 6 + 1
    for quantizer, weight in observing:
        assert torch.equal(quantizer.curvature, optimizer.state[weight]["exp_avg_sq"].sqrt())
        assert quantizer.curvature.max() > 0


def test_a_trained_rung_has_the_moments_of_its_best_step_and_computes_the_same_when_loaded(
    project: Params,
) -> None:
    model = checkpoint.load_bert(paths.model_dir("w4"))
    kept = [quantizer for quantizer, _ in weight_quantizers(model)]
    assert all(isinstance(quantizer, LossAwareTernary) for quantizer in kept)
    assert any(float(quantizer.curvature.max()) > 0 for quantizer in kept)
    layer = model.get_submodule("bert.encoder.layer.0.attention.self.query")
    without = layer.quantizer.quantize(layer.weight).values_OI
    layer.quantizer.curvature.zero_()
    assert not torch.equal(layer.quantizer.quantize(layer.weight).values_OI, without), "it changed nothing"


@pytest.mark.parametrize("name", ["w4", "w2"])
def test_killed_twice_it_ends_with_the_same_bytes(
    project: Params, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = files.sha256(paths.model_dir(name) / "model.safetensors")
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "show_second_moments", _killing_in_the_second_step())
            with pytest.raises(KilledError):
                fit_rung(project, name, stage="weights")
    fit_rung(project, name, stage="weights")
    assert files.sha256(paths.model_dir(name) / "model.safetensors") == before


def _killing_in_the_second_step() -> Callable[[nn.Module, torch.optim.Optimizer], None]:
    """Of those that are taken from here on: one more than a state is written of."""
    taken: list[int] = []

    def show(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        taken.append(1)
        if len(taken) == 2:
            raise KilledError
        show_second_moments(model, optimizer)

    return show


def test_a_child_has_its_parents_latent_weights_and_a_quantizer_of_its_own(project: Params) -> None:
    child = checkpoint.load_state(paths.model_dir("w2"))
    assert not any(name.endswith("curvature") for name in child)
    assert child[f"{TABLE}.quantizer.log_step"].isfinite().all()
    assert {part.model for part in _init("w2")} == {"w4"}


def _init(name: str) -> list[record.Part]:
    return record.read(paths.model_dir(name)).init


def test_steps_are_learned_and_stay_as_they_were_trained(project: Params) -> None:
    model = checkpoint.load_bert(paths.model_dir("w2"))
    moved = []
    for quantizer, weight in weight_quantizers(model):
        assert isinstance(quantizer, WeightLsq)
        assert quantizer.log_step.shape == (weight.numel() // 8, 1)
        trained = quantizer.log_step.detach().clone()
        # Not rounded with the side parameters: packed is the scale, which is rounded by itself.
        moved.append(not torch.equal(trained, trained.half().float()))
    assert any(moved)


def test_the_record_says_names_granularity_and_group_size(project: Params) -> None:
    lat, lsq = (record.read(paths.model_dir(name)).precision for name in ("w4", "w2"))
    assert (lat.weight_quantizer, lat.granularity, lat.group_size) == ("lat", "row", None)
    assert lat.quantizer_of_weights(is_table=True) == "lat"
    assert (lsq.weight_quantizer, lsq.granularity, lsq.group_size) == ("lsq", "group", 8)


@pytest.mark.parametrize("name", ["w4", "w2"])
def test_they_are_packed_as_they_were_trained(project: Params, tmp_path: Path, name: str) -> None:
    with files.publish(tmp_path / "packed") as folder:
        pack(paths.model_dir(name), folder)
    trained, packed = checkpoint.load_bert(paths.model_dir(name)), packed_model.load(tmp_path / "packed")
    inputs = {key: tensor.clamp(max=40) for key, tensor in batch().items()}
    with torch.no_grad():
        assert torch.equal(packed(**inputs).logits, trained(**inputs).logits)
