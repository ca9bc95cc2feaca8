"""What users of transformers do to a model works on a packed one, or is refused in a sentence."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from packed_models import PRECISIONS, Make, agree, made_folder
from test_num_texts import reading
from tiny_rung import batch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import bitladder
from bitladder import files
from bitladder.packed import format
from bitladder.quantizers.precision import Precision

__all__ = ["made_folder"]  # a fixture
bitladder.register()


@pytest.fixture(params=[PRECISIONS[0], Precision(1, 1, 32), Precision(1, 32, 4)], ids=["w1a8", "w1", "w1a4"])
def folder(request: pytest.FixtureRequest, made: Make) -> Path:
    return made(request.param)


def load(folder: Path) -> Any:
    return AutoModelForSequenceClassification.from_pretrained(folder)


@torch.no_grad()
def logits(model: Any) -> Tensor:
    found: Tensor = model(**batch()).logits
    return found


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_torchs_default_dtype_is_nothing_to_it(folder: Path, dtype: torch.dtype) -> None:
    wanted, layers = load(folder), load(folder)
    layers.by_kernels = False
    torch.set_default_dtype(dtype)
    try:
        found = load(folder)
        assert torch.get_default_dtype() == dtype
        assert torch.equal(logits(found), logits(wanted))
        found.by_kernels = False
        assert torch.equal(logits(found), logits(layers))
    finally:
        torch.set_default_dtype(torch.float32)


class Traced(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor, segments: Tensor) -> Any:
        return self.model(ids, attention_mask=mask, token_type_ids=segments).logits


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("used_before", [False, True])
def test_it_is_traced_right_after_loading_and_later(folder: Path, used_before: bool) -> None:
    model, other = load(folder), batch(rows=3, length=7)
    model.by_kernels = False
    if used_before:
        logits(model)
    names = ("input_ids", "attention_mask", "token_type_ids")
    traced: Any = torch.jit.trace(Traced(model).eval(), tuple(batch()[name] for name in names))
    with torch.no_grad():
        assert torch.equal(traced(*(other[name] for name in names)), model(**other).logits)


@pytest.mark.parametrize(
    "change",
    [
        nn.Module.half,
        nn.Module.bfloat16,
        nn.Module.double,
        lambda model: model.to(torch.float16),
        lambda model: model.to("cpu", torch.bfloat16),
        lambda model: model.type(torch.float64),
        lambda model: model.bert.encoder.half(),
    ],
)
def test_another_dtype_is_refused_by_the_call_that_asks_for_it(folder: Path, change: Any) -> None:
    model, wanted = load(folder), load(folder)
    with pytest.raises(ValueError, match="a packed model computes in float32"):
        change(model)
    assert torch.equal(logits(model), logits(wanted))


def test_what_changes_no_dtype_is_done(folder: Path) -> None:
    wanted, model = logits(load(folder)), load(folder)
    assert torch.equal(logits(model.float().to("cpu").eval()), wanted)
    assert torch.equal(logits(copy.deepcopy(model)), wanted)


def test_autocast_is_nothing_to_it(folder: Path) -> None:
    model = load(folder)
    model.by_kernels = False
    wanted = logits(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(logits(model), wanted)


def test_tables_are_not_resized(folder: Path) -> None:
    with pytest.raises(ValueError, match="keeps its 99 rows; add tokens to the full-precision model"):
        load(folder).resize_token_embeddings(120)


@pytest.mark.parametrize("tokenizer_first", [False, True])
def test_what_is_saved_loads_as_what_it_was(folder: Path, tmp_path: Path, tokenizer_first: bool) -> None:
    model, saved = load(reading(folder, texts=2, max_length=9)), tmp_path / "saved"
    save = [AutoTokenizer.from_pretrained(folder).save_pretrained, model.save_pretrained]
    for one in save if tokenizer_first else save[::-1]:
        one(saved)
    assert (saved / format.WEIGHTS).read_bytes() == (folder / format.WEIGHTS).read_bytes()
    assert (saved / format.CONFIG).read_bytes() == (folder / format.CONFIG).read_bytes()
    assert torch.equal(logits(load(saved)), logits(model))
    texts = ["the dog sees a cat .", "a fish"]
    assert bitladder.load(saved)(texts, texts) == bitladder.load(folder)(texts, texts)


def test_a_pipeline_is_saved_as_a_packed_folder(folder: Path, tmp_path: Path) -> None:
    own = {"model": load(folder), "tokenizer": AutoTokenizer.from_pretrained(folder)}
    classify = pipeline("text-classification", **own)
    classify.save_pretrained(tmp_path / "saved")
    again = pipeline("text-classification", model=str(tmp_path / "saved"))
    assert again("the dog sees a cat .") == classify("the dog sees a cat .")


def test_names_of_labels_that_were_set_are_saved(folder: Path, tmp_path: Path) -> None:
    model = load(folder)
    model.config.id2label = {0: "no", 1: "yes", 2: "neither"}
    model.save_pretrained(tmp_path / "saved")
    assert format.read_config(tmp_path / "saved").labels == ["no", "yes", "neither"]


def test_weights_that_half_precision_lacks_are_not_saved(folder: Path, tmp_path: Path) -> None:
    model = load(folder)
    with torch.no_grad():
        model.bert.embeddings.LayerNorm.bias.fill_(1 / 3)
    with pytest.raises(ValueError, match=r"LayerNorm\.bias: .* is not exactly a half-precision number"):
        model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("option", [{"push_to_hub": True}, {"variant": "fp16"}])
def test_options_that_a_packed_folder_has_no_place_for_are_refused(
    folder: Path, tmp_path: Path, option: Any
) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        load(folder).save_pretrained(tmp_path / "saved", **option)


def test_a_save_that_was_killed_leaves_nothing_that_loads(folder: Path, tmp_path: Path) -> None:
    load(folder).save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / files.MANIFEST).unlink()
    with pytest.raises(files.IntegrityError, match=r"no manifest\.json"):
        load(tmp_path / "saved")


def test_trainer_predicts(folder: Path, tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    model, given = load(folder), batch(rows=7)
    rows = [{name: tensor[row] for name, tensor in given.items()} | {"labels": row % 3} for row in range(7)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), per_device_eval_batch_size=3, use_cpu=True, report_to=[]
    )
    found: Any = Trainer(model=model, args=arguments).predict(rows)  # type: ignore[arg-type]
    with torch.no_grad():
        agree(found.predictions, model(**given).logits.numpy(), 4)
    Trainer(model=model, args=arguments).save_model(str(tmp_path / "saved"))
    assert torch.equal(logits(load(tmp_path / "saved")), logits(model))
