"""Token ids as transformers' own tokenizer gives them, padded batches, and an order that the seed decides."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_rung import write_tokenizer
from tokenizers import Tokenizer, models

from pipeline.kinds import KINDS
from pipeline.params import Task
from pipeline.tasks import scoring
from pipeline.tasks.batches import Encoded

SINGLE = pd.DataFrame(
    {
        "sentence": ["the dog sees a cat .", "dogs hears", "the bird likes the fish . a dog"],
        "label": [1, 0, 1],
    }
)
PAIR = pd.DataFrame(
    {
        "first": ["the dog sees a cat .", "a bird"],
        "second": ["the cat hears", "the fish likes a dog and the bird ."],
        "label": np.array([0.5, 4.75], dtype=np.float32),
    }
)
CLS, SEP = 2, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path)
    return tmp_path


def encode(frame: pd.DataFrame, columns: list[str], folder: Path, *, max_length: int) -> Encoded:
    """As a classification's rows are tokenized."""
    task = Task.model_construct(sentence_columns=columns, max_length=max_length)
    return scoring.encoded(KINDS["classification"].encode(frame, task, folder))


def numbered(num_rows: int) -> Encoded:
    """Rows that hold their own number, as often as it says and once more."""
    ids = [[row + 1] * (row % 5 + 1) for row in range(num_rows)]
    return Encoded(ids, [[0] * len(row) for row in ids], torch.arange(num_rows), 0)


def reference(folder: Path, *texts: list[str], max_length: int) -> dict[str, list[list[int]]]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    found = tokenizer(*texts, truncation=True, max_length=max_length)
    return {name: found[name] for name in ("input_ids", "token_type_ids")}


@pytest.mark.parametrize("max_length", [6, 8, 17])
def test_ids_and_segments_are_those_of_transformers(folder: Path, max_length: int) -> None:
    single = encode(SINGLE, ["sentence"], folder, max_length=max_length)
    pair = encode(PAIR, ["first", "second"], folder, max_length=max_length)
    expected = reference(folder, SINGLE["sentence"].tolist(), max_length=max_length)
    expected_pair = reference(folder, PAIR["first"].tolist(), PAIR["second"].tolist(), max_length=max_length)
    assert (single.input_ids, single.token_type_ids) == (expected["input_ids"], expected["token_type_ids"])
    assert (pair.input_ids, pair.token_type_ids) == (
        expected_pair["input_ids"],
        expected_pair["token_type_ids"],
    )


def test_a_pairs_second_sentence_is_segment_one(folder: Path) -> None:
    rows = encode(PAIR, ["first", "second"], folder, max_length=17)
    for ids, segments in zip(rows.input_ids, rows.token_type_ids, strict=True):
        boundary = ids.index(SEP) + 1
        assert segments == [0] * boundary + [1] * (len(ids) - boundary)
        assert (ids[0], ids[-1], ids.count(SEP)) == (CLS, SEP, 2)


def test_rows_that_were_cut_are_counted_and_one_that_just_fits_is_not(folder: Path) -> None:
    lengths = [len(ids) for ids in encode(SINGLE, ["sentence"], folder, max_length=100).input_ids]
    for max_length in (min(lengths) - 1, *lengths, 100):
        rows = encode(SINGLE, ["sentence"], folder, max_length=max_length)
        assert rows.num_truncated == sum(length > max_length for length in lengths)
        assert [len(ids) for ids in rows.input_ids] == [min(length, max_length) for length in lengths]


def test_the_longer_sentence_of_a_pair_is_cut_first(folder: Path) -> None:
    rows = encode(PAIR, ["first", "second"], folder, max_length=9)
    short = encode(PAIR, ["first"], folder, max_length=100).input_ids[1]
    assert rows.input_ids[1][: len(short)] == short


def test_labels_keep_their_type(folder: Path) -> None:
    assert encode(SINGLE, ["sentence"], folder, max_length=9).labels.dtype == torch.int64
    scores = encode(PAIR, ["first", "second"], folder, max_length=9).labels
    assert (scores.dtype, scores.tolist()) == (torch.float32, [0.5, 4.75])


def test_a_tokenizer_saved_with_padding_and_truncation_gives_the_same_rows(folder: Path) -> None:
    """As the Hub's all-MiniLM, which pads everything to 128 tokens."""
    before = encode(SINGLE, ["sentence"], folder, max_length=17)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(folder / "tokenizer.json"))
    after = encode(SINGLE, ["sentence"], folder, max_length=17)
    assert (after.input_ids, after.num_truncated) == (before.input_ids, before.num_truncated)


def test_a_tokenizer_without_a_padding_is_refused(tmp_path: Path) -> None:
    vocabulary = {"<s>": 0, "[UNK]": 1}
    Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"none of \[PAD\], <pad> is in tokenizer\.json; name the token"):
        encode(SINGLE, ["sentence"], tmp_path, max_length=9)


def test_a_batch_is_padded_with_zeros_to_its_own_longest_row() -> None:
    batch = numbered(9).batch([1, 4, 0])
    assert batch["input_ids"].tolist() == [[2, 2, 0, 0, 0], [5, 5, 5, 5, 5], [1, 0, 0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]
    assert batch["labels"].tolist() == [1, 4, 0]
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
    assert numbered(9).batch([0, 5])["input_ids"].shape == (2, 1)


@given(st.integers(1, 40), st.integers(1, 12))
def test_batches_are_all_rows_once_in_order(num_rows: int, batch_size: int) -> None:
    batches = list(numbered(num_rows).batches(batch_size))
    assert [label for batch in batches for label in batch["labels"].tolist()] == list(range(num_rows))
    assert all(len(batch["labels"]) == batch_size for batch in batches[:-1])


def epochs(
    num_rows: int, batch_size: int, seed: int, num_epochs: int, bucket_batches: int = 1
) -> list[list[int]]:
    """The labels met in each epoch."""
    per_epoch = -(-num_rows // batch_size)
    batches = numbered(num_rows).shuffled(batch_size, seed=seed, bucket_batches=bucket_batches)
    return [
        [label for i in range(per_epoch) for label in batches(epoch * per_epoch + i + 1)["labels"].tolist()]
        for epoch in range(num_epochs)
    ]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_each_epoch_is_a_permutation_and_the_seed_repeats_them(
    num_rows: int, batch_size: int, seed: int, bucket_batches: int
) -> None:
    found = epochs(num_rows, batch_size, seed, 3, bucket_batches)
    assert all(sorted(epoch) == list(range(num_rows)) for epoch in found)
    assert epochs(num_rows, batch_size, seed, 3, bucket_batches) == found


def test_buckets_of_several_batches_are_padded_less_and_come_in_no_order_of_length() -> None:
    plain, bucketed = (numbered(200).shuffled(8, seed=0, bucket_batches=number) for number in (1, 8))
    widths = [[batches(step)["input_ids"].shape[1] for step in range(1, 26)] for batches in (plain, bucketed)]
    assert sum(widths[1]) < 0.75 * sum(widths[0])
    assert widths[1] != sorted(widths[1])


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first, second = epochs(50, 8, 0, 2)
    assert first != second
    assert epochs(50, 8, 1, 1) != [first]


def test_the_order_is_not_drawn_from_a_global_generator() -> None:
    np.random.seed(1)
    torch.manual_seed(1)
    first = epochs(50, 8, 0, 1)
    np.random.seed(2)
    torch.manual_seed(2)
    assert epochs(50, 8, 0, 1) == first


@given(
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(1, 4),
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
)
def test_the_batch_of_a_step_does_not_depend_on_the_batches_asked_for_before(
    num_rows: int, batch_size: int, bucket_batches: int, steps: list[int]
) -> None:
    """What a resumed training needs."""
    asked = numbered(num_rows).shuffled(batch_size, seed=3, bucket_batches=bucket_batches)
    for step in steps:
        alone = numbered(num_rows).shuffled(batch_size, seed=3, bucket_batches=bucket_batches)(step)
        assert torch.equal(asked(step)["labels"], alone["labels"])
