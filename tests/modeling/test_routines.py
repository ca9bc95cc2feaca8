"""Every routine for products of whole numbers gives the one right result; how a routine is chosen."""

import os
import subprocess
import sys
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import classifier
from torch import Tensor

from bitladder.modeling import routines
from bitladder.modeling.routines import PLAIN, Routines, choose, integer_product, takes_int8
from bitladder.quantizers.precision import Precision

FUSED = choose(name="fused")
WITHOUT_INT8 = replace(FUSED, vnni=False)
BFLOAT16 = choose("bfloat16", name="fused")
SIDES, SEEDS = st.integers(1, 40), st.integers(0, 99)
TOPS = st.sampled_from([1, 7, 127])  # of weights
WITHOUT_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, WITHOUT_GPU])]
# Small products go through oneDNN only where the test says that they are worth it.
every_threshold = pytest.mark.parametrize("worth", [0, routines.WORTH_ONEDNN])


def drawn_codes(rows: int, columns: int, top: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-top, top + 1, (rows, columns), generator=generator, dtype=torch.int8)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chosen", [FUSED, WITHOUT_INT8])
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 70), TOPS, st.sampled_from([1, 15, 127]), SEEDS)
def test_integer_products_are_numpys_whatever_the_shape_and_the_routine(
    device: str,
    chosen: Routines,
    tokens: int,
    inputs: int,
    outputs: int,
    weight_top: int,
    top: int,
    seed: int,
) -> None:
    x, weight = drawn_codes(tokens, inputs, top, seed), drawn_codes(outputs, inputs, weight_top, seed + 1)
    expected = x.numpy().astype(np.int64) @ weight.numpy().astype(np.int64).T
    found = integer_product(
        x.to(device), weight.to(device), largest=top, largest_weight=weight_top, routines=chosen
    )
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found.cpu().numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chosen", [FUSED, WITHOUT_INT8])
@pytest.mark.parametrize("weight_top", [1, 7, 127])
@pytest.mark.parametrize("inputs", [256, 257, 3072])
def test_the_largest_sums_do_not_overflow(
    device: str, chosen: Routines, weight_top: int, inputs: int
) -> None:
    weight = torch.full((40, inputs), weight_top, dtype=torch.int8, device=device)
    for level in (-127, 127):
        x = torch.full((24, inputs), level, dtype=torch.int8, device=device)
        found = integer_product(x, weight, largest=127, largest_weight=weight_top, routines=chosen)
        expected = np.float32(level * weight_top * inputs)  # rounded once, beyond 2^24
        np.testing.assert_array_equal(found.cpu().numpy(), np.full((24, 40), expected))


@pytest.mark.parametrize(
    ("vnni", "capability", "largest", "taken"),
    [
        (True, "AVX512", 127, True),
        (False, "AVX512", 127, False),
        (False, "AVX2", 127, False),
        (False, "AVX2", 7, True),
        (False, "AVX2", 1, True),
        (False, "DEFAULT", 1, False),
        (False, "SVE256", 1, False),
    ],
)
def test_where_the_int8_product_is_taken(vnni: bool, capability: str, largest: int, taken: bool) -> None:
    ones = torch.ones(8, 8, dtype=torch.int8)
    with mock.patch.object(torch.backends.cpu, "get_cpu_capability", return_value=capability):
        assert takes_int8(ones, ones, largest, replace(FUSED, vnni=vnni)) is taken


@pytest.mark.skipif(
    not torch.backends.cpu.get_cpu_capability().startswith("AVX"), reason="oneDNN of x86 alone"
)
@pytest.mark.parametrize("instructions", ["AVX512_CORE", "AVX2"])
def test_without_vnni_sums_are_exact_up_to_64_and_saturate_beyond(instructions: str) -> None:
    """What takes_int8 relies on, with oneDNN held back to what older processors have."""
    code = (
        "import torch\n"
        "for rows in (1, 5, 40):\n"
        "    for largest in (1, 7, 64, 127):\n"
        "        ones = torch.full((rows, 333), 127, dtype=torch.int8)\n"
        "        codes = torch.full((41, 333), largest, dtype=torch.int8)\n"
        "        sums = [torch._int_mm(sign * ones, codes.t()).unique().tolist() for sign in (1, -1)]\n"
        "        exact = 127 * largest * 333\n"
        "        print(largest, sums == [[exact], [-exact]])\n"
    )
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    expected = ["1 True", "7 True", "64 True", "127 False"] * 3
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.parametrize("chosen", [FUSED, WITHOUT_INT8])
def test_sums_that_float32_cannot_hold_are_rounded_once(chosen: Routines) -> None:
    """W8A8 over 4096 inputs: the sum passes 2^24, and adding up in float32 would round at every term."""
    x = torch.full((17, 4096), 127, dtype=torch.int8)
    x[:, ::3] -= 1
    exact = (x[:1].double() @ x[:1].double().t()).item()
    assert exact > 2**24
    found = integer_product(x, x, largest=127, largest_weight=127, routines=chosen)
    assert torch.equal(found, torch.full((17, 17), exact, dtype=torch.float64).float())


def test_a_gpu_beside_it_does_not_give_the_cpu_int8_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would saturate: 127 * 127 twice is beyond 16 bits."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    monkeypatch.setattr(torch, "_int_mm", lambda *_: pytest.fail("int8 product on a CPU without VNNI"))
    x = torch.full((32, 32), 127, dtype=torch.int8)
    found = integer_product(x, x, largest=127, largest_weight=127, routines=choose(name="fused"))
    assert torch.equal(found, torch.full((32, 32), 32.0 * 127 * 127))


@every_threshold
@given(SIDES, SIDES, SIDES, st.integers(0, 99))
def test_products_of_floats_agree_with_torchs_own(
    worth: int, tokens: int, inputs: int, outputs: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, weight, gradient, bias = (
        torch.randn(shape, generator=generator)
        for shape in ((tokens, inputs), (outputs, inputs), (tokens, outputs), (outputs,))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routines, "WORTH_ONEDNN", worth)
        # 1e-5 of sums of up to 40 terms near 1: only the order of summation differs.
        assert torch.allclose(routines.product(x, weight, bias, FUSED), x @ weight.t() + bias, atol=1e-5)
        assert torch.allclose(routines.input_gradient(gradient, weight, FUSED), gradient @ weight, atol=1e-5)
        assert torch.allclose(routines.weight_gradient(gradient, x, FUSED), gradient.t() @ x, atol=1e-5)
        # bfloat16 keeps 8 bits of each factor and of the sum, of up to 40 terms below 16.
        assert torch.allclose(routines.weight_gradient(gradient, x, BFLOAT16), gradient.t() @ x, atol=0.3)
        assert torch.allclose(
            routines.input_gradient(gradient, weight, BFLOAT16), gradient @ weight, atol=0.3
        )


@every_threshold
@pytest.mark.parametrize("outputs", [3, 9])
@pytest.mark.parametrize("chosen", [FUSED, BFLOAT16, PLAIN])
def test_a_weights_gradient_is_float32_in_rows_whatever_the_factors_and_the_shape(
    chosen: Routines, outputs: int, worth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wider than 6 inputs, 9 outputs: there the product is computed transposed."""
    monkeypatch.setattr(routines, "WORTH_ONEDNN", worth)
    gradient, x = torch.randn(5, outputs), torch.randn(5, 6)
    found = routines.weight_gradient(gradient, x, chosen)
    assert (found.dtype, found.shape) == (torch.float32, (outputs, 6))
    assert found.is_contiguous()
    tolerance = 0.1 if chosen.gradients == torch.bfloat16 else 1e-5
    assert torch.allclose(found, gradient.t() @ x, atol=tolerance)


def test_the_environment_chooses_the_plain_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITLADDER_KERNELS", "plain")
    assert choose("bfloat16") == PLAIN
    assert classifier(Precision(1, 1, 8)).bert.pooler.dense.routines == PLAIN
    assert choose("bfloat16", name="fused").gradients == torch.bfloat16


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITLADDER_KERNELS", "fast")
    with pytest.raises(ValueError, match="BITLADDER_KERNELS: 'fast'; known: fused, plain"):
        choose()


def test_a_models_routines_are_set_on_every_layer_that_has_some() -> None:
    model = classifier(Precision(1, 1, 8))
    routines.use(model, BFLOAT16)
    assert model.bert.encoder.layer[1].output.dense.routines == BFLOAT16
    assert not hasattr(model.classifier, "routines")


@pytest.mark.parametrize(
    ("maker", "has_mkl", "is_faster"),
    [
        ("GenuineIntel", True, True),
        ("GenuineIntel", False, False),
        ("AuthenticAMD", True, False),
    ],
)
def test_the_processors_maker_decides_who_multiplies_floats_and_no_clock_does(
    maker: str, has_mkl: bool, is_faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a training that was stopped goes on with the routine that it began with."""
    monkeypatch.setattr(routines.Path, "read_text", lambda _: f"vendor_id : {maker}")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: has_mkl)
    assert routines.mkl_is_faster.__wrapped__() is is_faster
