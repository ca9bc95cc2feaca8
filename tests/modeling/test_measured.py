"""What activation quantizers measure in training: once per forward on every path, by all processes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_model import batch, config, other_padding
from torch import Tensor, nn

from bitladder.modeling.bert import build_bert
from bitladder.modeling.routines import PLAIN, Routines, choose, use
from bitladder.quantizers.min_max_ema import DECAY, MinMaxEma
from bitladder.quantizers.precision import Precision
from pipeline.initialization.step_sizes import calibrate

EMA = {"activation_quantizer": "min_max_ema"}


def averages(precision: Precision, routines: Routines, rows: dict[str, Tensor]) -> dict[str, float]:
    """After one forward pass in training, the dropout left out."""
    torch.manual_seed(0)
    model = build_bert(config(), precision)
    calibrate(model, batch())
    use(model, routines)
    model.train()
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    model(**rows)
    return {
        name: float(part.magnitude) for name, part in model.named_modules() if isinstance(part, MinMaxEma)
    }


@pytest.mark.parametrize(
    "precision", [Precision(1, 1, 8, **EMA), Precision(1, 1, 8, split=True, **EMA)], ids=str
)
def test_each_forward_moves_them_once_whatever_the_routines(precision: Precision) -> None:
    rows = {**batch(), "input_ids": (batch()["input_ids"] * 3) % 90}
    fused, plain = (averages(precision, routines, rows) for routines in (choose(name="fused"), PLAIN))
    assert fused == pytest.approx(plain, rel=1e-6)
    assert len(fused) == 2 * 6 + 1 + 2 * 4
    assert fused != averages(precision, PLAIN, other_padding(batch()))


def test_a_forward_in_evaluation_moves_none() -> None:
    torch.manual_seed(0)
    model = build_bert(config(), Precision(1, 1, 8, **EMA))
    calibrate(model, batch())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for routines in (choose(name="fused"), PLAIN):
        use(model.eval(), routines)
        model(**{**batch(), "input_ids": (batch()["input_ids"] * 3) % 90})
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


PROCESS = """
import sys, torch, torch.distributed as dist
from torch.distributed import FileStore
from bitladder.quantizers.min_max_ema import MinMaxEma
from pipeline.training.parallel import World
rank = int(sys.argv[1])
dist.init_process_group("gloo", rank=rank, world_size=2, store=FileStore(sys.argv[2], 2))
quantizer = MinMaxEma(8).train()
quantizer.calibrate(torch.tensor([[2.0]]))
quantizer(torch.tensor([[3.0 + 5 * rank]]))
World(rank, 2).average(quantizer, {})
print(float(quantizer.magnitude))
"""


@pytest.mark.slow
def test_several_processes_measure_the_whole_batch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS]
    running = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for rank in (0, 1)
    ]
    found = [float(process.communicate(timeout=60)[0]) for process in running]
    assert found == pytest.approx([2 * DECAY + 8 * (1 - DECAY)] * 2)
