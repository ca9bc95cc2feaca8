"""What a model is trained with: checked files, tokenized, and their digests."""

from pathlib import Path

import pytest

from bitladder import files
from pipeline import paths
from pipeline.data.tables import read_split, write_split
from pipeline.params import Params
from pipeline.training import rows

TEACHER = paths.model_dir("teacher")


@pytest.mark.parametrize(("kind", "num_rows"), [("plain", 48), ("augmented", 96)])
def test_train_is_of_the_kind_asked_for_and_selection_is_always_plain(
    ladder: Params, kind: str, num_rows: int
) -> None:
    found = rows.load(ladder.task, kind, TEACHER)
    assert (len(found.train), len(found.selection)) == (num_rows, 12)
    assert found.digests == {
        "kind": kind,
        "train": files.sha256(paths.data_dir("cola", kind) / "train.parquet"),
        "selection": files.sha256(paths.data_dir("cola", "plain") / "selection.parquet"),
    }


def test_labels_are_in_the_order_of_the_rows(ladder: Params) -> None:
    found = rows.load(ladder.task, "plain", TEACHER)
    expected = read_split(paths.data_dir("cola", "plain"), "train")["label"].tolist()
    assert found.train.labels.tolist() == expected


def test_validation_is_not_read(own_ladder: Params) -> None:
    """The checkpoint is chosen on rows held out of train; training does not miss the validation split."""
    folder = paths.data_dir("cola", "plain")
    data = {name: read_split(folder, name) for name in ("train", "selection")}
    with files.publish(folder) as target:
        for name, frame in data.items():
            write_split(target, name, frame)
    assert len(rows.load(own_ladder.task, "plain", TEACHER).train) == 48


@pytest.mark.parametrize("kind", ["plain", "augmented"])
def test_a_file_that_was_changed_is_refused(own_ladder: Params, kind: str) -> None:
    path = paths.data_dir("cola", kind) / "train.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(files.IntegrityError, match=str(Path("cola") / kind)):
        rows.load(own_ladder.task, "augmented", TEACHER)
