"""Several processes learn from the batch that one would learn from, and survive the loss of one of them."""

import copy
import re
import signal
from contextlib import chdir
from pathlib import Path

import pytest
import torch
import torchrun_project
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_model import ALL_TERMS, classifier
from tiny_model import batch as full_rows
from torch import Tensor, nn
from torchrun_project import COMMAND, EVERY, Project

from bitladder.quantizers.precision import Precision
from pipeline import record
from pipeline.distillation.objective import WHOLE, Portion, total
from pipeline.tasks.batches import Batch
from pipeline.training import parallel
from pipeline.training.fit_models import fit_rung
from pipeline.training.parallel import World, WorldError, join
from pipeline.training.pretrain import masked_words
from pipeline.training.teaching import against_teacher


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Rows of any lengths with any of their words hidden, many or none."""
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=7))
    mask_BS = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    hidden = [draw(st.integers(0, length)) for length in lengths]
    hidden_BS = torch.arange(max(lengths)) < torch.tensor(hidden).unsqueeze(1)
    return {"attention_mask": mask_BS, "labels": torch.where(hidden_BS, 7, -100)}


def shares(whole: Batch, size: int) -> list[tuple[Batch, Portion]]:
    return [World(rank, size).share(whole) for rank in range(size)]


# the shares of a batch


@given(whole=batches(), size=st.integers(1, 9))
def test_the_rows_of_all_processes_are_the_rows_of_the_batch(whole: Batch, size: int) -> None:
    num_rows = len(whole["labels"])
    found = [rows["attention_mask"] for rows, portion in shares(whole, size) if portion.rows]
    assert sorted(map(tuple, torch.cat(found).tolist())) == sorted(
        map(tuple, whole["attention_mask"].tolist())
    )
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert all(rows["labels"].shape[1] == whole["labels"].shape[1] for rows, _ in shares(whole, size))
    assert sum(portion.rows == 0 for _, portion in shares(whole, size)) == max(0, size - num_rows)


@given(whole=batches(), size=st.integers(1, 9), data=st.data())
def test_weighted_means_of_the_shares_average_to_the_mean_of_the_batch(
    whole: Batch, size: int, data: st.DataObject
) -> None:
    """Of anything that is per row, token, pair of tokens or hidden word."""
    mask_BS = whole["attention_mask"].double()
    where = {
        "rows": torch.ones(len(mask_BS), dtype=torch.float64),
        "tokens": mask_BS,
        "pairs": mask_BS.unsqueeze(2) * mask_BS.unsqueeze(1),
        "labels": (whole["labels"] != -100).double(),
    }
    seed = data.draw(st.integers(0, 2**16))
    for kind, mask in where.items():
        values = torch.randn(mask.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        everything = {**whole, "mask": mask, "values": values}
        found = [
            getattr(portion, kind) * _mean(rows["values"], rows["mask"])
            for rows, portion in shares(everything, size)
        ]
        assert sum(found) / size == pytest.approx(_mean(values, mask), abs=1e-12), kind


def _mean(values: Tensor, mask: Tensor) -> float:
    return float((values * mask).sum() / mask.sum().clamp(min=1))


def test_shares_worked_by_hand() -> None:
    """Rows of 3, 1 and 2 tokens: 5 tokens and 13 pairs for one process, 1 and 1 for the other."""
    lengths = torch.tensor([[3], [1], [2]])
    whole = {"attention_mask": (torch.arange(3) < lengths).long(), "labels": torch.tensor([4, 5, 6])}
    (first, of_first), (second, of_second) = shares(whole, 2)
    assert (first["labels"].tolist(), second["labels"].tolist()) == ([4, 6], [5])
    assert of_first == Portion(rows=2 / 1.5, tokens=5 / 3, pairs=13 / 7, labels=1.0)
    assert of_second == Portion(rows=1 / 1.5, tokens=1 / 3, pairs=1 / 7, labels=1.0)


def test_alone_the_share_is_the_batch() -> None:
    whole = full_rows()
    assert World().share(whole) == (whole, WHOLE)


@pytest.mark.parametrize("precision", [None, Precision(1, 1), Precision(1, 1, 8), Precision(1, 1, 1)])
@pytest.mark.parametrize("size", [2, 3, 7])  # of five rows, so for seven two have none
def test_gradients_of_the_shares_average_to_the_gradient_of_the_batch(
    precision: Precision | None, size: int
) -> None:
    student = classifier(precision, seed=1)
    terms = against_teacher(classifier(seed=2), ALL_TERMS)
    whole = {**full_rows(), "labels": torch.tensor([0, 1, 1, 0, 1])}
    wanted = gradients(terms, student, whole, WHOLE)
    found = [gradients(terms, student, *share) for share in shares(whole, size)]
    for name, gradient in wanted.items():
        average = sum(each[name] for each in found) / size
        # float32 sums of the same numbers in another order.
        assert torch.allclose(average, gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max())), name


@settings(max_examples=20, deadline=None)
@given(whole=batches(), size=st.integers(1, 4))
def test_the_same_holds_for_hidden_words_even_where_a_share_has_none(whole: Batch, size: int) -> None:
    model = masked_lm()
    ids = torch.arange(whole["labels"].numel()).reshape(whole["labels"].shape) % 90 + 5
    whole = {**whole, "input_ids": ids, "token_type_ids": torch.zeros_like(ids)}
    wanted = gradients(masked_words, model, whole, WHOLE)
    found = [gradients(masked_words, model, *share) for share in shares(whole, size)]
    for name, gradient in wanted.items():
        average = sum(each[name] for each in found) / size
        assert torch.allclose(average, gradient, rtol=1e-4, atol=1e-6 + 1e-5 * float(gradient.abs().max()))


def gradients(terms: object, model: nn.Module, rows: Batch, portion: Portion) -> dict[str, Tensor]:
    own = copy.deepcopy(model)
    total(terms(own, rows, portion)).backward()  # type: ignore[operator]
    return {name: p.grad for name, p in own.named_parameters() if p.grad is not None}


def masked_lm() -> nn.Module:
    from tiny_model import config
    from transformers import BertForMaskedLM

    torch.manual_seed(0)
    return BertForMaskedLM(config()).eval()


# what the processes have in common


def test_generators_differ_by_process_and_the_first_goes_on_as_it_would_alone() -> None:
    drawn = []
    for world in (World(), World(0, 3), World(1, 3), World(2, 3), World(2, 3)):
        torch.manual_seed(5)
        world.draw_apart()
        drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[1]
    assert drawn[3] == drawn[4]
    assert len(set(drawn)) == 3


@given(sizes=st.lists(st.integers(1, 40), max_size=12), most=st.integers(1, 200))
def test_buckets_hold_every_gradient_once_in_order_and_not_too_much(sizes: list[int], most: int) -> None:
    tensors = [torch.zeros(size) for size in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "BUCKET_BYTES", most)
        found = list(parallel._buckets(tensors))
    assert [id(each) for bucket in found for each in bucket] == [id(each) for each in tensors]
    assert all(len(bucket) == 1 or sum(each.nbytes for each in bucket) <= most for bucket in found)


def test_weights_that_differ_between_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "gather", lambda _, value: [value, value, value + 1])
    with pytest.raises(RuntimeError, match=r"w1: the weights of processes \[2\] are not those of process 0"):
        World(0, 3).require_same_weights("w1", classifier())


@pytest.mark.parametrize(
    ("started", "processes", "said"),
    [
        (None, 2, "training.processes: 2, but 1 was started"),
        ("2", 1, "training.processes: 1, but 2 were started"),
    ],
)
def test_another_number_of_processes_than_the_parameters_say_is_refused(
    started: str | None, processes: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if started:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
        monkeypatch.setenv("WORLD_SIZE", started)
    with pytest.raises(WorldError, match=said) as caught:
        join(processes)
    assert caught.value.exit_code == 2
    assert f"--nproc_per_node={processes}" in str(caught.value)


def test_a_cluster_that_sets_the_size_of_its_own_world_is_not_torchrun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert join(1) == World()


# two processes of gloo


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return torchrun_project.make(tmp_path_factory.mktemp("torchrun"))


@pytest.fixture(scope="module")
def unharmed(made: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Trained by two processes without a fault, with dropout."""
    project = made.copy(tmp_path_factory.mktemp("unharmed") / "project")
    project.train()
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    return made.copy(tmp_path / "project")


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(project: Project, tmp_path: Path) -> None:
    project.set("dropout", 0.0)  # masks are drawn per process
    alone = project.copy(tmp_path / "alone")
    alone.set("processes", 1)
    project.train()
    with chdir(alone.root):
        fit_rung(alone.params(), "w1", stage="weights")
    for (step, loss), (other_step, other_loss) in zip(project.curve(), alone.curve(), strict=True):
        # The curve has six digits. The sums are those of one process in another order.
        assert step == other_step
        assert loss == pytest.approx(other_loss, rel=1e-5)
    found, wanted = (load_file(p.root / "models/w1/model.safetensors") for p in (project, alone))
    for name, tensor in wanted.items():
        # Each of 12 steps moves a weight by at most the learning rate, whatever the size of its gradient; a
        # gradient of rounding error alone could differ in sign. Measured: 6e-8.
        assert torch.allclose(found[name], tensor, atol=1e-5), name
    settings = [record.read(p.root / "models/w1").settings["processes"] for p in (project, alone)]
    assert settings == [2, 1]


@pytest.mark.slow
def test_the_same_again_is_the_same_bytes_and_torchrun_by_hand_does_it_too(
    project: Project, unharmed: Project
) -> None:
    process = project.start("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", *COMMAND)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert project.digest() == unharmed.digest()


@pytest.mark.slow
def test_a_process_that_is_killed_or_hangs_ends_the_job_and_the_next_goes_on_to_the_same_bytes(
    project: Project, unharmed: Project
) -> None:
    """The hanging one would sleep for ten minutes; the other waits for it no longer than the timeout."""
    (project.root / "strikes").write_text(f"kill {EVERY + 2}\nhang {EVERY + 1}")
    said = project.train(BITLADDER_COLLECTIVE_TIMEOUT_S="12")
    assert f"process 1: was killed by SIGKILL; starts again from step {EVERY}\n" in said
    assert re.search(rf"process 0: .*[Tt]imed out.*; starts again from step {2 * EVERY}\n", said), said
    assert (project.root / "strikes").read_text() == ""
    assert project.digest() == unharmed.digest()
    assert project.curve() == unharmed.curve()


@pytest.mark.slow
def test_told_to_stop_all_processes_stop_after_the_same_step_and_go_on_to_the_same_bytes(
    project: Project, unharmed: Project
) -> None:
    process = project.start(*COMMAND)
    assert process.stdout is not None
    assert "w1: step 1 of" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 143, said
    assert "w1: stopped at step" in said
    assert "goes on from step" in project.train()
    assert project.digest() == unharmed.digest()
