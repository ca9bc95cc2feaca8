"""Codes survive packing exactly, whatever their shape; bytes that packing cannot have written are refused."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitladder.packed import codes as packing
from bitladder.packed.codes import as_two_bits
from bitladder.transformers_model import layers

Codes = NDArray[np.int8]
WIDTHS = (1, 1.6, 2, 4, 8)


@st.composite
def packed_cases(draw: st.DrawFn) -> tuple[float, Codes]:
    """A width and codes it can write, [O, I] with odd sizes and single columns included."""
    bits = draw(st.sampled_from(WIDTHS))
    shape = draw(st.integers(1, 7)), draw(st.integers(1, 37))
    top = 1 if bits < 2 else 2 ** (bits - 1) - 1
    codes = [-1, 1] if bits == 1 else range(-top, top + 1)
    values = draw(
        st.lists(st.sampled_from(list(codes)), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
    )
    return bits, np.array(values, np.int8).reshape(shape)


@given(packed_cases())
def test_unpacking_gives_back_every_code(case: tuple[float, Codes]) -> None:
    bits, codes_OI = case
    packed_OB = packing.pack(codes_OI, bits)
    assert np.array_equal(packing.unpack(packed_OB, bits, codes_OI.shape[1]), codes_OI)


@given(packed_cases())
def test_packing_leaves_its_arguments_alone(case: tuple[float, Codes]) -> None:
    bits, codes_OI = case
    before = codes_OI.copy()
    packed_OB = packing.pack(codes_OI, bits)
    packed_before = packed_OB.copy()
    packing.unpack(packed_OB, bits, codes_OI.shape[1])
    packing.check(packed_OB, bits, codes_OI.shape[1])
    assert np.array_equal(codes_OI, before)
    assert np.array_equal(packed_OB, packed_before)


@given(packed_cases())
def test_rows_take_whole_bytes_and_what_was_packed_is_accepted(case: tuple[float, Codes]) -> None:
    bits, codes_OI = case
    packed_OB = packing.pack(codes_OI, bits)
    assert packed_OB.dtype == np.uint8
    assert packed_OB.shape == (codes_OI.shape[0], math.ceil(codes_OI.shape[1] / round(8 / bits)))
    packing.check(packed_OB, bits, codes_OI.shape[1])


@given(packed_cases(), st.data())
def test_a_bit_set_in_the_padding_is_refused(case: tuple[float, Codes], data: st.DataObject) -> None:
    bits, codes_OI = case
    padding = range(int(codes_OI.shape[1] * bits % 8) or 8, 8)
    packed_OB = packing.pack(codes_OI, bits)
    if bits != 1.6 and len(padding):
        packed_OB[data.draw(st.integers(0, codes_OI.shape[0] - 1)), -1] |= 1 << data.draw(
            st.sampled_from(padding)
        )
        with pytest.raises(ValueError, match="which no"):
            packing.check(packed_OB, bits, codes_OI.shape[1])


@given(packed_cases())
def test_every_bytes_that_is_accepted_packs_back_to_itself(case: tuple[float, Codes]) -> None:
    bits, codes_OI = case
    anything_OB = packing.pack(codes_OI, bits) ^ 0b0100_0010
    try:
        packing.check(anything_OB, bits, codes_OI.shape[1])
    except ValueError:
        return
    assert np.array_equal(
        packing.pack(packing.unpack(anything_OB, bits, codes_OI.shape[1]), bits), anything_OB
    )


@pytest.mark.parametrize(
    ("bits", "codes", "packed"),
    [
        (1, [1, -1, -1, 1, 1, -1, 1, 1, -1, 1], [0b1101_1001, 0b10]),
        (2, [1, -1, 0, 1, -1], [0b01_00_11_01, 0b11]),
        (1.6, [1, -1, 0, 1, 0, -1, 1], [2 + 0 * 3 + 1 * 9 + 2 * 27 + 1 * 81, 0 + 2 * 3]),
        (1.6, [1, 1, 1, 1, 1], [242]),
        (4, [7, -7, 3], [0b1001_0111, 0b0011]),
        (8, [127, -127, 0], [0x7F, 0x81, 0]),
    ],
)
def test_worked_by_hand(bits: int, codes: list[int], packed: list[int]) -> None:
    assert packing.pack(np.array([codes], np.int8), bits).tolist() == [packed]


@pytest.mark.parametrize("bits", WIDTHS)
def test_leading_dimensions_are_kept(bits: int) -> None:
    codes = np.random.default_rng(int(bits)).choice(np.array([-1, 1], np.int8), (2, 3, 5))
    packed = packing.pack(codes, bits)
    assert packed.shape == (2, 3, packing.num_bytes(5, bits))
    assert np.array_equal(packing.unpack(packed, bits, 5), codes)


@pytest.mark.parametrize(
    ("bits", "wrong"),
    [(1, 0), (1, 2), (2, -2), (1.6, 2), (4, 8), (4, -8), (8, -128)],
)
def test_a_number_that_is_no_code_is_refused_by_value(bits: float, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"{wrong} is not a code of {bits} bits"):
        packing.pack(np.array([[1, wrong]], np.int8), bits)


@given(packed_cases())
def test_torch_unpacks_the_same(case: tuple[float, Codes]) -> None:
    bits, codes_OI = case
    bytes_OB = torch.from_numpy(packing.pack(codes_OI, bits))
    assert np.array_equal(layers.unpack(bytes_OB, bits, codes_OI.shape[1]).numpy(), codes_OI)


def test_a_digit_in_the_padding_or_a_sixth_one_is_refused() -> None:
    with pytest.raises(ValueError, match="the byte 9 occurs, which no 2 codes"):
        packing.check(np.array([[0, 9]], np.uint8), 1.6, 7)
    with pytest.raises(ValueError, match="byte 243"):
        packing.check(np.array([[243]], np.uint8), 1.6, 5)


@given(packed_cases())
def test_five_in_a_byte_become_four_in_a_byte(case: tuple[float, Codes]) -> None:
    codes_OI = np.sign(case[1])
    fives, fours = (packing.pack(codes_OI, bits) for bits in (1.6, 2))
    assert np.array_equal(as_two_bits(fives, codes_OI.shape[1]), fours)


@pytest.mark.parametrize(("bits", "unused"), [(2, 0b10), (4, 0b1000), (8, 0x80)])
def test_the_code_no_width_uses_is_refused(bits: int, unused: int) -> None:
    with pytest.raises(ValueError, match="which no"):
        packing.check(np.array([[unused]], np.uint8), bits, 8 // bits)


@pytest.mark.parametrize("wrong", [np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.int8)])
def test_other_shapes_and_dtypes_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="bytes a row"):
        packing.check(wrong, 1, 9)
