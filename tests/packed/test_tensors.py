"""The file we write is safetensors', depends on its tensors alone, and its header is read without trust."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from bitladder.packed.tensors import Entry, FormatError, parse_json, read_contents, write

TENSORS = {
    "b.codes": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "a.scale": np.array([0.5, 1.5], np.float16),
    "c.weight": np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32),
    "d.step": np.array(0.25, np.float16),
}


def test_safetensors_reads_what_we_write(tmp_path: Path) -> None:
    write(tmp_path / "m", TENSORS, {"format": "pt", "version": "1"})
    read = load_file(tmp_path / "m")
    assert read.keys() == TENSORS.keys()
    assert all(
        np.array_equal(read[name], tensor) and read[name].dtype == tensor.dtype
        for name, tensor in TENSORS.items()
    )
    with safe_open(tmp_path / "m", framework="numpy") as file:
        assert file.metadata() == {"format": "pt", "version": "1"}


def test_we_read_the_contents_of_what_safetensors_writes(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "m", metadata={"format": "pt"})
    contents = read_contents(tmp_path / "m")
    assert contents.metadata == {"format": "pt"}
    assert contents.entries["b.codes"] == Entry("U8", (2, 3))
    assert contents.entries["d.step"] == Entry("F16", ())


def test_bytes_do_not_depend_on_the_order_of_tensors_or_metadata(tmp_path: Path) -> None:
    write(tmp_path / "m", TENSORS, {"format": "pt", "version": "1"})
    write(tmp_path / "n", dict(reversed(TENSORS.items())), {"version": "1", "format": "pt"})
    assert (tmp_path / "m").read_bytes() == (tmp_path / "n").read_bytes()


@pytest.mark.parametrize("cut", [0, 4, 8, 60, -1])
def test_a_torn_file_is_refused(tmp_path: Path, cut: int) -> None:
    write(tmp_path / "m", TENSORS, {})
    (tmp_path / "n").write_bytes((tmp_path / "m").read_bytes()[:cut])
    with pytest.raises(FormatError):
        read_contents(tmp_path / "n")


def test_a_longer_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "m", TENSORS, {})
    (tmp_path / "m").write_bytes((tmp_path / "m").read_bytes() + b"\0")
    with pytest.raises(FormatError, match="not fully covered"):
        read_contents(tmp_path / "m")


def test_a_pickle_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"\x80\x04\x95" + b"cos\nsystem\n" * 20)
    with pytest.raises(FormatError, match="not a safetensors file"):
        read_contents(tmp_path / "m")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="missing"):
        read_contents(tmp_path / "m")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, "invalid shape"),
        ({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, "overflow"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, "invalid value"),
        ({"a": {"dtype": "Q1", "shape": [1], "data_offsets": [0, 4]}}, "unknown variant"),
        ({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, "holds tensors of .*F8_E4M3"),
        ({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, "invalid type"),
        ({"a": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}, "invalid offset"),
        (
            {n: {"dtype": "U8", "shape": [3], "data_offsets": [i, i + 3]} for i, n in enumerate("ab")},
            "offset",
        ),
        ({"a": [1]}, "invalid"),
        ({"__metadata__": {"format": 1}}, "invalid type"),
        ([], "invalid type"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: object, said: str) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)
    with pytest.raises(FormatError, match=said):
        read_contents(tmp_path / "m")


@pytest.mark.parametrize(
    "text", [b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000, b"\xff\xfe", b"{", b"[Infinity]"]
)
def test_what_is_no_plain_json_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError, match="not JSON"):
        parse_json(text, "here")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_damaged_header_never_does_more_than_be_refused(tmp_path: Path, position: int, flip: int) -> None:
    write(tmp_path / "m", TENSORS, {"format": "pt"})
    data = bytearray((tmp_path / "m").read_bytes())
    data[position % len(data)] ^= flip
    (tmp_path / "n").write_bytes(bytes(data))
    try:
        contents = read_contents(tmp_path / "n")
    except FormatError:
        return
    total = sum(entry.num_bytes for entry in contents.entries.values())
    assert total <= len(data)
