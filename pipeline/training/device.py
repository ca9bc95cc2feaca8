"""Where tensors live and what makes a run repeatable."""

import ctypes
import os
import random

import numpy as np
import torch
from torch import nn

from bitladder.quantizers import loops

NARROW = 128  # hidden size
THREADS_AT_MOST = "BITLADDER_THREADS_AT_MOST"  # environment variable: set for each of several processes


def device() -> torch.device:
    """This process's GPU if there is one (alone: the first), else the CPU.

    `CUDA_VISIBLE_DEVICES` hides GPUs as usual.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def move(model: nn.Module) -> None:
    """Move a model to the device, in place."""
    model.to(device())


def copied(batch: dict[str, torch.Tensor], to: torch.device) -> dict[str, torch.Tensor]:
    """The batch on a device; a GPU copies it from pinned memory while this process goes on."""
    pinned = {key: each.pin_memory() for key, each in batch.items()} if to.type == "cuda" else batch
    return {key: tensor.to(to, non_blocking=True) for key, tensor in pinned.items()}


def choose_threads(hidden_size: int) -> None:
    """One thread for narrow models, where handing work to a second costs more than it brings.

    Wider models use torch's own choice; of several processes each at most its share of the cores.
    OMP_NUM_THREADS, when set, decides instead.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    own = torch.get_num_threads()
    share = int(os.environ.get(THREADS_AT_MOST, own))
    torch.set_num_threads(1 if hidden_size <= NARROW else min(own, share))


def give_back() -> None:
    """Give the system the pages that lie free between tensors, where glibc can.

    A process that keeps what it frees (`flows.processes`) ends up with holes of every length that a batch has
    had: MiniLM on rows of 12 to 128 tokens held 5.6 GiB after 30 steps, and 1.0 after this.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def spend_less(hidden_size: int) -> None:
    """What makes this process's trainings cheaper and changes nothing in them."""
    if hidden_size > NARROW:  # else loading the loops costs what they bring
        loops.start()


def seed_everything(seed: int) -> None:
    """Seed the generators that dropout and libraries draw from, and ask for repeatable kernels."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # That mode also fills fresh memory with NaN before it is written: 3 to 9 % of a step, for nothing here.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
