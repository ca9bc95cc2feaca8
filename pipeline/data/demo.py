"""The embedded default: a generated English acceptability task in the manner of BLiMP (arXiv:1912.00582).

A sentence is acceptable when every verb agrees in number with its own subject, however far away and whatever noun
stands between them:

    the dogs that the cat chases run        acceptable
    the cat that the dogs chases run        unacceptable

No bag of words can tell: rows come in twins that hold exactly the same words, with two nouns of different number
exchanged, so each bag occurs once under each label. Nor can the nearest noun, since it is as often an attractor.

Held out of the labelled training rows, to be met in validation only: a third of the nouns and verbs (the corpus for
masked-language modelling has them, so their embeddings are learned before, not from labels) and the structure
`HELD_OUT`. Twins never cross splits.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from pipeline.params import Generator

NOUNS = (
    "dog cat bird horse cow pig goat duck fox wolf bear lion tiger monkey rabbit turtle snake frog doctor lawyer "
    "teacher student artist writer singer dancer farmer baker driver pilot sailor soldier king queen judge poet "
    "actor guard boy girl brother sister friend neighbor guest visitor player runner"
).split()
TRANSITIVE = (
    "admire help follow see like hear trust call greet praise meet need want avoid warn thank love guide remember "
    "blame visit join invite respect"
).split()
INTRANSITIVE = (
    "run sleep sing swim laugh smile work wait listen jump eat speak walk rest shout talk play travel stumble "
    "wander whisper yawn sneeze cough"
).split()
ADJECTIVES = (
    "old young happy sad tall short quiet loud clever kind proud lazy brave gentle hungry tired".split()
)
PREPOSITIONS = "near beside behind above below opposite".split()
ADVERBS = "often rarely usually always never sometimes".split()

HELD_OUT = "relative_after_phrase"
HELD_OUT_SHARE_OF_VALIDATION = 0.2


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
    known = [name for name in STRUCTURES if name != HELD_OUT]
    taken: set[str] = set()
    train = _twins(draw, seen, known, generator.train_rows, taken)
    num_held_out = int(generator.validation_rows * HELD_OUT_SHARE_OF_VALIDATION)
    validation = _twins(draw, unseen, known, generator.validation_rows - num_held_out, taken)
    validation += _twins(draw, unseen, [HELD_OUT], num_held_out, taken)
    corpus = [_acceptable(draw, everything, list(STRUCTURES)) for _ in range(generator.corpus_rows)]
    return DemoData({"train": _frame(draw, train), "validation": _frame(draw, validation)}, corpus)


def bag(sentence: str) -> tuple[str, ...]:
    """The words of a sentence, their order forgotten."""
    return tuple(sorted(sentence.split()))


def _two_thirds(lexicon: Lexicon) -> tuple[Lexicon, Lexicon]:
    """The words of the training rows, and those of validation: every third one is kept from training."""
    lists = (lexicon.nouns, lexicon.transitive, lexicon.intransitive)
    seen = Lexicon(*([word for i, word in enumerate(words) if i % 3] for words in lists))
    return seen, Lexicon(*(words[::3] for words in lists))


def _object_relative(draw: random.Random, lexicon: Lexicon, a: Noun, b: Noun) -> str:
    clause = f"that {_phrase(draw, b)} {_transitive(draw, lexicon, b)}"
    return f"{_phrase(draw, a)} {clause} {_ending(draw, lexicon, a)}"


def _subject_relative(draw: random.Random, lexicon: Lexicon, a: Noun, b: Noun) -> str:
    clause = f"that {_transitive(draw, lexicon, a)} {_phrase(draw, b)}"
    return f"{_phrase(draw, a)} {clause} {_ending(draw, lexicon, a)}"


def _prepositional(draw: random.Random, lexicon: Lexicon, a: Noun, b: Noun) -> str:
    return f"{_phrase(draw, a)} {draw.choice(PREPOSITIONS)} {_phrase(draw, b)} {_ending(draw, lexicon, a)}"


def _coordination(draw: random.Random, lexicon: Lexicon, a: Noun, b: Noun) -> str:
    first = f"{_phrase(draw, a)} {_ending(draw, lexicon, a)}"
    return f"{first} and {_phrase(draw, b)} {_ending(draw, lexicon, b)}"


def _relative_after_phrase(draw: random.Random, lexicon: Lexicon, a: Noun, b: Noun) -> str:
    others = [word for word in lexicon.nouns if word not in (a.word, b.word)]
    bystander = Noun(draw.choice(others), draw.random() < 0.5)
    place = f"{draw.choice(PREPOSITIONS)} {_phrase(draw, bystander)}"
    clause = f"that {_phrase(draw, b)} {_transitive(draw, lexicon, b)}"
    return f"{_phrase(draw, a)} {place} {clause} {_ending(draw, lexicon, a)}"


Structure = Callable[[random.Random, Lexicon, Noun, Noun], str]
STRUCTURES: dict[str, Structure] = {
    "object_relative": _object_relative,
    "subject_relative": _subject_relative,
    "prepositional": _prepositional,
    "coordination": _coordination,
    HELD_OUT: _relative_after_phrase,
}


def _twins(
    draw: random.Random, lexicon: Lexicon, structures: list[str], num_rows: int, taken: set[str]
) -> list[tuple[str, int]]:
    """`num_rows` labelled sentences, half of each label, none of them in `taken` (which grows)."""
    rows: list[tuple[str, int]] = []
    while len(rows) < num_rows:
        a, b = _two_nouns(draw, lexicon)
        good = STRUCTURES[draw.choice(structures)](draw, lexicon, a, b)
        bad = _exchange(good, _form(a), _form(b))
        if good not in taken and bad not in taken:
            taken |= {good, bad}
            rows += [(good, 1), (bad, 0)]
    return rows[:num_rows]


def _two_nouns(draw: random.Random, lexicon: Lexicon) -> tuple[Noun, Noun]:
    """Two different nouns of different number, so that exchanging them breaks the agreement."""
    first, second = draw.sample(lexicon.nouns, 2)
    plural = draw.random() < 0.5
    return Noun(first, plural), Noun(second, not plural)


def _acceptable(draw: random.Random, lexicon: Lexicon, structures: list[str]) -> str:
    """A sentence for the corpus, where two nouns may also have the same number."""
    a, b = _noun(draw, lexicon), _noun(draw, lexicon)
    return STRUCTURES[draw.choice(structures)](draw, lexicon, a, b)


def _exchange(sentence: str, a: str, b: str) -> str:
    swapped = {a: b, b: a}
    return " ".join(swapped.get(word, word) for word in sentence.split())


def _noun(draw: random.Random, lexicon: Lexicon) -> Noun:
    return Noun(draw.choice(lexicon.nouns), draw.random() < 0.5)


def _phrase(draw: random.Random, noun: Noun) -> str:
    adjective = f"{draw.choice(ADJECTIVES)} " if draw.random() < 0.3 else ""
    return f"the {adjective}{_form(noun)}"


def _ending(draw: random.Random, lexicon: Lexicon, subject: Noun) -> str:
    adverb = f"{draw.choice(ADVERBS)} " if draw.random() < 0.3 else ""
    return adverb + _agreeing(draw.choice(lexicon.intransitive), subject)


def _transitive(draw: random.Random, lexicon: Lexicon, subject: Noun) -> str:
    return _agreeing(draw.choice(lexicon.transitive), subject)


def _agreeing(verb: str, subject: Noun) -> str:
    return verb if subject.plural else f"{verb}s"


def _form(noun: Noun) -> str:
    if not noun.plural:
        return noun.word
    return {"fox": "foxes", "wolf": "wolves"}.get(noun.word, f"{noun.word}s")


def _frame(draw: random.Random, rows: list[tuple[str, int]]) -> pd.DataFrame:
    shuffled = draw.sample(rows, len(rows))
    frame = pd.DataFrame(shuffled, columns=["sentence", "label"])
    return frame.assign(idx=range(len(frame))).astype({"label": "int64", "idx": "int32"})
