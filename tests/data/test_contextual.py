"""Words proposed by a masked-language model: batched, strict, and nothing of the text rewritten."""

from pathlib import Path

import made_up
import pytest
import torch

from pipeline.data import contextual
from pipeline.data.augmentation import SHARD_ROWS, seeded
from pipeline.data.contextual import ContextualWordEmbsAug
from pipeline.data.words import LeftAlone, ending, split_edges

TEXTS = [
    "The river can't be opened (quickly).",
    "Naïve \u2603 teachers, walking -- RIVERS 1999 U.S.",
    "a lake",
    "The   doctor\twatched the garden of a sailor and the table in the house of the farmer.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up.bert(tmp_path_factory.mktemp("models") / "pretrained")


def augmenter(folder: Path, word_fraction: float = 0.5) -> ContextualWordEmbsAug:
    return ContextualWordEmbsAug(folder, word_fraction=word_fraction, device="cpu", batch_size=SHARD_ROWS)


@pytest.mark.parametrize("seed", range(5))
def test_only_chosen_words_change_and_keep_their_punctuation_capitals_and_ending(
    folder: Path, seed: int
) -> None:
    with seeded(seed):
        varied = augmenter(folder).augment(TEXTS)
    for text, other in zip(TEXTS, varied, strict=True):
        assert len(text.split()) == len(other.split())
        for token, new in zip(text.split(), other.split(), strict=True):
            (before, word, after), (new_before, new_word, new_after) = split_edges(token), split_edges(new)
            assert (before, after) == (new_before, new_after)
            if token in LeftAlone():
                assert new == token
            elif new != token:
                assert ending(word) == ending(new_word)
                assert word[0].isupper() == new_word[0].isupper()
                assert new_word.lower() in made_up.WORDS


def test_every_text_with_a_content_word_changes(folder: Path) -> None:
    with seeded(0):
        varied = augmenter(folder).augment(TEXTS)
    assert all(other.split() != text.split() for text, other in zip(TEXTS, varied, strict=True))


def test_a_text_of_function_words_stays(folder: Path) -> None:
    with seeded(0):
        assert augmenter(folder).augment(["not the one of a", "never 42 can't ."]) == [
            "not the one of a",
            "never 42 can't .",
        ]


def test_the_share_of_words_is_rounded_up(folder: Path) -> None:
    text = " ".join(["river"] * 10)
    with seeded(0):
        (varied,) = augmenter(folder, word_fraction=0.25).augment([text])
    assert sum(word != "river" for word in varied.split()) == 3


def test_one_forward_pass_serves_a_batch(folder: Path) -> None:
    made = augmenter(folder)
    shapes = []
    made.model.model.bert.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape))
    with seeded(0):
        made.augment(TEXTS * 16)
    assert len(shapes) == 1
    assert shapes[0][0] == 64


def test_a_masked_word_has_the_same_scores_beside_long_and_short_sentences(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nlpaug attends to padding."""
    model = augmenter(folder).model
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(model, "_draw", lambda logits, words: seen.append(logits) or words)
    model.predict(["the [MASK] of the lake"], [["river"]])
    model.predict(["the [MASK] of the lake", "the [MASK] " * 8], [["river"], ["table"] * 8])
    # float32 sums in another order.
    torch.testing.assert_close(seen[1][0], seen[0][0], rtol=1e-4, atol=1e-5)


def test_the_likeliest_word_of_the_model_is_proposed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer, BertForMaskedLM

    monkeypatch.setattr(contextual, "NUM_CANDIDATES", 1)
    tokenizer, plain = AutoTokenizer.from_pretrained(folder), BertForMaskedLM.from_pretrained(folder)
    batch = tokenizer("the [MASK] of a lake", return_tensors="pt")
    with torch.inference_mode():
        scores = plain(**batch).logits[0, 2]
    nouns = [word for word in made_up.WORDS if ending(word) == "s" and word != "rivers"]
    likeliest = max(nouns, key=lambda word: scores[tokenizer.convert_tokens_to_ids(word)].item())
    assert augmenter(folder).model.predict(["the [MASK] of a lake"], [["Rivers"]]) == [
        [likeliest.capitalize()]
    ]


def test_a_mask_that_the_text_spells_out_is_not_filled(folder: Path) -> None:
    with seeded(0):
        (varied,) = augmenter(folder, word_fraction=0.1).augment(["42 [MASK]s the not river"])
    assert "[MASK]s" in varied or "river" in varied
    assert len(varied.split()) == 5


def test_words_past_the_longest_input_stay(folder: Path) -> None:
    text = " ".join(["river"] * 100)
    with seeded(0):
        (varied,) = augmenter(folder, word_fraction=1.0).augment([text])
    changed = [word != "river" for word in varied.split()]
    # 32 positions, two of them [CLS] and [SEP].
    assert changed == [True] * 30 + [False] * 70


def test_two_folders_of_one_name_are_two_models(folder: Path, tmp_path: Path) -> None:
    other = made_up.bert(tmp_path / folder.name, seed=1)
    first, second = augmenter(folder), augmenter(other)
    key = "cls.predictions.transform.dense.weight"
    assert not torch.equal(first.model.model.state_dict()[key], second.model.model.state_dict()[key])


def test_a_folder_without_a_head_is_refused_not_drawn_at_random(tmp_path: Path) -> None:
    headless = made_up.bert(tmp_path / "bert", masked_lm=False)
    with pytest.raises(ValueError, match=r"no complete masked-LM head .*cls\.predictions\.transform"):
        augmenter(headless)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_leaves_the_same_words_alone_and_draws_from_the_cpus_generator(folder: Path) -> None:
    made = ContextualWordEmbsAug(folder, word_fraction=0.5, device="cuda", batch_size=SHARD_ROWS)
    with seeded(0):
        first = made.augment(TEXTS)
    with seeded(0):
        assert made.augment(TEXTS) == first
    assert [len(text.split()) for text in first] == [len(text.split()) for text in TEXTS]
