"""Checkpoints: the same bits back, ordinary to transformers, refused by name when something does not fit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import WEIGHTS_ONLY, WITH_ACTIVATIONS, batch, classifier, config, logits, plain_copy
from tiny_rung import write_tokenizer
from torch import Tensor, nn
from transformers import BertForMaskedLM, BertForSequenceClassification, BertModel

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import build_bert
from bitladder.modeling.layers import QuantizedEmbedding
from bitladder.quantizers.precision import Precision

HEAD, NORM = "classifier.weight", "bert.embeddings.LayerNorm.weight"
STEP = "bert.pooler.dense.activation.log_step"
Saved = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Save `classifier(precision)`, its tensors changed by a function of their dictionary."""

    def save(
        precision: Precision | None = None, change: Callable[[dict[str, Tensor]], object] | None = None
    ) -> Path:
        folder = tmp_path / "saved"
        folder.mkdir()
        write_tokenizer(folder)
        model = classifier(precision)
        checkpoint.save(folder, model, model.config, tokenizer_from=tmp_path)
        if change is not None:
            state = load_file(folder / checkpoint.WEIGHTS)
            change(state)
            save_file(state, folder / checkpoint.WEIGHTS)
        return folder

    return save


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


# there and back


@pytest.mark.parametrize("precision", [None, *WEIGHTS_ONLY, *WITH_ACTIVATIONS])
def test_a_checkpoint_gives_back_the_same_tensors_and_logits(
    saved: Saved, precision: Precision | None
) -> None:
    model, loaded = classifier(precision), checkpoint.load_bert(saved(precision))
    before, after = state_of(model), state_of(loaded)
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(logits(model, batch()), logits(loaded, batch()))
    assert not loaded.training


@pytest.mark.parametrize("precision", [Precision(32, 1), Precision(32, 32, 8), Precision(1, 32)])
def test_a_precision_that_leaves_the_linears_alone_is_kept_too(saved: Saved, precision: Precision) -> None:
    expected = logits(classifier(precision), batch())
    loaded = checkpoint.load_bert(saved(precision))
    assert torch.equal(logits(loaded, batch()), expected)
    tables = [part for part in loaded.modules() if isinstance(part, QuantizedEmbedding)]
    assert len(tables) == (3 if precision.embeddings != 32 else 0)


def test_a_teacher_is_not_converted(saved: Saved) -> None:
    loaded = checkpoint.load_bert(saved(None))
    assert {type(part) for part in loaded.modules() if isinstance(part, nn.Linear)} == {nn.Linear}


def test_saved_twice_it_is_the_same_bytes(saved: Saved, tmp_path: Path) -> None:
    folder = saved(Precision(1, 1, 4))
    model = checkpoint.load_bert(folder)
    (tmp_path / "again").mkdir()
    checkpoint.save(tmp_path / "again", model, model.config, tokenizer_from=folder)
    for path in folder.iterdir():
        assert files.sha256(path) == files.sha256(tmp_path / "again" / path.name), path.name


def test_the_config_tells_nothing_of_the_machine_and_no_dtype(saved: Saved) -> None:
    written = json.loads((saved(Precision(1, 1)) / "config.json").read_text())
    assert not {"_name_or_path", "transformers_version", "attn_implementation", "dtype"} & set(written)


# others' readers


@pytest.mark.parametrize("precision", [None, *WEIGHTS_ONLY])
def test_plain_transformers_loads_a_rung_as_an_ordinary_bert(
    saved: Saved, precision: Precision | None
) -> None:
    """Its latent weights, that is: nothing is missing and nothing is left over."""
    folder = saved(precision)
    plain, report = BertForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    expected = logits(plain_copy(classifier(precision)), batch())
    assert torch.allclose(logits(plain.eval(), batch()), expected, atol=1e-6)


def test_of_a_rung_with_activations_plain_transformers_leaves_only_the_steps(saved: Saved) -> None:
    _, report = BertForSequenceClassification.from_pretrained(
        saved(Precision(1, 1, 1)), output_loading_info=True
    )
    assert not report["missing_keys"]
    assert {name.rsplit(".", 1)[1] for name in report["unexpected_keys"]} == {"log_step", "shift"}


def test_a_masked_lm_model_is_whole_for_transformers_though_its_decoder_is_not_stored(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = BertForMaskedLM(config())
    checkpoint.save(tmp_path, model, model.config, tokenizer_from=tmp_path)
    loaded, report = BertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert torch.equal(loaded.cls.predictions.decoder.weight, model.bert.embeddings.word_embeddings.weight)


# others' writers


def test_names_of_old_checkpoints_are_understood(tmp_path: Path) -> None:
    """The Hub's bert-base-uncased has LayerNorm.gamma and LayerNorm.beta."""
    model = classifier()
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in state_of(model).items()
    }
    assert sum("gamma" in name for name in old) == 5
    save_file(old, tmp_path / checkpoint.WEIGHTS)
    found = checkpoint.load_state(tmp_path)
    checkpoint.load_strictly(build_bert(config()), found, source="old")
    assert torch.equal(found[NORM], model.state_dict()[NORM])


def test_names_of_a_bare_bert_are_understood_and_its_position_ids_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    bare = state_of(BertModel(config()))
    save_file({**bare, "embeddings.position_ids": torch.arange(17)[None]}, tmp_path / checkpoint.WEIGHTS)
    found = checkpoint.load_state(tmp_path)
    assert set(found) == {f"bert.{name}" for name in bare}


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    save_file({HEAD: torch.ones(2, 3, dtype=torch.bfloat16)}, tmp_path / checkpoint.WEIGHTS)
    assert checkpoint.load_state(tmp_path)[HEAD].dtype == torch.float32


# what does not fit


@pytest.mark.parametrize("name", [HEAD, NORM, STEP])
def test_a_missing_tensor_is_refused_by_name(saved: Saved, name: str) -> None:
    """transformers would draw it at random and say so in a warning."""
    folder = saved(Precision(1, 1, 4), lambda state: state.pop(name))
    with pytest.raises(ValueError, match=rf"saved/model\.safetensors: missing {name}"):
        checkpoint.load_bert(folder)


def test_an_extra_tensor_is_refused_by_name(saved: Saved) -> None:
    folder = saved(None, lambda state: state.update(surplus=torch.ones(1)))
    with pytest.raises(ValueError, match=r"unexpected surplus"):
        checkpoint.load_bert(folder)


def test_a_misshapen_tensor_is_refused_by_name_and_shapes(saved: Saved) -> None:
    folder = saved(None, lambda state: state.update({HEAD: torch.ones(3, 32)}))
    with pytest.raises(ValueError, match=r"misshapen classifier\.weight \(3, 32\) instead of \(2, 32\)"):
        checkpoint.load_bert(folder)


def test_a_checkpoint_of_another_width_is_refused(saved: Saved) -> None:
    """A W1A4 checkpoint whose config says A32 has steps nobody would use."""
    folder = saved(Precision(1, 1, 4))
    values = files.read_json(folder / "config.json")
    values["bitladder_precision"]["activations"] = 32
    files.write_json(folder / "config.json", values)
    with pytest.raises(ValueError, match=r"unexpected .*log_step"):
        checkpoint.load_bert(folder)


def test_another_kind_of_model_is_refused(saved: Saved) -> None:
    folder = saved(None)
    files.write_json(folder / "config.json", {"model_type": "roberta"})
    with pytest.raises(ValueError, match=r"model_type is 'roberta'; a BERT is needed"):
        checkpoint.load_config(folder)


# what is packed in half precision


@pytest.mark.parametrize(
    "precision",
    [
        Precision(1, 1),
        Precision(1, 1, 4),
        Precision(1, 1, 1),
        Precision(1, 1, 8, activation_quantizer="min_max_ema"),
    ],
)
def test_what_is_not_a_matrix_is_rounded_to_half_precision_and_matrices_and_head_are_not(
    precision: Precision,
) -> None:
    model = classifier(precision)
    before = state_of(model)
    checkpoint.round_side_parameters(model)
    for name, tensor in model.state_dict().items():
        is_latent = before[name].dim() == 2 and name.endswith(".weight")
        if is_latent or name.startswith("classifier."):
            assert torch.equal(tensor, before[name]), name
        else:
            assert torch.equal(tensor, before[name].half().float()), name
    assert not torch.equal(model.state_dict()[NORM], before[NORM])


def test_rounding_twice_changes_nothing_more() -> None:
    model = classifier(Precision(1, 1, 4))
    checkpoint.round_side_parameters(model)
    before = state_of(model)
    checkpoint.round_side_parameters(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
