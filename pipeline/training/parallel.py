"""Several processes that share each batch, one per device, started by torchrun; usually there is only one.

Every process makes the same whole batch and keeps its own rows of it, so the batch that a step learns from is
the same however many share it.
"""

from dataclasses import dataclass

import torch

from pipeline.data.encode import Batch
from pipeline.distillation.objective import WHOLE, Portion


@dataclass(frozen=True)
class World:
    """Attributes:
    rank: this process's number, from 0; process 0 writes the files.
    size: how many processes share each batch.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, whole: Batch) -> tuple[Batch, Portion]:
        """This process's rows of a batch, and how much they weigh."""
        if self.size == 1:
            return whole, WHOLE
        raise NotImplementedError

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of a tensor over all processes."""
        if self.size == 1:
            return value
        raise NotImplementedError


def world() -> World:
    return World()
