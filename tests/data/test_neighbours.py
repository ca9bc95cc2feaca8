"""Nearest words by the embedding table: hand-worked, then against a plain search."""

from pathlib import Path

import made_tokenizers
import made_up
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from pipeline.data.neighbours import NUM_NEIGHBOURS, Neighbours, has_masked_lm_head, read_embeddings
from pipeline.data.words import ending, is_content_word, split_edges

ROWS = {
    "river": (1.0, 0.0),
    "stream": (0.9, 0.1),
    "lake": (0.7, 0.7),
    "table": (-1.0, 0.0),
    "rivers": (1.0, 0.01),
    "streams": (0.8, 0.2),
    "the": (1.0, 0.0),
    "##er": (1.0, 0.0),
}


def neighbours(*texts: str) -> Neighbours:
    return Neighbours(list(ROWS), np.array(list(ROWS.values()), np.float32), texts)


def test_neighbours_come_nearest_first_with_the_same_ending_and_without_function_words() -> None:
    assert neighbours("the river").predict("river") == ["stream", "lake", "table"]
    assert neighbours("rivers flow").predict("rivers") == ["streams"]


def test_capitals_and_punctuation_are_kept() -> None:
    assert neighbours("(Rivers, LAKE.").predict("(Rivers,") == ["(Streams,"]
    assert neighbours("(Rivers, LAKE.").predict("LAKE.")[0] == "STREAM."


@pytest.mark.parametrize("token", ["the", "##er", "unheard", "can't", "42", "", "."])
def test_a_token_without_neighbours_is_not_in_the_vocabulary(token: str) -> None:
    assert token not in neighbours(f"the river {token}").get_vocab()


def test_a_word_alone_with_its_ending_has_no_neighbours() -> None:
    made = Neighbours(["river", "slowly"], np.eye(2, dtype=np.float32), ["river slowly"])
    assert "slowly" not in made
    assert "river" not in made


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_the_search_finds_what_comparing_with_every_word_finds(seed: int, num_words: int) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [letters[i // 26] + letters[i % 26] + "o" for i in range(num_words)]
    table = np.random.default_rng(seed).normal(size=(num_words, 4)).astype(np.float32)
    made = Neighbours(words, table, [" ".join(words)])
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    for row, word in enumerate(words):
        if word in made:
            near = [words.index(other) for other in made.predict(word)]
            far = [other for other in range(num_words) if other not in (row, *near)]
            assert row not in near
            assert len(near) <= NUM_NEIGHBOURS
            cosine = unit @ unit[row]
            # Two sums of four products in another order.
            assert np.all(np.diff(cosine[near]) <= 1e-6)
            kind = [i for i in far if ending(words[i]) == ending(word) and is_content_word(words[i])]
            assert len(near) == NUM_NEIGHBOURS or not kind
            assert not kind or cosine[kind].max() <= cosine[near].min() + 1e-6


@pytest.mark.parametrize("masked_lm", [True, False])
def test_a_folder_gives_its_table_and_says_whether_it_has_a_head(tmp_path: Path, masked_lm: bool) -> None:
    from safetensors.numpy import load_file

    folder = made_up.bert(tmp_path / "bert", masked_lm=masked_lm)
    words, table = read_embeddings(folder)
    prefix = "bert." if masked_lm else ""
    stored = load_file(folder / "model.safetensors")[f"{prefix}embeddings.word_embeddings.weight"]
    assert np.array_equal(table, stored)
    assert words[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert has_masked_lm_head(folder) is masked_lm


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = made_up.bert(tmp_path / "bert")
    save_file({"classifier.weight": np.zeros((2, 2), np.float32)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"no tensor ends in embeddings\.word_embeddings\.weight"):
        read_embeddings(folder)


def test_every_word_of_the_made_up_data_has_neighbours(tmp_path: Path) -> None:
    words, table = read_embeddings(made_up.bert(tmp_path / "bert"))
    text = " ".join(made_up.rows("cola", 50, seed=0)["sentence"])
    made = Neighbours(words, table, [text])
    content = [token for token in text.split() if is_content_word(split_edges(token)[1])]
    assert content
    assert all(token in made for token in content)


@pytest.mark.parametrize("kind", ["byte_level", "unigram"])
def test_words_of_other_tokenizers_are_known_and_pieces_are_not(tmp_path: Path, kind: str) -> None:
    """Whole words begin with the space before them; what does not is a piece of one."""
    own = ("garden", "river", "teacher", "zwölf")
    if kind == "unigram":
        scored = [("<pad>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -1.0) for word in own), ("er", -2.0)]
        tokenizer = Tokenizer(models.Unigram(scored, unk_id=1))
    else:
        tokenizer = made_tokenizers.byte_level([f"the {word} and the {word}" for word in own] * 9)
    made_tokenizers.write(tmp_path, tokenizer, kind="PreTrainedTokenizerFast")
    size = tokenizer.get_vocab_size()
    save_file(
        {"bert.embeddings.word_embeddings.weight": torch.arange(size)[:, None].float()},
        tmp_path / "model.safetensors",
    )
    words, vectors = read_embeddings(tmp_path)
    assert len(words) == len(vectors) == size
    assert {"garden", "river", "teacher"} <= set(words)
    assert ("zwölf" in words) == (kind == "unigram")  # bytes spell no letter beyond ASCII
    [row] = vectors[words.index("river")]
    space = "Ġ" if kind == "byte_level" else "▁"
    assert row == tokenizer.token_to_id(f"{space}river")
