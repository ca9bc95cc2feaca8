"""The embedded default: a generated English acceptability task in the manner of BLiMP (arXiv:1912.00582).

A sentence is acceptable when every verb agrees in number with its own subject, however far away and whatever
noun stands between them:

    these dogs near this cat run        acceptable
    this cat near these dogs run        unacceptable

No bag of words can tell: rows come in twins that hold exactly the same words, with two noun phrases of
different number exchanged, so each bag occurs once under each label. Exactly one verb of an unacceptable
sentence is wrong; the others, if any, still agree.

Held out of the labelled training rows, to be met in validation only: a third of the nouns and verbs. The
corpus for masked-language modelling has them all, so their embeddings are learned from text, not from labels.
Augmentation may bring held-out words back into the rows that a rung distils from.
No sentence is in both train and validation, nor is its twin.
"""

import random
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.params import Generator

NOUNS = (
    "dog cat bird horse cow pig goat duck bear lion tiger rabbit doctor lawyer teacher student artist writer "
    "singer dancer farmer baker driver pilot sailor king queen judge poet actor boy girl"
).split()
TRANSITIVE = (
    "admire help follow see like hear trust call greet praise meet need want avoid thank love".split()
)
INTRANSITIVE = "run sleep sing swim laugh smile work wait listen jump eat speak walk rest shout talk".split()
ADJECTIVES = (
    "old young happy sad tall short quiet loud clever kind proud lazy brave gentle hungry tired".split()
)
PREPOSITIONS = "near beside behind above below opposite".split()
ADVERBS = "often rarely usually always never sometimes".split()


@dataclass(frozen=True)
class DemoData:
    """The labelled splits (columns sentence, label, idx) and the unlabelled corpus."""

    splits: dict[str, pd.DataFrame]
    corpus: list[str]


@dataclass(frozen=True)
class Lexicon:
    """The words one split may use."""

    nouns: list[str]
    transitive: list[str]
    intransitive: list[str]


@dataclass(frozen=True)
class Noun:
    word: str
    plural: bool


def generate(generator: Generator, *, seed: int) -> DemoData:
    """Draw the task and its corpus. The same sizes and seed give the same sentences."""
    everything = Lexicon(NOUNS, TRANSITIVE, INTRANSITIVE)
    seen, unseen = _two_thirds(everything)
    draw = random.Random(seed)
    taken: set[str] = set()
    train = _twins(draw, seen, generator.train_rows, taken)
    validation = _twins(draw, unseen, generator.validation_rows, taken)
    corpus = [_corpus_sentence(draw, everything) for _ in range(generator.corpus_rows)]
    return DemoData({"train": _frame(draw, train), "validation": _frame(draw, validation)}, corpus)


def _two_thirds(lexicon: Lexicon) -> tuple[Lexicon, Lexicon]:
    """The words of the training rows, and those of validation: every third one is kept from training."""
    lists = (lexicon.nouns, lexicon.transitive, lexicon.intransitive)
    seen = Lexicon(*([word for i, word in enumerate(words) if i % 3] for words in lists))
    return seen, Lexicon(*(words[::3] for words in lists))


# <a> and <b> are two noun phrases; exactly one verb has <a> for its subject, none has <b>.
# `other` is a third noun phrase. Words are drawn from left to right, those before the bar first of all.
STRUCTURES = (
    "<a> {preposition} <b> {a_runs}",
    "<a> {preposition} {other} {a_helps} <b>",
    "{other} {other_runs} | <a> {preposition} <b> {a_runs} and {other} {other_runs}",
    "{other} {other_runs} and <a> {preposition} <b> {a_runs}",
    "{noun} {preposition} {a_helps} | {other} that <a> {preposition} <b> {a_helps} {other_runs}",
    "<a> that {other} {other_helps} {a_runs} {preposition} <b>",
    "{other} {other_helps} | <a> {preposition} <b> that {other} {other_helps} {a_runs}",
)


class _Drawn(dict[str, Any]):
    """What stands in a structure's braces, each drawn when it is first asked for. `a` is the noun of <a>."""

    def __init__(self, draw: random.Random, words: Lexicon, a: Noun) -> None:
        super().__init__(a=a)
        self.draw, self.words = draw, words

    def __missing__(self, name: str) -> Any:
        self[name] = found = self._draw(name)
        return found

    def _draw(self, name: str) -> Any:
        match name:
            case "noun":
                return _noun(self.draw, self.words)
            case "other":
                return _phrase(self.draw, self["noun"])
            case "preposition":
                return self.draw.choice(PREPOSITIONS)
        subject, verb = name.split("_")
        return VERBS[verb](self.draw, self.words, self["a" if subject == "a" else "noun"])


def _twins(draw: random.Random, lexicon: Lexicon, num_rows: int, taken: set[str]) -> list[tuple[str, int]]:
    """`num_rows` labelled sentences, half of each label, none of them in `taken` (which grows)."""
    rows: list[tuple[str, int]] = []
    while len(rows) < num_rows:
        a, b = _two_nouns(draw, lexicon)
        sentence = _filled(draw.choice(STRUCTURES), _Drawn(draw, lexicon, a))
        first, second = _phrase(draw, a), _phrase(draw, b)
        good, bad = _with_phrases(sentence, first, second), _with_phrases(sentence, second, first)
        if good not in taken and bad not in taken:
            taken |= {good, bad}
            rows += [(good, 1), (bad, 0)]
    return rows[:num_rows]


def _two_nouns(draw: random.Random, lexicon: Lexicon) -> tuple[Noun, Noun]:
    """Two different nouns of different number, so that exchanging them breaks the agreement."""
    first, second = draw.sample(lexicon.nouns, 2)
    plural = draw.random() < 0.5
    return Noun(first, plural), Noun(second, not plural)


def _corpus_sentence(draw: random.Random, lexicon: Lexicon) -> str:
    """An acceptable sentence; its nouns may have the same number, and a third of the sentences are simple."""
    a, b = _noun(draw, lexicon), _noun(draw, lexicon)
    if draw.random() < 1 / 3:
        structure = "<a> {a_runs}" if draw.random() < 0.5 else "<a> {a_helps} <b>"
    else:
        structure = draw.choice(STRUCTURES)
    return _with_phrases(_filled(structure, _Drawn(draw, lexicon, a)), _phrase(draw, a), _phrase(draw, b))


def _filled(structure: str, drawn: _Drawn) -> str:
    return structure.format_map(drawn).rpartition("| ")[2]


def _with_phrases(sentence: str, a: str, b: str) -> str:
    return sentence.replace("<a>", a).replace("<b>", b)


def _noun(draw: random.Random, lexicon: Lexicon) -> Noun:
    return Noun(draw.choice(lexicon.nouns), draw.random() < 0.5)


def _phrase(draw: random.Random, noun: Noun) -> str:
    """A noun with its determiner. Two in three determiners show the number; the rest leave it to the noun."""
    determiner = "the" if draw.random() < 1 / 3 else ("these" if noun.plural else "this")
    adjective = f"{draw.choice(ADJECTIVES)} " if draw.random() < 0.3 else ""
    return f"{determiner} {adjective}{noun.word}{'s' if noun.plural else ''}"


def _runs(draw: random.Random, lexicon: Lexicon, subject: Noun) -> str:
    adverb = f"{draw.choice(ADVERBS)} " if draw.random() < 0.3 else ""
    return adverb + draw.choice(lexicon.intransitive) + ("" if subject.plural else "s")


def _helps(draw: random.Random, lexicon: Lexicon, subject: Noun) -> str:
    return draw.choice(lexicon.transitive) + ("" if subject.plural else "s")


VERBS = {"runs": _runs, "helps": _helps}


def _frame(draw: random.Random, rows: list[tuple[str, int]]) -> pd.DataFrame:
    shuffled = draw.sample(rows, len(rows))
    frame = pd.DataFrame(shuffled, columns=["sentence", "label"])
    return frame.assign(idx=range(len(frame))).astype({"label": "int64", "idx": "int32"})
