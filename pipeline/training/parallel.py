"""Several processes that share each batch, one per device, started by torchrun; usually there is only one.

Every process makes the same whole batch, padded to the whole batch's longest row, and keeps every size-th row
of it. `Portion` weighs its means so that their average over the processes is the mean over the whole batch:
however many there are, they learn from the same batch. Every process evaluates too, on the same weights and
rows, so all of them choose the same checkpoint without a word; process 0 alone writes files.

Gradients are averaged after the backward pass, flattened into a few buffers, and not by
DistributedDataParallel. That was tried: it lays its buffers out anew after the first step, so with three
processes or more a resumed training adds in another order than one that was never stopped, and ends with
other bits. What is given up is the overlap of adding with the backward pass.

Whoever waits for a process that is dead or hangs stops waiting after COLLECTIVE_TIMEOUT_S and fails; torchrun
then ends the others.
"""

import atexit
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import FileStore  # type: ignore[attr-defined]

from bitladder.modeling.attention import activation_quantizers
from pipeline.distillation.objective import WHOLE, Portion
from pipeline.tasks.batches import Batch

COLLECTIVE_TIMEOUT_S = 600.0
TIMEOUT = "BITLADDER_COLLECTIVE_TIMEOUT_S"  # environment variable that overrides it
STORE = "BITLADDER_STORE"  # environment variable: the file by which processes of one machine find each other
BUCKET_BYTES = 64 * 2**20
ASKED_EVERY = 20  # steps between two questions whether to stop, on a device that must not be waited for
IGNORED = -100  # label of a word that is not to be guessed


@dataclass(frozen=True)
class World:
    """This process among those that share each batch.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and does the talking."""
        return self.rank == 0

    def share(self, whole: Batch) -> tuple[Batch, Portion]:
        """This process's rows of a batch, and how much their means weigh.

        Where fewer rows than processes are left, some get none: they take the first row, with no weight.
        """
        if self.size == 1:
            return whole, WHOLE
        num_rows = len(next(iter(whole.values())))
        # This process's count over the average process's; zero where there is nothing to count.
        counts = {
            name: (int(per_row[self.rank :: self.size].sum()), int(per_row.sum()))
            for name, per_row in _counts(whole, num_rows).items()
        }
        weights = {name: own * self.size / max(1, every) for name, (own, every) in counts.items()}
        rows = slice(self.rank, None, self.size) if self.rank < num_rows else slice(0, 1)
        return {name: tensor[rows] for name, tensor in whole.items()}, Portion(**weights)

    def average(self, model: nn.Module, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Replace each gradient by its mean over all processes; return the terms' values of the whole batch.

        What activation quantizers measure of a batch, the largest magnitude in it, becomes that of all.

        Afterwards every process holds the same bits of both.
        """
        values = [value.detach().float() for value in terms.values()]
        if self.size > 1:
            gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            for bucket in _buckets([*gradients, *values]):
                flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
                dist.all_reduce(flat)
                flat /= self.size
                pieces = flat.split([tensor.numel() for tensor in bucket])  # type: ignore[no-untyped-call]
                torch._foreach_copy_(bucket, [p.view_as(t) for p, t in zip(pieces, bucket, strict=True)])
            measured = [each for part in activation_quantizers(model).values() for each in part.buffers()]
            if measured:
                flat = torch.stack(measured)
                dist.all_reduce(flat, dist.ReduceOp.MAX)
                torch._foreach_copy_(measured, list(flat.unbind()))
        return dict(zip(terms, values, strict=True))

    def draw_apart(self) -> None:
        """From here on each process draws its own dropout; process 0 goes on as it would alone."""
        if self.rank > 0:
            drawn = np.random.SeedSequence([torch.initial_seed(), self.rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(drawn[0]))

    def wants_to_stop(self, asked: bool, step: int) -> bool:
        """Whether any process was asked to stop; all get the same answer after the same step.

        A signal reaches the processes at different steps. On a GPU, which would have to be waited for, the
        question is put every ASKED_EVERY steps.
        """
        if self.size == 1:
            return asked
        if _device().type == "cuda" and step % ASKED_EVERY:
            return False
        answer = torch.tensor(float(asked), device=_device())
        dist.all_reduce(answer, dist.ReduceOp.MAX)
        return bool(answer)

    def gather(self, value: Tensor) -> list[Tensor]:
        """This tensor of every process, by rank and on the CPU; shape and dtype are alike in all."""
        if self.size == 1:
            return [value.cpu()]
        found = [torch.empty_like(value, device=_device()) for _ in range(self.size)]
        dist.all_gather(found, value.to(_device()).contiguous())
        return [each.cpu() for each in found]

    def require_same_weights(self, name: str, model: nn.Module) -> None:
        """Raises RuntimeError, in every process, unless all of them ended with the same weights."""
        if self.size == 1:
            return
        digest = hashlib.sha256()
        for tensor in model.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        digests = self.gather(torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8))
        others = [rank for rank, each in enumerate(digests) if not torch.equal(each, digests[0])]
        if others:
            raise RuntimeError(f"{name}: the weights of processes {others} are not those of process 0")


_world = World()


def world() -> World:
    """The world this process has joined; alone until then."""
    return _world


def join(processes: int) -> World:
    """Become one of so many processes, until this one ends: gloo on CPUs, NCCL on GPUs. Twice is once.

    Raises:
        WorldError: torchrun started another number of processes.
    """
    global _world
    started = int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if started != processes:
        raise WorldError(
            f"training.processes: {processes}, but {started} {'was' if started == 1 else 'were'} started; "
            f"run `python -m flows.stage`, or `torchrun --nproc_per_node={processes} -m flows.stage`"
        )
    if _world.size != processes:
        _initialize()
        _world = World(dist.get_rank(), dist.get_world_size())
        atexit.register(dist.destroy_process_group)
    return _world


class WorldError(ValueError):
    """The processes that were started are not those of the parameters."""

    exit_code = 2


def _initialize() -> None:
    timeout = timedelta(seconds=float(os.environ.get(TIMEOUT, COLLECTIVE_TIMEOUT_S)))
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    # By a file nothing listens on the network; only torchrun over several machines needs its own store.
    path = os.environ.get(STORE)
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT")  # that of an earlier start names the dead
    place: dict[str, Any] = (
        {"store": FileStore(f"{path}-{start}", size)} if path else {"init_method": "env://"}
    )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        place["device_id"] = torch.device("cuda", torch.cuda.current_device())
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, rank=rank, world_size=size, timeout=timeout, **place)


def _device() -> torch.device:
    """Where tensors must be for the processes to exchange them."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def _counts(whole: Batch, num_rows: int) -> dict[str, Tensor]:
    """How much each row [B] has of each kind that a loss term may be a mean over."""
    counts = {"rows": torch.ones(num_rows, dtype=torch.int64)}
    if "attention_mask" in whole:
        length_B = whole["attention_mask"].sum(dim=1)
        counts |= {"tokens": length_B, "pairs": length_B.square()}
    if "labels" in whole and whole["labels"].dim() == 2:
        counts["labels"] = (whole["labels"] != IGNORED).sum(dim=1)
    return counts


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours together, up to BUCKET_BYTES unless one alone is larger; alike in every process and step."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        if bucket and sum(each.nbytes for each in bucket) + gradient.nbytes > BUCKET_BYTES:
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
