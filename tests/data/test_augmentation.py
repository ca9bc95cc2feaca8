"""Augmented rows: the same for the same seed, labels kept, one sentence at a time, every drop counted."""

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.augmentation import METHODS, Counts, Method, Vary, augment, augmenters
from pipeline.data.splits import text_keys

LIGHT: tuple[Method, ...] = ("swap", "delete", "spelling")
COLUMNS = {"cola": ["sentence"], "stsb": ["sentence1", "sentence2"], "mnli": ["premise", "hypothesis"]}


@pytest.fixture(scope="module")
def vary(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Method, Vary]:
    folder = made_up.bert(tmp_path_factory.mktemp("models") / "pretrained")
    texts = [
        text for task in COLUMNS for column in COLUMNS[task] for text in made_up.rows(task, 40, 1)[column]
    ]
    return augmenters(METHODS, folder=folder, word_fraction=0.3, texts=texts, device="cpu")


def run(
    vary: Mapping[Method, Vary], task: str, copies: Mapping[Method, int], **options: Any
) -> tuple[pd.DataFrame, pd.DataFrame, dict[Method, Counts]]:
    train = made_up.rows(task, 40, seed=1)
    rows, counts = augment(
        train, sentence_columns=COLUMNS[task], copies=copies, vary=vary, **{"seed": 0, **options}
    )
    return train, rows, counts


every_method = st.fixed_dictionaries({method: st.integers(0, 2) for method in METHODS})


@settings(max_examples=20)
@given(task=st.sampled_from(list(COLUMNS)), copies=every_method, seed=st.integers(0, 2**32 - 1))
def test_originals_stand_first_and_new_rows_keep_label_and_index(
    vary: Mapping[Method, Vary], task: str, copies: dict[Method, int], seed: int
) -> None:
    train, rows, counts = run(vary, task, copies, seed=seed)
    originals, new = rows.iloc[: len(train)], rows.iloc[len(train) :]
    pd.testing.assert_frame_equal(originals.drop(columns="origin"), train)
    assert (originals["origin"] == "original").all()
    assert new["label"].tolist() == train["label"].iloc[new["idx"]].tolist()
    for method in METHODS:
        count = counts[method]
        assert count.asked == copies[method] * len(train)
        assert count.asked == count.kept + count.unchanged + count.duplicate + count.held_out
        assert count.kept == (new["origin"] == method).sum()
    assert rows.dtypes.drop("origin").equals(train.dtypes)


@settings(max_examples=20)
@given(task=st.sampled_from(list(COLUMNS)), copies=every_method)
def test_no_row_repeats_another(vary: Mapping[Method, Vary], task: str, copies: dict[Method, int]) -> None:
    _, rows, _ = run(vary, task, copies)
    keys = text_keys(rows, COLUMNS[task])
    assert len(set(keys)) == len(keys)
    assert all(text.strip() for column in COLUMNS[task] for text in rows[column])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", ["stsb", "mnli"])
def test_a_new_pair_has_one_sentence_of_its_original_and_both_take_their_turn(
    vary: Mapping[Method, Vary], task: str, method: Method
) -> None:
    """TinyBERT leaves its last variant of the first sentence in the row when it varies the second."""
    train, rows, _ = run(vary, task, {method: 2})
    new = rows.iloc[len(train) :]
    first, second = COLUMNS[task]
    one, two = ((new[name].to_numpy() == train[name].iloc[new["idx"]].to_numpy()) for name in (first, second))
    assert (one ^ two).all()
    assert 0.3 < one.mean() < 0.7


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_rows_and_another_seed_others(
    vary: Mapping[Method, Vary], method: Method
) -> None:
    _, first, counts = run(vary, "cola", {method: 2}, seed=5)
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    _, again, counts_again = run(vary, "cola", {method: 2}, seed=5)
    _, other, _ = run(vary, "cola", {method: 2}, seed=6)
    pd.testing.assert_frame_equal(first, again)
    assert counts == counts_again
    assert not first.equals(other)


@pytest.mark.parametrize("method", METHODS)
def test_the_global_generators_are_left_as_they_were(vary: Mapping[Method, Vary], method: Method) -> None:
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    wanted = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    run(vary, "cola", {method: 1})
    assert (random.random(), np.random.random(), torch.rand(1).item()) == wanted


def test_two_copies_are_two_variants(vary: Mapping[Method, Vary]) -> None:
    train, _, counts = run(vary, "cola", {"contextual": 2})
    assert counts["contextual"].kept > 1.8 * len(train)


@pytest.mark.parametrize("max_rows", [1, 17, 10_000])
def test_a_cap_draws_from_all_that_was_asked_for(vary: Mapping[Method, Vary], max_rows: int) -> None:
    copies: dict[Method, int] = dict.fromkeys(METHODS, 1)
    _, rows, counts = run(vary, "cola", copies, max_rows=max_rows)
    _, again, _ = run(vary, "cola", copies, max_rows=max_rows)
    assert sum(count.asked for count in counts.values()) == min(max_rows, 40 * len(METHODS))
    pd.testing.assert_frame_equal(rows, again)


def test_rows_of_the_splits_that_judge_are_dropped_and_counted(vary: Mapping[Method, Vary]) -> None:
    train, rows, _ = run(vary, "cola", {"swap": 1})
    judged = set(text_keys(rows.iloc[len(train) :].iloc[:5], ["sentence"]))
    _, without, counts = run(vary, "cola", {"swap": 1}, held_out=judged)
    assert counts["swap"].held_out == 5
    assert not judged & set(text_keys(without, ["sentence"]))


def test_what_becomes_of_each_row_by_hand() -> None:
    train = pd.DataFrame({"sentence": ["a", "b", "c", "d", "e"], "label": [0, 1, 0, 1, 0], "idx": range(5)})
    variants = {"a": "A", "b": "x", "c": "x", "d": "e", "e": "judged"}

    def by_hand(texts: list[str]) -> list[str]:
        return [variants[text] for text in texts]

    rows, counts = augment(
        train,
        sentence_columns=["sentence"],
        copies={"swap": 1},
        vary={"swap": by_hand},
        seed=0,
        held_out=text_keys(pd.DataFrame({"sentence": ["Judged"]}), ["sentence"]),
    )
    assert counts["swap"] == Counts(asked=5, kept=1, unchanged=1, duplicate=2, held_out=1)
    assert counts["swap"].share_changed == 0.8
    assert rows.iloc[5:].to_dict("records") == [{"sentence": "x", "label": 1, "idx": 1, "origin": "swap"}]


def test_nothing_asked_for_gives_the_originals(vary: Mapping[Method, Vary]) -> None:
    train, rows, counts = run(vary, "cola", {})
    pd.testing.assert_frame_equal(rows.drop(columns="origin"), train)
    assert all(count == Counts() and count.share_changed is None for count in counts.values())


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), min_size=1, max_size=4))
def test_any_text_survives_every_method(vary: Mapping[Method, Vary], texts: list[str]) -> None:
    for method in METHODS:
        varied = vary[method](texts)
        assert len(varied) == len(texts)
        assert all(isinstance(text, str) and text.strip() for text in varied)


@pytest.mark.parametrize("method", METHODS)
def test_contractions_and_abbreviations_are_not_torn(vary: Mapping[Method, Vary], method: Method) -> None:
    """nlpaug's own tokenizer makes "can ' t" and "U. S." of these."""
    (varied,) = vary[method](["the river can't cross the U.S. garden of 1,000 teachers"])
    assert {"can't", "U.S.", "1,000"} <= set(varied.split())


@pytest.mark.slow
def test_misspellings_do_not_depend_on_the_process() -> None:
    """nlpaug reads its dictionary through sets of strings, whose order is another in every process."""
    code = (
        "from pathlib import Path\n"
        "from pipeline.data.augmentation import augmenters, seeded\n"
        "made = augmenters(['spelling'], folder=Path(), word_fraction=1.0, texts=[], device='cpu')\n"
        "with seeded(0):\n"
        "    print(made['spelling'](['because their beautiful definition believes separate government'] * 5))"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert "believes separate government" not in outputs[0]


def test_misspellings_are_words_and_go_one_way_only() -> None:
    import nlpaug.augmenter.word as naw

    naw.SpellingAug(include_reverse=True)  # leaves its dictionary in nlpaug's cache
    vary = augmenters(["spelling"], folder=Path(), word_fraction=1.0, texts=[], device="cpu")["spelling"]
    seen = {word for _ in range(200) for word in vary(["like additional definitely"])[0].split()}
    assert "luck" not in seen
    assert all(word.isalpha() for word in seen)
