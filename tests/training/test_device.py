"""A training step hands the device its work and reads nothing back, so a GPU never waits for the CPU."""

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tiny_model import ALL_TERMS, classifier, config
from tiny_model import batch as rows
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertForMaskedLM

from bitladder.modeling import routines
from bitladder.quantizers import loops
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.weight import signs
from pipeline.distillation.objective import WHOLE, total
from pipeline.params import Optimization
from pipeline.tasks.batches import Batch
from pipeline.training import pretrain
from pipeline.training.device import NARROW, THREADS_AT_MOST, choose_threads, copied, spend_less
from pipeline.training.fit_models import against_labels
from pipeline.training.loop import LossTerms, Phase, fit
from pipeline.training.optimizer import Divergence, adamw
from pipeline.training.teaching import against_teacher

PRECISIONS = (Precision(1, 1), Precision(2, 2), Precision(4, 8), Precision(1, 1, 8), Precision(1, 1, 1))
LABELLED: Batch = {**rows(), "labels": torch.tensor([0, 1, 1, 0, 1])}
READING = (
    torch.ops.aten._local_scalar_dense.default,  # float(), int(), bool(), item(), if
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.equal.default,
    torch.ops.aten.unique_dim.default,
)
OPTIMIZATION = Optimization(
    batch_size=5, learning_rate=0.01, warmup_fraction=0.0, weight_decay=0.1, max_grad_norm=1.0, dropout=0.1
)


class Reading(TorchDispatchMode):
    """Notes each operation whose result's shape or value the CPU has to know: there a GPU is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        by_mask = func in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default) and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if func in READING or by_mask:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@contextmanager
def nothing_is_read() -> Iterator[None]:
    with Reading() as reading:
        yield
    assert reading.found == []


def step(model: nn.Module, terms: LossTerms, batch: Batch) -> None:
    """The part of the loop that every step goes through, as on a GPU."""
    optimizer = adamw(model, learning_rate=0.01, weight_decay=0.1)
    divergence = Divergence("w1", optimizer)
    model.train()
    for number in range(1, 3):
        with nothing_is_read():
            found = terms(model, batch, WHOLE)
            optimizer.zero_grad(set_to_none=True)
            total(found).backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            divergence.see(number, found, norm)
            optimizer.step()


def test_a_number_that_is_read_is_noticed() -> None:
    for read in (
        lambda tensor: float(tensor.sum()),
        lambda tensor: tensor[tensor > 0],
        lambda tensor: 1 if tensor.sum() > 0 else 0,
        lambda tensor: torch.nonzero(tensor),
    ):
        with Reading() as reading:
            read(torch.ones(3))
        assert reading.found


@pytest.mark.parametrize("name", routines.NAMES)
@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_a_rungs_step_reads_nothing_back(precision: Precision, name: str) -> None:
    student, teacher = classifier(precision, seed=1), classifier(seed=2).requires_grad_(False)
    for model in (student, teacher):
        routines.use(model, routines.choose(name=name))
    step(student, against_teacher(teacher, ALL_TERMS), LABELLED)


def test_nor_does_a_teachers() -> None:
    step(classifier(), against_labels(loss="cross_entropy"), LABELLED)


def test_a_batch_on_the_cpu_is_not_copied() -> None:
    found = copied(LABELLED, torch.device("cpu"))
    assert all(found[name] is tensor for name, tensor in LABELLED.items())


def masked() -> tuple[nn.Module, Batch]:
    torch.manual_seed(0)
    labels_BS = torch.where(LABELLED["input_ids"] % 3 == 0, LABELLED["input_ids"], -100)
    return BertForMaskedLM(config()), {**rows(), "labels": labels_BS}


# where there is a GPU

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def fit_without_waiting(model: nn.Module, terms: LossTerms, batch: Batch) -> None:
    """Steps 2 to 9 of 100 have no point of the curve, so nothing may wait in them; torch watches."""

    def batches(number: int) -> Batch:
        torch.cuda.set_sync_debug_mode("error" if 2 <= number <= 9 else "default")
        return batch

    try:
        fit(
            model,
            name="w1",
            batches=batches,
            course=[Phase(terms, 100, 0.01)],
            score=None,
            num_evaluations=1,
            optimization=OPTIMIZATION,
        )
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("gradients", ["float32", "bfloat16"])
@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_on_a_gpu_no_step_of_a_rung_waits(precision: Precision, gradients: routines.Gradients) -> None:
    student, teacher = classifier(precision, seed=1), classifier(seed=2).requires_grad_(False)
    for model in (student, teacher):
        routines.use(model.cuda(), routines.choose(gradients))
    fit_without_waiting(student, against_teacher(teacher, ALL_TERMS), LABELLED)


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_no_step_of_pretraining_waits() -> None:
    model, batch = masked()
    fit_without_waiting(model.cuda(), pretrain.masked_words, batch)


@pytest.mark.gpu
@needs_gpu
def test_pretraining_learns_the_same_on_a_gpu_that_projects_every_word() -> None:
    model, batch = masked()
    model.eval()
    wanted = pretrain.masked_words(model, batch, WHOLE)["masked_words"]
    found = pretrain.masked_words(model.cuda(), copied(batch, torch.device("cuda")), WHOLE)["masked_words"]
    assert float(found) == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_trains_nearly_as_the_cpu_does() -> None:
    """float32 on both, three steps; TF32 is off unless asked for."""
    ended: list[Tensor] = []
    for device in ("cpu", "cuda"):
        model, teacher = classifier(Precision(1, 1), seed=1), classifier(seed=2).requires_grad_(False)
        model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
        optimizer = adamw(model.to(device), learning_rate=1e-3, weight_decay=0.0)
        terms = against_teacher(teacher.to(device), ALL_TERMS)
        for _ in range(3):
            found = terms(model, copied(LABELLED, torch.device(device)), WHOLE)
            optimizer.zero_grad(set_to_none=True)
            total(found).backward()
            optimizer.step()
        ended.append(total(found).detach().cpu())
    assert float(ended[0]) == pytest.approx(float(ended[1]), rel=1e-3)


@pytest.mark.parametrize(
    ("hidden_size", "variables", "wanted"),
    [
        (NARROW, {}, 1),
        (NARROW, {THREADS_AT_MOST: "3"}, 1),
        (NARROW + 1, {}, 4),
        (NARROW + 1, {THREADS_AT_MOST: "3"}, 3),
        (NARROW + 1, {THREADS_AT_MOST: "8"}, 4),
        (NARROW, {THREADS_AT_MOST: "3", "OMP_NUM_THREADS": "4"}, 4),
    ],
)
def test_threads_are_one_for_a_narrow_model_else_the_share_unless_somebody_says(
    hidden_size: int, variables: dict[str, str], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own choice is 4 here."""
    chosen = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: chosen[-1])
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv(THREADS_AT_MOST, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    choose_threads(hidden_size)
    assert chosen[-1] == wanted


def test_compiled_loops_change_no_bit() -> None:
    x = torch.randn(64, 300)
    before = signs(x)
    spend_less(hidden_size=384)
    assert torch.equal(signs(x), before)
    loops.stop()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can")
def test_pages_that_lie_free_between_tensors_are_given_back() -> None:
    script = (
        "import psutil, torch; from flows import processes; from pipeline.training.device import give_back\n"
        "processes.keep_what_is_freed(); held = lambda: psutil.Process().memory_info().rss / 2**20\n"
        "blocks = [torch.ones(2**18) for _ in range(400)]; kept = blocks[::40]; del blocks\n"
        "before = held(); give_back(); print(before - held())\n"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert float(found.stdout) > 200  # of 390 MiB that are free
