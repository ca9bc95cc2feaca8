"""Rungs: quantized as promised, distilled from a frozen teacher, written down, the same bytes twice."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import BODY
from bitladder.modeling.bert import precision_of as precision_in
from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear
from bitladder.modeling.traces import Trace, trace
from bitladder.quantizers.precision import Precision
from pipeline import paths, record
from pipeline.params import Params
from pipeline.rungs import Distillation, Duration, Phase
from pipeline.training import rows, teaching
from pipeline.training.fit_models import fit_rung
from pipeline.training.student import calibration_rows
from pipeline.training.teaching import lessons, objective

ACTIVATION_BITS = {"w1": 32, "w1a8": 8, "w1a4": 4, "w1a1": 1, "w1a1_random": 1}
every_rung = pytest.mark.parametrize("name", ACTIVATION_BITS)


def refit(params: Params, name: str) -> str:
    stage = "weights" if name in params.weights else "weights_activations"
    return fit_rung(params, name, stage=stage).digest


# what is published


@every_rung
def test_after_training_weights_have_two_levels_and_activations_their_bits(ladder: Params, name: str) -> None:
    model = checkpoint.load_bert(paths.model_dir(name))
    assert precision_in(model.config) == Precision(1, 1, ACTIVATION_BITS[name], scale_bits=8)
    quantized = [part for part in model.modules() if isinstance(part, QuantizedLinear | QuantizedEmbedding)]
    assert len(quantized) == 2 * 6 + 1 + 3
    for part in quantized:
        assert part.quantizer is not None
        values_OI = part.quantizer.quantize(part.weight).values_OI
        assert all(row.abs().unique().numel() == 1 for row in values_OI)
        assert part.weight.detach().abs().unique().numel() > 2, "the latent weight is not stored"


@every_rung
def test_the_published_rung_scores_what_its_record_says(ladder: Params, name: str) -> None:
    data = rows.load(ladder.task, "plain", paths.model_dir("teacher"))
    model = checkpoint.load_bert(paths.model_dir(name))
    found = data.score(model)
    assert record.read(paths.model_dir(name)).scores == {"selection": found.scores}


@every_rung
def test_what_is_no_matrix_is_published_in_half_precision(ladder: Params, name: str) -> None:
    for key, tensor in checkpoint.load_state(paths.model_dir(name)).items():
        if tensor.dim() != 2 and key.startswith(BODY):
            assert torch.equal(tensor, tensor.half().float()), key


@every_rung
def test_the_record_says_parent_teacher_bits_and_data(ladder: Params, name: str) -> None:
    found, rung = record.read(paths.model_dir(name)), ladder.rungs[name]
    parent, teacher = paths.model_dir(rung.init_from), paths.model_dir("teacher")
    assert (found.name, found.parent, found.teacher) == (name, rung.init_from, "teacher")
    assert found.digest == files.verify(paths.model_dir(name))[checkpoint.WEIGHTS]
    assert found.parent_digest == files.sha256(parent / checkpoint.WEIGHTS)
    assert found.teacher_digest == files.sha256(teacher / checkpoint.WEIGHTS)
    assert record.bits(found) == {"weights": 1, "embeddings": 1, "activations": ACTIVATION_BITS[name]}
    assert found.data["kind"] == rung.data
    assert found.data["train"] == files.sha256(paths.data_dir("cola", rung.data) / "train.parquet")
    assert found.settings["rows"] == (96 if rung.data == "augmented" else 48)
    drawn = {part.part.split(".")[0] for part in found.init if part.source == "drawn"}
    assert drawn == ({"encoder"} if name == "w1a1_random" else set())
    assert {part.model for part in found.init if part.source == "copied"} == {rung.init_from}


def test_a_random_encoder_is_not_the_parents_and_copied_embeddings_are_nearly(ladder: Params) -> None:
    found, teacher = (checkpoint.load_state(paths.model_dir(name)) for name in ("w1a1_random", "teacher"))
    table, encoder = "bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.weight"
    # Three steps of training moved them a little.
    assert torch.allclose(found[table], teacher[table], atol=0.1)
    assert not torch.allclose(found[encoder], teacher[encoder], atol=0.1)
    deviation = checkpoint.load_config(paths.model_dir("teacher")).initializer_range
    # Of 512 values the deviation's own is 3 %; training adds a little.
    assert float(found[encoder].std()) == pytest.approx(deviation, rel=0.15)


def test_an_activation_free_rung_is_an_ordinary_bert_checkpoint(ladder: Params) -> None:
    found, teacher = (checkpoint.load_state(paths.model_dir(name)) for name in ("w1", "teacher"))
    assert {name: t.shape for name, t in found.items()} == {name: t.shape for name, t in teacher.items()}


def test_the_curve_has_a_score_at_each_evaluation(ladder: Params) -> None:
    lines = Path("models/w1/curve.csv").read_text().splitlines()
    assert lines[0] == "step,loss,score"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]


# how it is trained


@every_rung
def test_the_same_seed_gives_the_same_bytes(own_ladder: Params, name: str) -> None:
    first = files.verify(paths.model_dir(name))
    refit(own_ladder, name)
    assert files.verify(paths.model_dir(name)) == first


def test_another_seed_gives_others(own_ladder: Params) -> None:
    first = files.sha256(Path("models/w1/model.safetensors"))
    assert refit(own_ladder.model_copy(update={"seed": 1}), "w1") != first


def test_the_teacher_is_frozen_in_eval_mode_and_the_student_is_not(
    own_ladder: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer leaves its teacher's dropout on."""
    passes: list[tuple[bool, bool, bool]] = []

    def watched(model: nn.Module, batch: dict[str, Tensor], *, heads: bool) -> Trace:
        learns = any(parameter.requires_grad for parameter in model.parameters())
        passes.append((model.training, learns, torch.is_grad_enabled()))
        return trace(model, batch, heads=heads)

    monkeypatch.setattr(teaching, "trace", watched)
    before = files.sha256(Path("models/teacher/model.safetensors"))
    refit(own_ladder, "w1")
    teachers, students = passes[0::2], passes[1::2]
    assert teachers == [(False, False, False)] * 3
    assert students == [(True, True, True)] * 3
    assert files.sha256(Path("models/teacher/model.safetensors")) == before


def test_a_rungs_own_settings_go_before_the_ladders(own_ladder: Params) -> None:
    rung = own_ladder.weights["w1"].model_copy(update={"learning_rate": 0.1, "duration": Duration(steps=2)})
    params = own_ladder.model_copy(update={"weights": {"w1": rung}})
    found = fit_rung(params, "w1", stage="weights")
    assert (found.steps, found.settings["learning_rate"]) == (2, 0.1)
    assert sum(found.sign_flips.values()) > 0, "at such a rate signs change"


def test_every_weight_is_trained(ladder: Params) -> None:
    first, last = (checkpoint.load_state(paths.model_dir(name)) for name in ("teacher", "w1"))
    same = {name for name in last if torch.equal(first[name], last[name])}
    assert not same


def test_a_changed_parent_is_refused(own_ladder: Params) -> None:
    with Path("models/w1/model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(files.IntegrityError, match=r"models/w1/model\.safetensors"):
        refit(own_ladder, "w1a8")


def test_a_missing_parent_is_refused_by_name(own_ladder: Params) -> None:
    Path("models/w1").rename("models/elsewhere")
    with pytest.raises(files.IntegrityError, match="models/w1"):
        refit(own_ladder, "w1a8")


# its parts


def test_the_precision_of_a_rung_follows_its_bits(ladder: Params) -> None:
    assert ladder.rungs["w1"].precision == Precision(1, 1, 32, "row", scale_bits=8)
    other = ladder.rungs["w1a4"].model_copy(update={"embedding_bits": 8, "granularity": "matrix"})
    assert other.precision == Precision(1, 8, 4, "matrix")


def test_the_loss_is_the_rungs_own_or_the_ladders(ladder: Params) -> None:
    (of_w1,), (of_w1a1,) = (lessons(ladder, ladder.rungs[name], 9) for name in ("w1", "w1a1"))
    assert of_w1.distillation == ladder.distillation
    assert of_w1a1.distillation == ladder.rungs["w1a1"].distillation != ladder.distillation
    assert (of_w1.num_steps, of_w1.learning_rate) == (9, ladder.training.rung.learning_rate)
    assert of_w1a1.learning_rate == ladder.training.binary_activations.learning_rate
    assert objective(of_w1.distillation, loss="squared_error").loss == "squared_error"


def test_phases_share_the_steps_and_scale_the_learning_rate(ladder: Params) -> None:
    weights = ladder.distillation
    phases = [
        Phase(share=0.5, distillation=weights, learning_rate_factor=2.5),
        Phase(share=0.5, distillation=Distillation(**{**weights.model_dump(), "hidden_states": 0.0})),
    ]
    rung = ladder.rungs["w1"].model_copy(update={"phases": phases, "learning_rate": 0.01})
    first, second = lessons(ladder, rung, 7)
    assert (first.num_steps, second.num_steps) == (4, 3)
    assert (first.learning_rate, second.learning_rate) == (0.025, 0.01)
    assert (first.distillation.hidden_states, second.distillation.hidden_states) == (1.0, 0.0)


def test_calibration_rows_are_different_rows_drawn_from_the_seed() -> None:
    assert sorted(calibration_rows(10, seed=0)) == list(range(10))
    many = calibration_rows(1000, seed=0)
    assert len(set(many)) == 128
    assert many == calibration_rows(1000, seed=0) != calibration_rows(1000, seed=1)
