"""What was read to be wrong in the code of peers, each as a test of ours: a defect that another test already
covers is exercised here in short, so that the list stands in one place.

The peers: TernaryBERT and BinaryBERT (huawei-noah/Pretrained-Language-Model), BiBERT (htqin/BiBERT), BiT
(facebookresearch/bit), XTC (DeepSpeedExamples/compression/bert), TinyBERT's augmentation, BiPFT.
"""

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import made_up
import pytest
import torch
from ruamel.yaml import YAML
from tiny_model import classifier, logits, wider
from tiny_rung import batch, save_rung
from torch import Tensor, nn

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling import routines as kernels
from bitladder.modeling.attention import activation_quantizers
from bitladder.modeling.traces import trace
from bitladder.packed import size
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.quantizer import LARGEST_HALF, SMALLEST_HALF
from bitladder.transformers_model import model as packed_model
from flows.compose import compose
from pipeline import paths, record
from pipeline.data.augmentation import augment as augment_rows
from pipeline.data.tables import read_split
from pipeline.distillation.objective import WHOLE, Objective, total
from pipeline.params import Params, ParamsError, load
from pipeline.stages import augment, prepare, pretrained, teacher, weights
from pipeline.training import fit_rung
from pipeline.training.state import Shares
from pipeline.training.teaching import against_teacher, load_teacher, objective

SHORT = (
    "augmentation={contextual: 0, embedding: 0, swap: 1, delete: 0, spelling: 0, word_fraction: 0.5}",
    *(f"budget.{kind}.steps=3" for kind in ("teacher", "rung", "binary_activations")),
    *(f"training.{kind}.batch_size=8" for kind in ("teacher", "rung", "binary_activations")),
    "budget.evaluations=2",
    "task.max_length=24",
    "weights.w1.init_from=teacher",
    "weights.w1.data=plain",
    "+weights.w1.embedding_bits=8",
)
ONE_BIT = {
    "weights": Precision(1, 1),
    "zero-mean weights": Precision(1, 1, weight_quantizer="bwn_zero_mean"),
    "elastic activations": Precision(1, 1, 1),
    "signs": Precision(1, 1, 1, activation_quantizer="sign", attention="bi"),
}
QUANTIZED_ACTIVATIONS = (8, 4, 2, 1)
LEARNED_STEPS = (
    *(Precision(1, 1, bits) for bits in (4, 2, 1)),
    Precision(1, 1, 8, activation_quantizer="lsq"),
    Precision(4, 4, weight_quantizer="lsq"),
)
LOGITS_ALONE = Objective(logits=1, hidden_states=0, attention_scores=0, labels=0, regression=False)
SCORES_ALONE = Objective(logits=0, hidden_states=0, attention_scores=1, labels=0, regression=False)


@pytest.fixture(scope="module")
def stsb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    """A regression on pairs, as it stands after the real stages up to a 1-bit rung."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("stsb"))
        made_up.bert(Path("bert"))
        source = made_up.glue(Path("source"), "stsb")
        model = ("model.source=path", "model.location=bert")
        params = made_up.task_params(Path(), "stsb", source, *model, *SHORT)
        for stage in (prepare, pretrained, augment, teacher):
            stage.run(params)
        weights.run(params, "w1")
        yield params


def saved(folder: Path, precision: Precision | None) -> Path:
    """A tiny model as training publishes it."""
    folder.mkdir()
    save_rung(folder, precision)
    return folder


def packed(folder: Path, precision: Precision) -> tuple[nn.Module, nn.Module]:
    """A tiny model as training publishes it and as it is delivered, each loaded from its file."""
    source = saved(folder / "trained", precision)
    with files.publish(folder / "packed") as target:
        pack(source, target)
    return checkpoint.load_bert(source), packed_model.load(folder / "packed")


def passing(model: nn.Module) -> dict[str, tuple[nn.Module, tuple[Tensor, Tensor]]]:
    """Each activation quantizer by name, with what goes in and comes out when `batch()` passes the model."""
    found: dict[str, tuple[nn.Module, tuple[Tensor, Tensor]]] = {}

    def watch(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: found.update({name: (module, (inputs[0], output))})

    handles = [q.register_forward_hook(watch(name)) for name, q in activation_quantizers(model).items()]
    logits(model, batch())
    for handle in handles:
        handle.remove()
    return found


# What is saved is what was trained.


def test_a_word_table_trained_by_row_is_saved_by_row(tmp_path: Path) -> None:
    """TernaryBERT trains its word table with a scale per row and saves it quantized with one per matrix."""
    trained, delivered = packed(tmp_path, Precision(2, 2))
    ids = torch.arange(99)
    table, saved_table = (m.bert.embeddings.word_embeddings(ids) for m in (trained, delivered))
    assert torch.equal(table, saved_table)
    assert table.abs().amax(dim=1).unique().numel() > 1, "rows have one scale"


@pytest.mark.parametrize("activations", [32, 1])
def test_the_packed_model_keeps_scale_and_mean(tmp_path: Path, activations: int) -> None:
    """BiBERT saves bare signs: scales and means are lost, and loading takes a mean away once more."""
    precision = Precision(1, 1, activations, weight_quantizer="bwn_zero_mean")
    trained, delivered = packed(tmp_path, precision)
    assert torch.equal(logits(trained, batch()), logits(delivered, batch()))


def test_step_sizes_are_in_the_state_and_no_forward_pass_sets_them(tmp_path: Path) -> None:
    """In BinaryBERT and BiT the first forward pass sets them, and a flag that is not saved remembers it."""
    folder = saved(tmp_path / "trained", Precision(1, 1, 4))
    model = checkpoint.load_bert(folder)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    steps = [name for name in state if name.endswith("log_step")]
    assert len(steps) == 2 * (6 + 4) + 1
    first = logits(model, batch())
    model.train()(**batch())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(logits(checkpoint.load_bert(folder), batch()), first)


def test_the_size_is_that_of_the_file(tmp_path: Path) -> None:
    """No 1-bit peer computes one: its "quantized" file holds floats of few values."""
    packed(tmp_path, Precision(1, 1))
    whole = (tmp_path / "trained" / "model.safetensors").stat().st_size
    assert size.account(tmp_path / "packed").file_bytes < whole / 4


@pytest.mark.parametrize("precision", ONE_BIT.values(), ids=ONE_BIT)
def test_zero_is_no_third_level(precision: Precision) -> None:
    """Everywhere else sign(0) is 0, which does not fit into a bit."""
    model = classifier(precision)
    linear = model.bert.encoder.layer[0].output.dense
    with torch.no_grad():
        linear.weight[0, ::2] = linear.weight[0].mean()
        linear.weight[1, ::2] = 0
        linear.weight[2] = 0
        linear.bias.zero_()
    linear.activation = None
    seen_IO = linear(torch.eye(45))
    assert all(column.unique().numel() <= 2 for column in seen_IO.detach().T)
    for quantizer, (x, _) in passing(classifier(precision)).values():
        shift = getattr(quantizer, "shift", None)
        on_the_edge = torch.zeros_like(x) + (0 if shift is None else shift)
        assert quantizer(torch.cat([x, on_the_edge])).unique().numel() == 2


# Weights without activations, activations of every width.


def test_a_weights_only_stage_has_no_activation_quantizer() -> None:
    """TernaryBERT's linear layer always quantizes its input, which rules out the first stage of paper 1."""
    model = classifier(Precision(1, 1, 32))
    assert not activation_quantizers(model)
    linear = model.bert.encoder.layer[0].intermediate.dense
    weight_IO = linear(torch.eye(32)) - linear.bias
    x = torch.randn(7, 32)
    assert torch.allclose(linear(x), x @ weight_IO + linear.bias, atol=1e-5)


@pytest.mark.parametrize("bits", QUANTIZED_ACTIVATIONS)
def test_attentions_inputs_are_quantized_at_every_width_and_softmax_stays(bits: int) -> None:
    """In BiBERT's code, at any width but 1, they are not, and the softmax is missing all the same."""
    model = classifier(Precision(1, 1, bits))
    found = {name: seen for name, (_, seen) in passing(model).items() if ".products." in name}
    assert len(found) == 2 * 4
    for name, (before, after) in found.items():
        assert not torch.equal(before, after)
        if name.endswith("probabilities"):
            assert torch.allclose(before.sum(dim=-1), torch.ones(()), atol=1e-5)


@pytest.mark.parametrize("kernels_name", kernels.NAMES)
@pytest.mark.parametrize("log_step", [-200.0, 200.0])
@pytest.mark.parametrize("precision", LEARNED_STEPS, ids=str)
def test_steps_stay_positive_after_a_huge_update(
    precision: Precision, log_step: float, kernels_name: str
) -> None:
    """BinaryBERT and BiT assert that a step is positive and let the optimizer make it negative: a crash.

    Ours is the exponential of what is learned. In floating point that is 0 below -104 and infinite above 88.
    """
    model = classifier(precision)
    kernels.use(model, kernels.choose(name=kernels_name))
    learned = [parameter for name, parameter in model.named_parameters() if name.endswith("log_step")]
    assert learned
    for parameter in learned:
        nn.init.constant_(parameter, log_step)
    found = model(**batch()).logits
    found.square().sum().backward()
    assert found.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    for quantizer, (x, rounded) in passing(model).values():
        step = quantizer.encode(x).step
        assert SMALLEST_HALF * 0.999 <= step <= LARGEST_HALF * 1.001
        assert rounded.isfinite().all()


def test_tables_may_have_bits_of_their_own(stsb: Params) -> None:
    """BiBERT reads an option for them and ignores it."""
    table = checkpoint.load_bert(paths.model_dir("w1")).bert.embeddings.word_embeddings
    row = table(torch.tensor([20])).detach()
    assert row.abs().unique().numel() > row.numel() / 2
    assert record.read(paths.model_dir("w1")).bits == {"weights": 1, "embeddings": 8, "activations": 32}


# What a student is taught.


def test_a_regression_learns_from_the_teachers_logits(stsb: Params) -> None:
    """BinaryBERT and BiT take a softmax over STS-B's one logit: it is 1, and nothing is learned from it."""
    logits_alone = stsb.distillation.model_copy(update={"hidden_states": 0.0, "attention_scores": 0.0})
    goal = objective(logits_alone, regression=stsb.task.kind == "regression")
    student, taught = classifier(Precision(1, 1), num_labels=1), classifier(num_labels=1, seed=1)
    terms = goal.terms(trace(student, batch()), trace(taught, batch()), batch())
    total(terms).backward()
    assert {*terms} == {"logits"}
    assert student.classifier.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("precision", [None, Precision(1, 1, 8)], ids=str)
def test_the_teacher_has_no_dropout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision | None
) -> None:
    """BinaryBERT leaves its teacher in training mode while it teaches."""
    monkeypatch.chdir(tmp_path)
    paths.MODELS.mkdir()
    saved(paths.model_dir("teacher"), precision)
    taught = load_teacher("teacher", kernels.choose())
    assert taught.config.hidden_dropout_prob > 0
    student = classifier(Precision(1, 1))
    terms = against_teacher(taught, LOGITS_ALONE)
    first, second = (terms(student, batch(), WHOLE)["logits"] for _ in range(2))
    assert not taught.training
    assert torch.equal(first, second)


def test_the_last_step_is_scored(stsb: Params) -> None:
    """BinaryBERT's final evaluation comes after the first epoch; its last weights may never be looked at."""
    *_, last = Path("models/w1/curve.csv").read_text(encoding="utf-8").splitlines()
    step, _, score = last.split(",")
    assert int(step) == record.read(paths.model_dir("w1")).steps == 3
    assert math.isfinite(float(score))


def test_attention_scores_of_padding_count_for_nothing() -> None:
    """XTC's error is a mean over padded positions too: it depends on the batch's longest row."""
    student, taught = classifier(Precision(1, 1)), classifier(seed=1)
    found = [
        SCORES_ALONE.terms(trace(student, inputs), trace(taught, inputs), inputs)["attention_scores"]
        for inputs in (batch(), wider(batch(), by=5))
    ]
    assert float(found[1]) == pytest.approx(float(found[0]), rel=1e-5)


@pytest.mark.parametrize("num_labels", [2, 3, 50])
def test_distillation_does_not_fade_as_labels_grow(num_labels: int) -> None:
    """Every peer's soft cross-entropy is a mean over the labels as well."""
    model = classifier(num_labels=num_labels)
    torch.nn.init.zeros_(model.classifier.weight)
    torch.nn.init.zeros_(model.classifier.bias)
    even = trace(model, batch())
    assert float(LOGITS_ALONE.terms(even, even, batch())["logits"]) == pytest.approx(math.log(num_labels))


# Data, seeds, selection.


def test_augmented_rows_are_where_params_say_and_nowhere_else(stsb: Params) -> None:
    """TernaryBERT's --aug_train turns them off: they are on unless one asks for them."""
    train = paths.data_dir("stsb", "plain") / "train.parquet"
    found = record.read(paths.model_dir("w1"))
    assert (found.data["kind"], found.data["train"]) == ("plain", files.sha256(train))
    assert found.settings["rows"] == len(read_split(train.parent, "train"))
    rows = read_split(paths.data_dir("stsb", "augmented"), "train")
    assert len(rows) > found.settings["rows"]


@pytest.mark.parametrize("written", [None, "augment"])
def test_which_rows_are_trained_on_is_never_guessed(tmp_path: Path, written: str | None) -> None:
    """TernaryBERT's bare `except` hides an undefined variable and goes on with other data."""
    values = YAML(typ="safe").load(compose((), made_up.CONF))
    values["weights"]["w1"]["data"] = written
    if written is None:
        del values["weights"]["w1"]["data"]
    with (tmp_path / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(values, file)
    with pytest.raises(ParamsError, match=r"weights\.w1\.data"):
        load(tmp_path / "params.yaml")


def test_a_new_pair_differs_from_its_original_in_one_sentence(stsb: Params) -> None:
    """TinyBERT's script leaves the first sentence's last variant in place when it varies the second."""
    rows = read_split(paths.data_dir("stsb", "augmented"), "train")
    originals = rows[rows["origin"] == "original"].set_index("idx")
    new = rows[rows["origin"] != "original"]
    assert len(new) > 5
    for row in new.itertuples():
        original = originals.loc[row.idx]
        assert (row.sentence1 != original["sentence1"]) + (row.sentence2 != original["sentence2"]) == 1


def test_the_same_seed_makes_the_same_rows() -> None:
    """TinyBERT's augmentation takes no seed."""
    from pipeline.data.augmentation import augmenters

    rows = made_up.rows("stsb", 20, seed=0)
    vary = augmenters(["swap"], folder=Path(), word_fraction=0.5, texts=[], device="cpu")
    columns = ["sentence1", "sentence2"]

    def made(seed: int) -> list[str]:
        found, _ = augment_rows(rows, sentence_columns=columns, copies={"swap": 1}, vary=vary, seed=seed)
        return [*found["sentence1"], *found["sentence2"]]

    assert made(0) == made(0) != made(1)


def test_checkpoints_are_chosen_on_rows_that_are_not_reported(stsb: Params) -> None:
    """All peers choose their best checkpoint on the split they report."""
    assert record.read(paths.model_dir("w1")).selected_on == "selection"
    plain = paths.data_dir("stsb", "plain")
    train, chosen_on, reported = (read_split(plain, name) for name in ("train", "selection", "validation"))
    for other in (train, reported):
        assert not {*chosen_on["sentence1"]} & {*other["sentence1"]}


def test_a_stopped_training_goes_on_to_the_same_model(
    stsb: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No 1-bit peer saves more than weights, and where BiPFT's resumes within an epoch it would raise."""
    monkeypatch.chdir(shutil.copytree(Path(), tmp_path / "project"))
    whole = record.read(paths.model_dir("w1")).digest
    states = stsb.model_copy(update={"training": stsb.training.model_copy(update={"checkpoint_every": 1})})
    steps = iter(range(9))

    def stopped(*_: object) -> Shares:
        if next(steps) == 1:
            raise InterruptedError
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(fit_rung, "since", lambda first: stopped)
        with pytest.raises(InterruptedError):
            weights.run(states, "w1")
    assert record.read(paths.model_dir("w1")).digest == whole
    weights.run(states, "w1")
    assert record.read(paths.model_dir("w1")).digest == whole
