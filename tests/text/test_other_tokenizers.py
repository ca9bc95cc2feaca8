"""Tokenizers other than WordPiece: padding, pairs and answers come from what the tokenizer itself says."""

from collections.abc import Callable
from pathlib import Path

import made_tokenizers
import pytest
from made_tokenizers import TEXTS
from tokenizers import Tokenizer

from bitladder import files
from bitladder.text.cutting import OUTSIDE, cut
from bitladder.text.tokens import padding_id, read_tokenizer, tokenize

KINDS: dict[str, Callable[[], Tokenizer]] = {
    "byte-level BPE": made_tokenizers.byte_level,
    "Unigram": made_tokenizers.unigram,
    "WordPiece": made_tokenizers.word_piece,
}
LENGTHS = {"max_length": 24, "doc_stride": 4, "max_question_length": 8}


@pytest.fixture(params=KINDS)
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return made_tokenizers.write(tmp_path, KINDS[request.param](), kind="PreTrainedTokenizerFast")


def test_rows_are_padded_with_the_tokenizers_own_padding(folder: Path) -> None:
    tokenizer = read_tokenizer(folder)
    batch = tokenize(["The dog", TEXTS[0]], None, folder, max_length=40).batch([0, 1])
    padding = tokenizer.token_to_id("<pad>") or tokenizer.token_to_id("[PAD]")
    is_padding = batch["attention_mask"] == 0
    assert is_padding.any()
    assert (batch["input_ids"][is_padding] == padding).all()
    assert (batch["input_ids"][~is_padding] != padding).all()


def test_every_window_reads_the_question_and_a_piece_of_the_context(folder: Path) -> None:
    context = " ".join(TEXTS)
    pieces = cut(["Who hears the dog?"], [context], folder, **LENGTHS)
    covered = set[int]()
    for ids, offsets in zip(pieces.tokens.input_ids, pieces.offsets, strict=True):
        assert len(ids) <= LENGTHS["max_length"]
        own = offsets[offsets[:, 0] != OUTSIDE]
        covered |= {place for first, after in own.tolist() for place in range(first, after)}
    assert len(pieces.offsets) > 1
    assert covered == {place for place, letter in enumerate(context) if not letter.isspace()}


def test_a_token_covers_no_space_around_its_word(folder: Path) -> None:
    [context] = [TEXTS[0]]
    pieces = cut(["Who?"], [context], folder, max_length=60, doc_stride=4, max_question_length=8)
    for first, after in pieces.offsets[0].tolist():
        assert context[first:after] == context[first:after].strip()


def test_a_window_holds_as_many_special_tokens_as_the_tokenizer_puts_in(tmp_path: Path) -> None:
    """A RoBERTa has two between question and context: with 13 tokens nothing is left where BERT has room."""
    bpe = made_tokenizers.write(tmp_path / "bpe", made_tokenizers.byte_level(), kind="RobertaTokenizer")
    pieces = made_tokenizers.write(tmp_path / "pieces", made_tokenizers.word_piece(), kind="BertTokenizer")
    lengths = {"max_length": 16, "doc_stride": 4, "max_question_length": 8}
    with pytest.raises(ValueError, match=r"max_length: 16 tokens hold no window: .* special tokens 4"):
        cut(["Who?"], TEXTS[:1], bpe, **lengths)
    assert cut(["Who?"], TEXTS[:1], pieces, **lengths).offsets


@pytest.mark.parametrize("named", ["<mask>", {"content": "<mask>", "special": True}])
def test_the_settings_say_which_token_pads(tmp_path: Path, named: object) -> None:
    folder = made_tokenizers.write(
        tmp_path, made_tokenizers.byte_level(), kind="RobertaTokenizer", pad_token=named
    )
    assert padding_id(folder, read_tokenizer(folder)) == 4


@pytest.mark.parametrize(("named", "said"), [("[PAD]", "its pad_token '[PAD]' is not in tokenizer.json")])
def test_a_padding_that_the_tokenizer_lacks_is_refused(tmp_path: Path, named: str, said: str) -> None:
    folder = made_tokenizers.write(
        tmp_path, made_tokenizers.byte_level(), kind="RobertaTokenizer", pad_token=named
    )
    with pytest.raises(ValueError, match=said.replace("[", r"\[").replace("]", r"\]")):
        padding_id(folder, read_tokenizer(folder))


def test_settings_are_not_needed_where_the_padding_has_a_usual_name(tmp_path: Path) -> None:
    folder = made_tokenizers.write(tmp_path, made_tokenizers.byte_level(), kind="RobertaTokenizer")
    files.write_json(folder / "tokenizer_config.json", {})
    assert padding_id(folder, read_tokenizer(folder)) == 1
