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
from collections.abc import Callable
from dataclasses import dataclass

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


def bag(sentence: str) -> tuple[str, ...]:
    """The words of a sentence, their order forgotten."""
    return tuple(sorted(sentence.split()))


def _two_thirds(lexicon: Lexicon) -> tuple[Lexicon, Lexicon]:
    """The words of the training rows, and those of validation: every third one is kept from training."""
    lists = (lexicon.nouns, lexicon.transitive, lexicon.intransitive)
    seen = Lexicon(*([word for i, word in enumerate(words) if i % 3] for words in lists))
    return seen, Lexicon(*(words[::3] for words in lists))


def _phrase_then_verb(draw: random.Random, words: Lexicon, a: Noun) -> str:
    return f"<a> {_preposition(draw)} <b> {_ending(draw, words, a)}"


def _object(draw: random.Random, words: Lexicon, a: Noun) -> str:
    return f"<a> {_preposition(draw)} {_any_phrase(draw, words)} {_transitive(draw, words, a)} <b>"


def _first_clause(draw: random.Random, words: Lexicon, a: Noun) -> str:
    other = _noun(draw, words)
    second = f"{_phrase(draw, other)} {_ending(draw, words, other)}"
    return f"<a> {_preposition(draw)} <b> {_ending(draw, words, a)} and {second}"


def _second_clause(draw: random.Random, words: Lexicon, a: Noun) -> str:
    other = _noun(draw, words)
    first = f"{_phrase(draw, other)} {_ending(draw, words, other)}"
    return f"{first} and <a> {_preposition(draw)} <b> {_ending(draw, words, a)}"


def _inside_relative(draw: random.Random, words: Lexicon, a: Noun) -> str:
    head = _noun(draw, words)
    clause = f"that <a> {_preposition(draw)} <b> {_transitive(draw, words, a)}"
    return f"{_phrase(draw, head)} {clause} {_ending(draw, words, head)}"


def _across_relative(draw: random.Random, words: Lexicon, a: Noun) -> str:
    other = _noun(draw, words)
    clause = f"that {_phrase(draw, other)} {_transitive(draw, words, other)}"
    return f"<a> {clause} {_ending(draw, words, a)} {_preposition(draw)} <b>"


def _across_phrase_and_relative(draw: random.Random, words: Lexicon, a: Noun) -> str:
    other = _noun(draw, words)
    clause = f"that {_phrase(draw, other)} {_transitive(draw, words, other)}"
    return f"<a> {_preposition(draw)} <b> {clause} {_ending(draw, words, a)}"


def _simple(draw: random.Random, words: Lexicon, a: Noun) -> str:
    return (
        f"<a> {_ending(draw, words, a)}" if draw.random() < 0.5 else f"<a> {_transitive(draw, words, a)} <b>"
    )


# Gives a sentence with <a> and <b> where two noun phrases go.
# Exactly one verb has <a> for its subject, none has <b>.
Structure = Callable[[random.Random, Lexicon, Noun], str]
STRUCTURES: tuple[Structure, ...] = (
    _phrase_then_verb,
    _object,
    _first_clause,
    _second_clause,
    _inside_relative,
    _across_relative,
    _across_phrase_and_relative,
)


def _twins(draw: random.Random, lexicon: Lexicon, num_rows: int, taken: set[str]) -> list[tuple[str, int]]:
    """`num_rows` labelled sentences, half of each label, none of them in `taken` (which grows)."""
    rows: list[tuple[str, int]] = []
    while len(rows) < num_rows:
        a, b = _two_nouns(draw, lexicon)
        sentence = draw.choice(STRUCTURES)(draw, lexicon, a)
        first, second = _phrase(draw, a), _phrase(draw, b)
        good, bad = _fill(sentence, first, second), _fill(sentence, second, first)
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
    structure = _simple if draw.random() < 1 / 3 else draw.choice(STRUCTURES)
    return _fill(structure(draw, lexicon, a), _phrase(draw, a), _phrase(draw, b))


def _fill(sentence: str, a: str, b: str) -> str:
    return sentence.replace("<a>", a).replace("<b>", b)


def _noun(draw: random.Random, lexicon: Lexicon) -> Noun:
    return Noun(draw.choice(lexicon.nouns), draw.random() < 0.5)


def _any_phrase(draw: random.Random, words: Lexicon) -> str:
    return _phrase(draw, _noun(draw, words))


def _preposition(draw: random.Random) -> str:
    return draw.choice(PREPOSITIONS)


def _phrase(draw: random.Random, noun: Noun) -> str:
    """A noun with its determiner. Two in three determiners show the number; the rest leave it to the noun."""
    determiner = "the" if draw.random() < 1 / 3 else ("these" if noun.plural else "this")
    adjective = f"{draw.choice(ADJECTIVES)} " if draw.random() < 0.3 else ""
    return f"{determiner} {adjective}{noun.word}{'s' if noun.plural else ''}"


def _ending(draw: random.Random, lexicon: Lexicon, subject: Noun) -> str:
    adverb = f"{draw.choice(ADVERBS)} " if draw.random() < 0.3 else ""
    return adverb + _agreeing(draw.choice(lexicon.intransitive), subject)


def _transitive(draw: random.Random, lexicon: Lexicon, subject: Noun) -> str:
    return _agreeing(draw.choice(lexicon.transitive), subject)


def _agreeing(verb: str, subject: Noun) -> str:
    return verb if subject.plural else f"{verb}s"


def _frame(draw: random.Random, rows: list[tuple[str, int]]) -> pd.DataFrame:
    shuffled = draw.sample(rows, len(rows))
    frame = pd.DataFrame(shuffled, columns=["sentence", "label"])
    return frame.assign(idx=range(len(frame))).astype({"label": "int64", "idx": "int32"})
