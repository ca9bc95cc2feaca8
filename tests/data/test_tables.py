"""Files depend on their rows alone, and a page that changed on disk is not read."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import rows

from bitladder import files
from bitladder.files import IntegrityError
from pipeline.data.tables import read_split, write_split

FRAME = rows("mrpc", 200, seed=3)


def published(folder: Path) -> Path:
    with files.publish(folder) as made:
        write_split(made, "train", FRAME)
    return folder


def test_the_same_rows_give_the_same_bytes_whatever_their_index(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = write_split(tmp_path, "train", FRAME)
    again = write_split(tmp_path / "again", "train", FRAME.set_index(np.arange(len(FRAME))[::-1]))
    assert first.read_bytes() == again.read_bytes()


def test_no_library_writes_its_metadata(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    assert not pq.read_metadata(write_split(tmp_path, "train", FRAME)).metadata


@pytest.mark.parametrize("task", ["mrpc", "stsb"])
def test_rows_come_back_with_their_types(tmp_path: Path, task: str) -> None:
    frame = rows(task, 20, seed=0)
    write_split(tmp_path, "train", frame)
    pd.testing.assert_frame_equal(read_split(tmp_path, "train"), frame)


def test_some_columns_can_be_read_alone(tmp_path: Path) -> None:
    write_split(tmp_path, "train", FRAME)
    assert list(read_split(tmp_path, "train", ["label"]).columns) == ["label"]


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("texts")
    write_split(folder, "train", pd.DataFrame({"text": texts}))
    assert read_split(folder, "train")["text"].tolist() == texts


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"selection\.parquet: no such file"):
        read_split(tmp_path, "selection")


@pytest.mark.parametrize("kept", [0, 1, 4, 100, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = write_split(tmp_path, "train", FRAME)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match=r"train\.parquet: no readable Parquet file"):
        read_split(tmp_path, "train")


def test_a_flipped_bit_is_never_read_as_other_rows(tmp_path: Path) -> None:
    """Either the page's checksum tells, or (in the footer, which has none) the folder's manifest."""
    folder = published(tmp_path / "plain")
    path = folder / "train.parquet"
    good = path.read_bytes()
    draw = random.Random(0)
    num_refused = 0
    for _ in range(200):
        place, bit = draw.randrange(len(good)), draw.randrange(8)
        path.write_bytes(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
        with pytest.raises(IntegrityError):
            files.verify(folder)
        try:
            same = read_split(folder, "train").equals(FRAME)
        except IntegrityError:
            num_refused += 1
        else:
            assert same or place >= _footer(good)
    assert num_refused > 150


def test_every_page_has_a_checksum(tmp_path: Path) -> None:
    """Flips in the middle of the largest column's data are always refused."""
    path = write_split(tmp_path, "train", FRAME)
    good = path.read_bytes()
    for place in range(200, 2000, 100):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(IntegrityError):
            read_split(tmp_path, "train")


def _footer(parquet: bytes) -> int:
    """Where the footer starts; its length stands in four bytes before the closing PAR1."""
    return len(parquet) - 8 - int.from_bytes(parquet[-8:-4], "little")
