"""Masked-language modelling on the demo's corpus: which words are hidden, the tokenizer, the model left."""

import random
from pathlib import Path

import pytest
import torch
from made_up import params
from transformers import AutoTokenizer, BertForMaskedLM

from bitladder.modeling import checkpoint
from pipeline.data import demo
from pipeline.params import Generator, Params
from pipeline.training.pretrain import (
    MASKED_SHARE,
    SPECIAL,
    bert_config,
    mask_words,
    pretrain,
    word_tokenizer,
    write_tokenizer,
)

CORPUS = demo.generate(Generator(train_rows=2, validation_rows=10, corpus_rows=200), seed=0).corpus
MASK = SPECIAL.index("[MASK]")
VOCABULARY = 60
SHORT = ("budget.pretraining.steps=3", "training.pretraining.batch_size=16", "budget.evaluations=1")


@pytest.fixture
def short(tmp_path: Path) -> Params:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return params(tmp_path, *SHORT, *(f"model.architecture.{name}={size}" for name, size in sizes.items()))


def masked() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, what is read in their place and the labels: [400, 50], a fifth of them special tokens."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(len(SPECIAL), VOCABULARY, (400, 50), generator=generator)
    ids[:, ::5] = torch.arange(10).remainder(len(SPECIAL))
    hidden, labels = mask_words(ids, MASK, VOCABULARY, generator)
    return ids, hidden, labels


def test_only_words_are_chosen_and_their_ids_are_the_labels() -> None:
    ids, hidden, labels = masked()
    chosen = labels != -100
    assert (ids[chosen] >= len(SPECIAL)).all()
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(hidden[~chosen], ids[~chosen])


def test_the_shares_are_berts() -> None:
    ids, hidden, labels = masked()
    chosen = labels != -100
    num_words, num_chosen = int((ids >= len(SPECIAL)).sum()), int(chosen.sum())
    # Shares of 16 000 words and of 3 200 chosen ones: three deviations are 1 % and 2 %.
    assert num_chosen / num_words == pytest.approx(MASKED_SHARE, abs=0.01)
    assert float((hidden[chosen] == MASK).float().mean()) == pytest.approx(0.8, abs=0.02)
    other = (hidden[chosen] != MASK) & (hidden[chosen] != ids[chosen])
    assert float(other.float().mean()) == pytest.approx(0.1, abs=0.02)
    assert (hidden[chosen] >= MASK).all(), "no special token stands in a word's place but the mask"


def test_the_generator_decides_which() -> None:
    ids = masked()[0]
    first, again, other = (
        mask_words(ids, MASK, VOCABULARY, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


def test_every_word_of_the_corpus_is_one_token_and_any_other_is_spelt() -> None:
    tokenizer = word_tokenizer(CORPUS)
    words = sorted({word for text in CORPUS for word in text.split()})
    assert [tokenizer.encode(word).tokens[1:-1] for word in words] == [[word] for word in words]
    assert tokenizer.encode("zyx").tokens == ["[CLS]", "z", "##y", "##x", "[SEP]"]
    assert [tokenizer.token_to_id(token) for token in SPECIAL] == [0, 1, 2, 3, 4]


def test_the_order_of_the_corpus_changes_no_token() -> None:
    shuffled = random.Random(0).sample(CORPUS, len(CORPUS))
    assert word_tokenizer(shuffled).get_vocab() == word_tokenizer(CORPUS).get_vocab()


def test_transformers_reads_the_tokenizer_as_it_was(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(CORPUS)
    write_tokenizer(tmp_path, tokenizer, max_length=32)
    theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert theirs(CORPUS[:20])["input_ids"] == [found.ids for found in tokenizer.encode_batch(CORPUS[:20])]
    assert (theirs.model_max_length, theirs.pad_token_id, theirs.mask_token_id) == (32, 0, MASK)
    lines = (tmp_path / "vocab.txt").read_text().splitlines()
    assert [tokenizer.token_to_id(token) for token in lines] == list(range(len(lines)))


def test_the_model_learns_and_is_whole_for_transformers(short: Params, tmp_path: Path) -> None:
    model, _, fitted = pretrain(short, CORPUS)
    assert (fitted.num_steps, fitted.best_step) == (3, 3)
    assert [(point.step, point.score) for point in fitted.curve] == [(1, None), (2, None), (3, None)]
    assert fitted.curve[-1].loss < fitted.curve[0].loss
    checkpoint.save(tmp_path, model, model.config, tokenizer_from=tmp_path)
    _, report = BertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report


def test_the_same_seed_gives_the_same_model(short: Params) -> None:
    first, again = (pretrain(short, CORPUS)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_shape_is_the_architecture_asked_for(short: Params) -> None:
    assert short.model.architecture is not None
    config = bert_config(short.model.architecture, 99, dropout=0.25)
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (16, 1, 99)
    assert config.initializer_range == short.model.architecture.initializer_range
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.25
