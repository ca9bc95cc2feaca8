"""BITLADDER_ENGINE=torch: the trained rung's logits to the last bit, from int8 codes that are unpacked once,
without a weight ever being a float."""

import copy
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_rung import SIZES, batch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bitladder import files
from bitladder.modeling import checkpoint, routines
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision
from bitladder.runtime import doctor
from bitladder.runtime.kernels import engines
from bitladder.transformers_model import model
from bitladder.transformers_model.layers import PackedLinear

ROOT = Path(__file__).parents[2]
Rung = Callable[..., Path]
FFN = "bert.encoder.layer.0.intermediate.dense"
PRECISIONS = [
    Precision(1, 1, 8),
    Precision(1, 1, 4),
    Precision(1, 1, 1),
    Precision(2, 2, 8, activation_quantizer="lsq"),
    Precision(8, 8, 8, "matrix"),
    Precision(1, 1, 8, split=True),
    Precision(1, 1, 1, feed_forward_activations=8),
]
W1A8, W1A4 = PRECISIONS[:2]


@pytest.fixture(autouse=True)
def _torch_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engines.VARIABLE, engines.TORCH)


@pytest.fixture
def made(trained: Rung, tmp_path: Path) -> Callable[..., tuple[Any, Path]]:
    """A packed model, and the folder of the trained rung."""

    def make(precision: Precision, **options: int) -> tuple[Any, Path]:
        source = trained(precision, **options)
        with files.publish(tmp_path / "packed") as folder:
            pack(source, folder)
        return model.load(tmp_path / "packed"), source

    return make


Make = Callable[..., tuple[Any, Path]]


@torch.inference_mode()
def logits(loaded: Any, device: str = "cpu") -> Tensor:
    found: Tensor = loaded(**{name: ids.to(device) for name, ids in batch().items()}).logits
    return found


def linears(loaded: Any) -> list[PackedLinear]:
    return [part for part in loaded.modules() if isinstance(part, PackedLinear)]


def kept(loaded: Any) -> list[bool]:
    return [part._kept is not None for part in linears(loaded)]


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
@pytest.mark.parametrize("vnni", [True, False])
def test_logits_are_the_trained_rungs_bit_for_bit(made: Make, precision: Precision, vnni: bool) -> None:
    loaded, source = made(precision)
    rung = checkpoint.load_bert(source)
    own = routines.choose(name="fused")
    if not vnni:
        routines.use(loaded, replace(own, vnni=False))
    assert torch.equal(logits(loaded), logits(rung))
    assert all(kept(loaded))


def test_groups_of_inputs_too(made: Make) -> None:
    precision = Precision(2, 2, 8, "group", group_size=9)
    loaded, source = made(precision, hidden_size=36, intermediate_size=45)
    assert torch.equal(logits(loaded), logits(checkpoint.load_bert(source)))
    assert all(kept(loaded))


def test_where_activations_are_floats_nothing_is_kept(made: Make) -> None:
    loaded, source = made(Precision(1, 1, 32))
    assert torch.equal(logits(loaded), logits(checkpoint.load_bert(source)))
    assert not any(kept(loaded))


def test_codes_are_unpacked_at_first_use_and_once(made: Make) -> None:
    loaded, _ = made(W1A8)
    assert not any(kept(loaded))
    names = set(loaded.state_dict())
    logits(loaded)
    first = [layer.unpacked() for layer in linears(loaded)]
    logits(loaded)
    assert all(layer.unpacked() is before for layer, before in zip(linears(loaded), first, strict=True))
    assert set(loaded.state_dict()) == names


def test_training_drops_what_is_unpacked(made: Make) -> None:
    loaded, _ = made(W1A8)
    before = logits(loaded)
    loaded.train()
    assert not any(kept(loaded))
    assert torch.equal(logits(loaded.eval()), before)


def test_eval_keeps_what_is_unpacked(made: Make) -> None:
    loaded, _ = made(W1A8)
    logits(loaded)
    assert all(kept(loaded.eval()))


def _in_place(loaded: Any) -> None:
    loaded.get_submodule(FFN).codes.bitwise_xor_(1)


def _exchanged(loaded: Any) -> None:
    loaded.get_submodule(FFN).codes = loaded.get_submodule(FFN).codes ^ 1


def _loaded(loaded: Any, *, assign: bool = False) -> None:
    state = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    state[f"{FFN}.codes"] ^= 1
    loaded.load_state_dict(state, assign=assign)


@pytest.mark.parametrize("change", [_in_place, _exchanged, _loaded, partial(_loaded, assign=True)])
def test_other_codes_are_noticed(made: Make, change: Callable[[Any], None]) -> None:
    loaded, _ = made(W1A8)
    before = logits(loaded)
    change(loaded)
    after = logits(loaded)
    assert not torch.equal(after, before)
    with torch.no_grad():
        assert torch.equal(after, copy.deepcopy(loaded).train().eval()(**batch()).logits)


def test_a_copy_is_a_model_of_its_own(made: Make) -> None:
    loaded, _ = made(W1A8)
    before = logits(loaded)
    again = copy.deepcopy(loaded)
    _in_place(again)
    assert torch.equal(logits(loaded), before)
    assert not torch.equal(logits(again), before)


def test_a_model_loaded_in_inference_mode_runs_too(made: Make, tmp_path: Path) -> None:
    loaded, _ = made(W1A8)
    with torch.inference_mode():
        again = model.load(tmp_path / "packed")
    assert torch.equal(logits(again), logits(loaded))


@pytest.mark.parametrize("precision", [W1A8, W1A4], ids=str)
def test_training_keeps_nothing_and_gradients_are_the_same(made: Make, precision: Precision) -> None:
    loaded, _ = made(precision)
    loaded.requires_grad_()
    for part in loaded.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    found = []
    for mode in (True, False):
        logits(loaded.eval())  # so that eval has what was unpacked in inference mode
        loaded.train(mode).zero_grad()
        loaded(**batch(), labels=torch.tensor([0, 1, 0, 1, 1])).loss.backward()
        assert any(kept(loaded)) is not mode
        named = loaded.named_parameters()
        found.append({name: own.grad.clone() for name, own in named if own.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert "classifier.weight" in found[0]
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-5, atol=1e-7)


class _Seen(TorchDispatchMode):
    """Shapes of all tensors that any operation makes: of floats, and of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.floats: set[tuple[int, ...]] = set()
        self.wholes: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, list | tuple) else [found]:
            if isinstance(tensor, Tensor):
                kind = self.floats if tensor.is_floating_point() else self.wholes
                kind.add(tuple(tensor.shape))
        return found


@pytest.mark.parametrize("precision", PRECISIONS[:3], ids=str)
def test_no_weight_is_a_float_at_any_time_and_tables_are_not_unpacked(
    made: Make, precision: Precision
) -> None:
    hidden, neurons, words = 40, 104, 99
    loaded, _ = made(precision, hidden_size=hidden, intermediate_size=neurons)
    with _Seen() as seen:
        logits(loaded)
    of_weights = {(hidden, hidden), (neurons, hidden), (hidden, neurons), (words, hidden)}
    of_weights |= {shape[::-1] for shape in of_weights}
    assert not seen.floats & of_weights
    assert (neurons, hidden) in seen.wholes  # the test would see them
    assert (words, hidden) not in seen.wholes


def test_after_an_answer_no_weight_is_a_float_and_each_takes_a_byte(made: Make) -> None:
    hidden, neurons = 56, 120
    loaded, _ = made(W1A8, hidden_size=hidden, intermediate_size=neurons)
    logits(loaded)
    gc.collect()
    alive = [each for each in gc.get_objects() if issubclass(type(each), Tensor)]
    floats = {tuple(tensor.shape) for tensor in alive if tensor.is_floating_point()}
    assert (2, hidden) in floats  # the head, which is not packed: the test sees what there is
    of_linears = {(hidden, hidden), (neurons, hidden), (hidden, neurons)}
    of_tables = {(SIZES[name], hidden) for name in ("vocab_size", "max_position_embeddings")}
    assert not floats & (of_linears | of_tables)
    held = sum(layer.unpacked().codes_OI.nbytes for layer in linears(loaded))
    assert held == 2 * (4 * hidden**2 + 2 * hidden * neurons) + hidden**2


def test_doctor_says_what_a_weight_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(as_json=False) == 0
    assert "weights    one byte each" in capsys.readouterr().out


def test_it_runs_where_numba_is_not_installed(
    made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, _ = made(W1A8)
    monkeypatch.delenv(engines.VARIABLE)
    code = (
        "import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None\n"
        "import torch\n"
        "from bitladder.transformers_model import model\n"
        "from bitladder.runtime.kernels import engines\n"
        "from tiny_rung import batch\n"
        "with torch.inference_mode():\n"
        f"    logits = model.load({str(tmp_path / 'packed')!r})(**batch()).logits\n"
        "print(engines.choose().engine)\n"
        "print(*[float(value).hex() for value in logits.flatten()])\n"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    engine, found = done.stdout.splitlines()
    assert engine == engines.TORCH
    theirs = np.array([float.fromhex(value) for value in found.split()], np.float32)
    np.testing.assert_array_equal(theirs, logits(loaded).flatten().numpy())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_a_gpu_gives_nearly_the_cpus_logits(made: Make, precision: Precision) -> None:
    """Products are the same whole numbers; softmax and norms are rounded in another order."""
    loaded, _ = made(precision)
    on_cpu = logits(loaded)
    on_gpu = logits(loaded.to("cuda"), "cuda").cpu()
    assert all(layer.unpacked().codes_OI.is_cuda for layer in linears(loaded))
    torch.testing.assert_close(on_gpu, on_cpu, rtol=0, atol=0.05)
    assert torch.equal(logits(loaded.to("cpu")), on_cpu)
