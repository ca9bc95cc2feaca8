"""What is tokenized without transformers is what transformers makes of it, and needs neither it nor torch."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_rung import NOUNS, VERBS, write_tokenizer
from tiny_rung import WORDS as WORDS_OF_BERT
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertConfig

from bitladder.text import tokens
from bitladder.text.cutting import OUTSIDE, cut
from bitladder.text.tokens import padded, read_tokenizer, tokenize

ROOT = Path(__file__).parents[2]
WORDS = [*NOUNS, *VERBS, "the", "dogs", ".", "Dog", "café", "\u200b", "\x00", "漢字", "don't", "[SEP]", "  "]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(made)
    whole = Tokenizer.from_file(str(made / "tokenizer.json"))  # real ones know special tokens in texts
    whole.add_special_tokens(WORDS_OF_BERT[:5])
    whole.save(str(made / "tokenizer.json"))
    BertConfig().save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def theirs(folder: Path) -> object:
    return AutoTokenizer.from_pretrained(folder)


@given(texts=TEXTS, are_pairs=st.booleans(), max_length=st.integers(5, 17), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_batch_is_transformers_own(  # type: ignore[no-untyped-def]
    folder: Path, theirs, texts: list[str], are_pairs: bool, max_length: int, data: st.DataObject
) -> None:
    pairs = (
        [data.draw(st.sampled_from(WORDS)) + " " + text for text in reversed(texts)] if are_pairs else None
    )
    ours = tokenize(texts, pairs, folder, max_length=max_length)
    wanted = theirs(texts, pairs, padding=True, truncation=True, max_length=max_length, return_tensors="np")
    for name, values in ours.batch(range(len(texts))).items():
        np.testing.assert_array_equal(values, wanted[name], err_msg=name)


@given(texts=TEXTS, data=st.data())
@settings(max_examples=40, deadline=None)
def test_windows_are_transformers_own(  # type: ignore[no-untyped-def]
    folder: Path, theirs, texts: list[str], data: st.DataObject
) -> None:
    questions = [" ".join(data.draw(st.lists(st.sampled_from(NOUNS), min_size=1, max_size=4))) for _ in texts]
    ours = cut(questions, texts, folder, max_length=12, doc_stride=2, max_question_length=4)
    options = {"max_length": 12, "stride": 2, "return_overflowing_tokens": True}
    wanted = theirs(questions, texts, truncation="only_second", return_offsets_mapping=True, **options)
    assert ours.tokens.input_ids == wanted["input_ids"]
    assert ours.tokens.token_type_ids == wanted["token_type_ids"]
    assert ours.question_of == wanted["overflow_to_sample_mapping"]
    for number, (own, offsets) in enumerate(zip(ours.offsets, wanted["offset_mapping"], strict=True)):
        is_context = [one == 1 for one in wanted.sequence_ids(number)]
        np.testing.assert_array_equal(own[is_context], np.array(offsets)[is_context].reshape(-1, 2))
        assert (own[[not one for one in is_context]] == OUTSIDE).all()


@pytest.mark.parametrize("written", [None, "", "{}", '{"model": 1}'])
def test_a_tokenizer_that_is_none_is_named(tmp_path: Path, written: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if written is not None:
        path.write_text(written)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: .+; a tokenizer"):
        read_tokenizer(tmp_path)


def test_batches_are_padded_to_their_longest() -> None:
    assert padded([[7], [8, 9, 6]]).tolist() == [[7, 0, 0], [8, 9, 6]]


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from bitladder.text import cutting, spans, tokens;"
        "print([name for name in ('torch', 'transformers', 'pandas', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_rows_that_are_tokenized_part_by_part_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tokenizer(tmp_path)
    texts = [" ".join([*NOUNS, *VERBS][: number % 7 + 1]) for number in range(9)]
    for pairs in (None, texts[::-1]):
        whole = tokenize(texts, pairs, tmp_path, max_length=6)
        assert whole.num_truncated > 0
        monkeypatch.setattr(tokens, "AT_ONCE", 2)
        assert tokenize(texts, pairs, tmp_path, max_length=6) == whole
        monkeypatch.undo()
