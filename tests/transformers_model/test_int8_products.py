"""torch's int8 product gives numpy's whole numbers for any shape, and layers the trained layers' floats."""

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
from torch import Tensor

from bitladder.modeling import linear
from bitladder.modeling.routines import Routines, choose
from bitladder.quantizers.activation import Codes
from bitladder.quantizers.weight import Quantized
from bitladder.transformers_model import int8_products
from bitladder.transformers_model.int8_products import Unpacked, exact_product, takes_int8, unpacked

ROUTINES = choose(name="fused")
LARGEST = {1: 1, 2: 1, 4: 7, 8: 127}  # of weights, by their bits
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
        ],
    ),
]
WAYS = [True, False]  # int8, and floats that are wide enough


def draw(shape: tuple[int, ...], largest: int, generator: torch.Generator) -> Tensor:
    return torch.randint(-largest, largest + 1, shape, generator=generator, dtype=torch.int8)


def weight_of(codes_OI: Tensor, largest: int, *, scales: tuple[int, int], seed: int = 0) -> Quantized:
    scale = torch.rand(scales, generator=torch.Generator().manual_seed(seed))
    return Quantized(codes_OI, scale.to(codes_OI.device), largest)


def product_of(integers_MI: Tensor, codes_OI: Tensor, largest: int, *, in_int8: bool) -> Tensor:
    weight = unpacked(weight_of(codes_OI, largest, scales=(1, 1)))
    bound = 127 * largest
    return exact_product(integers_MI, weight.codes_GQP[0], len(codes_OI), largest=bound, in_int8=in_int8)


def numpys(integers_MI: Tensor, codes_OI: Tensor) -> np.ndarray:
    found = integers_MI.cpu().numpy().astype(np.int64) @ codes_OI.cpu().numpy().astype(np.int64).T
    return found.astype(np.float32)  # rounded once, beyond 2^24


def works_here(weight: Unpacked) -> bool:
    return takes_int8(weight, ROUTINES)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("in_int8", WAYS)
@given(
    rows=st.integers(1, 40),
    outputs=st.integers(1, 70),
    inputs=st.integers(1, 70),
    bits=st.sampled_from([*LARGEST]),
    seed=st.integers(0, 2**16),
)
def test_a_product_is_numpys(
    device: str, in_int8: bool, rows: int, outputs: int, inputs: int, bits: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    integers_MI = draw((rows, inputs), 127, generator).to(device)
    codes_OI = draw((outputs, inputs), LARGEST[bits], generator).to(device)
    if in_int8 and not works_here(unpacked(weight_of(codes_OI, LARGEST[bits], scales=(1, 1)))):
        return
    found = product_of(integers_MI, codes_OI, LARGEST[bits], in_int8=in_int8)
    np.testing.assert_array_equal(found.cpu().numpy(), numpys(integers_MI, codes_OI))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("in_int8", WAYS)
@pytest.mark.parametrize("largest", LARGEST.values())
@pytest.mark.parametrize("inputs", [256, 257, 3072])
def test_the_largest_sums_do_not_overflow(device: str, in_int8: bool, largest: int, inputs: int) -> None:
    codes_OI = torch.full((33, inputs), largest, dtype=torch.int8, device=device)
    if in_int8 and not works_here(unpacked(weight_of(codes_OI, largest, scales=(1, 1)))):
        pytest.skip("this processor's int8 product is not exact at 8 bits")
    for level in (-127, 127):
        integers_MI = torch.full((5, inputs), level, dtype=torch.int8, device=device)
        found = product_of(integers_MI, codes_OI, largest, in_int8=in_int8)
        np.testing.assert_array_equal(found.cpu().numpy(), numpys(integers_MI, codes_OI))


@pytest.mark.parametrize("routines", [ROUTINES, replace(ROUTINES, vnni=False)], ids=["best", "without VNNI"])
@given(
    rows=st.integers(1, 20),
    outputs=st.integers(1, 40),
    groups=st.sampled_from([1, 1, 2, 3]),
    size=st.integers(1, 30),
    sharing=st.sampled_from(["row", "matrix"]),
    bits=st.sampled_from([*LARGEST]),
    activation=st.sampled_from(["per token", "one step", "offset"]),
    has_bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_what_follows_the_product_is_the_trained_layers_to_the_last_bit(
    routines: Routines,
    rows: int,
    outputs: int,
    groups: int,
    size: int,
    sharing: str,
    bits: int,
    activation: str,
    has_bias: bool,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    integers = draw((2, rows, groups * size), 127, generator)
    step = torch.rand((2, rows, 1) if activation == "per token" else (), generator=generator)
    offset = torch.randn((), generator=generator) if activation == "offset" else None
    codes = Codes(integers, step, offset)
    scales = (1, 1) if groups == 1 and sharing == "matrix" else (outputs, groups)
    codes_OI = draw((outputs, groups * size), LARGEST[bits], generator)
    weight = weight_of(codes_OI, LARGEST[bits], scales=scales, seed=seed)
    bias_O = torch.randn(outputs, generator=generator) if has_bias else None
    found = int8_products.multiply(
        codes, unpacked(weight), weight.scale_OG, bias_O, largest=127, routines=routines
    )
    assert torch.equal(found, linear.multiply(codes, weight, bias_O, largest=127, routines=ROUTINES))


def test_codes_take_a_byte_each_in_whole_eights() -> None:
    even = unpacked(weight_of(torch.ones(48, 64, dtype=torch.int8), 1, scales=(48, 1)))
    assert (even.codes_GQP.dtype, even.codes_GQP.shape) == (torch.int8, (1, 48, 64))
    assert even.num_bytes == 48 * 64 + 4 * 48
    odd = unpacked(weight_of(torch.ones(45, 27, dtype=torch.int8), 1, scales=(45, 3)))
    assert odd.codes_GQP.shape == (3, 48, 16)
    assert odd.sums_OG.tolist() == [[9, 9, 9]] * 45


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
    weight = unpacked(weight_of(torch.ones(8, 8, dtype=torch.int8), largest, scales=(1, 1)))
    with mock.patch.object(torch.backends.cpu, "get_cpu_capability", return_value=capability):
        assert takes_int8(weight, replace(ROUTINES, vnni=vnni)) is taken


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


def test_of_floats_there_are_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    integers_MI, codes_OI = draw((3, 50), 127, generator), draw((31, 50), 127, generator)
    for at_once in (1, 50, 333):  # less than a row, a row, six rows and 33 codes
        monkeypatch.setattr(int8_products, "FLOATS", at_once)
        found = product_of(integers_MI, codes_OI, 127, in_int8=False)
        np.testing.assert_array_equal(found.numpy(), numpys(integers_MI, codes_OI))
