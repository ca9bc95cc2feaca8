"""The generated task: the same twice, balanced, opaque to a bag of words, with words and structure held out.

Whether a sentence is acceptable is decided here anew, from its words alone.
"""

import re
from collections import Counter, defaultdict

import pandas as pd
import pytest
from made_up import CONF
from ruamel.yaml import YAML

from pipeline.data import demo
from pipeline.params import Generator

SIZES = Generator(**YAML(typ="safe").load((CONF / "task" / "demo.yaml").read_text())["task"]["generator"])
SMALL = Generator(train_rows=60, validation_rows=20, corpus_rows=30)
# By the tags of a sentence without determiners, adjectives and adverbs: each verb's subject, by its number.
SUBJECTS = {
    "NPNI": [0],
    "NPNTN": [0],
    "NPNI&NI": [0, 2],
    "NI&NPNI": [0, 1],
    "NRNPNTI": [1, 0],
    "NRNTIPN": [1, 0],
    "NPNRNTI": [2, 0],
    "NI": [0],
    "NTN": [0],
}
TAGS = {
    **{form: "N" for noun in demo.NOUNS for form in (noun, f"{noun}s")},
    **{form: "T" for verb in demo.TRANSITIVE for form in (verb, f"{verb}s")},
    **{form: "I" for verb in demo.INTRANSITIVE for form in (verb, f"{verb}s")},
    **dict.fromkeys(demo.PREPOSITIONS, "P"),
    "that": "R",
    "and": "&",
    **dict.fromkeys([*demo.ADJECTIVES, *demo.ADVERBS, "the", "this", "these"], ""),
}


@pytest.fixture(scope="module")
def data() -> demo.DemoData:
    return demo.generate(SIZES, seed=0)


def tags(sentence: str) -> str:
    return "".join(TAGS[word] for word in sentence.split())


def wrong_verbs(sentence: str) -> int:
    """How many verbs disagree with their subject."""
    words = [word for word in sentence.split() if TAGS[word]]
    nouns = [word for word in words if TAGS[word] == "N"]
    verbs = [word for word in words if TAGS[word] in "TI"]
    subjects = [nouns[position] for position in SUBJECTS[tags(sentence)]]
    return sum(
        subject.endswith("s") == verb.endswith("s") for subject, verb in zip(subjects, verbs, strict=True)
    )


def content(sentences: pd.Series) -> set[str]:
    """The nouns and verbs of sentences, without their endings."""
    words = {word for text in sentences for word in text.split() if TAGS[word] in ("N", "T", "I")}
    return {word.removesuffix("s") for word in words}


def bag(sentence: str) -> tuple[str, ...]:
    """The words of a sentence, their order forgotten."""
    return tuple(sorted(sentence.split()))


def test_the_label_is_whether_every_verb_agrees_and_one_verb_breaks_it(data: demo.DemoData) -> None:
    for frame in data.splits.values():
        assert [wrong_verbs(text) for text in frame["sentence"]] == [1 - label for label in frame["label"]]


def test_determiners_agree_with_their_nouns(data: demo.DemoData) -> None:
    adjectives = "|".join(demo.ADJECTIVES)
    for text in [*data.splits["train"]["sentence"], *data.splits["validation"]["sentence"], *data.corpus]:
        for determiner, noun in re.findall(rf"\b(this|these) (?:(?:{adjectives}) )?(\w+)", text):
            assert TAGS[noun] == "N"
            assert noun.endswith("s") == (determiner == "these"), text


def test_the_corpus_is_acceptable_and_has_every_structure_and_every_word(data: demo.DemoData) -> None:
    assert not any(map(wrong_verbs, data.corpus))
    assert {tags(text) for text in data.corpus} == set(SUBJECTS)
    assert {word for text in data.corpus for word in text.split()} == set(TAGS)


def test_sizes_columns_and_types_are_those_asked_for(data: demo.DemoData) -> None:
    train, validation = data.splits["train"], data.splits["validation"]
    assert (len(train), len(validation), len(data.corpus)) == (
        SIZES.train_rows,
        SIZES.validation_rows,
        SIZES.corpus_rows,
    )
    for frame in data.splits.values():
        assert dict(frame.dtypes.astype(str)) == {"sentence": "str", "label": "int64", "idx": "int32"}
        assert frame["idx"].tolist() == list(range(len(frame)))


def test_labels_are_balanced(data: demo.DemoData) -> None:
    for frame in data.splits.values():
        assert Counter(frame["label"]) == {0: len(frame) / 2, 1: len(frame) / 2}


def test_every_bag_of_words_occurs_equally_under_both_labels(data: demo.DemoData) -> None:
    for frame in data.splits.values():
        counts: dict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
        for text, label in zip(frame["sentence"], frame["label"], strict=True):
            counts[bag(text)][label] += 1
        assert all(count[0] == count[1] for count in counts.values())


def test_a_bag_of_words_classifier_is_at_chance(data: demo.DemoData) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, validation = data.splits["train"], data.splits["validation"]
    model = make_pipeline(CountVectorizer(), LogisticRegression())
    model.fit(train["sentence"], train["label"])
    assert model.score(train["sentence"], train["label"]) <= 0.56
    assert model.score(validation["sentence"], validation["label"]) <= 0.56


def test_no_sentence_is_twice_and_none_is_in_both_splits(data: demo.DemoData) -> None:
    train, validation = data.splits["train"]["sentence"], data.splits["validation"]["sentence"]
    assert train.is_unique
    assert validation.is_unique
    assert not {bag(text) for text in train} & {bag(text) for text in validation}


def test_validations_nouns_and_verbs_are_not_those_of_train(data: demo.DemoData) -> None:
    train, validation = (content(data.splits[name]["sentence"]) for name in ("train", "validation"))
    assert not train & validation
    assert train | validation == {*demo.NOUNS, *demo.TRANSITIVE, *demo.INTRANSITIVE}
    assert len(validation) == pytest.approx(len(train | validation) / 3, abs=2)


def test_both_splits_have_every_structure_but_the_simple_ones(data: demo.DemoData) -> None:
    for frame in data.splits.values():
        assert {tags(text) for text in frame["sentence"]} == set(SUBJECTS) - {"NI", "NTN"}


def test_labels_come_in_no_order(data: demo.DemoData) -> None:
    for frame in data.splits.values():
        half = frame["label"][: len(frame) // 2]
        assert 0.4 < half.mean() < 0.6
        assert 0.3 < (frame["label"].diff().dropna() != 0).mean() < 0.7


def test_the_seed_decides_everything() -> None:
    first, again, other = (demo.generate(SMALL, seed=seed) for seed in (3, 3, 4))
    assert first.corpus == again.corpus
    assert first.corpus != other.corpus
    for name, frame in first.splits.items():
        pd.testing.assert_frame_equal(frame, again.splits[name])
        assert frame["sentence"].tolist() != other.splits[name]["sentence"].tolist()
