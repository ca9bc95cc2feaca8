"""What counts as a word when a sentence is varied, which words are left alone, and what may stand for a word.

A token is what stands between two spaces; punctuation at its edges is no part of its word: `(Dog.` holds
`Dog`. Only content words are varied: letters alone, and not one of the function words below. Numbers,
contractions and hyphenated words stay. Function words carry the grammar and the negation, so changing them
changes labels most often; TinyBERT's augmentation (arXiv:1909.10351) leaves out stop words too.

A word is only replaced by one with the same ending, so that a plural stays a plural and a past tense a past
tense.
"""

import re
from typing import Literal, get_args

_FUNCTION_WORDS = """
a an the this that these those such same other others own
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself
she her hers herself it its itself they them their theirs themselves one ones oneself
who whom whose which what where when why how whoever whatever whichever wherever whenever
am is are was were be been being do does did doing done have has had having
can could may might must shall should will would ought
not no nor none nobody nothing nowhere never neither hardly scarcely barely seldom rarely without
and or but so yet for if unless until till while whereas because since although though than whether lest as
about above across after against along amid among around at before behind below beneath beside besides
between beyond by despite down during except from in inside into near of off on onto opposite out outside
over past per through throughout to toward towards under underneath unlike up upon via with within
all any anybody anyone anything both each either enough every everybody everyone everything few fewer least
less many more most much only several some somebody someone something
again also almost already always else ever even here there just now often once quite rather sometimes still
then too usually very
first last next two three four five six seven eight nine ten hundred thousand million
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())

Ending = Literal["", "s", "ed", "ing", "ly"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)

_EDGES = re.compile(r"([\W_]*)(.*?)([\W_]*)", re.DOTALL)


def split_edges(token: str) -> tuple[str, str, str]:
    """Punctuation before, word, punctuation after: `(Dog.` gives `(`, `Dog`, `.`."""
    match = _EDGES.fullmatch(token)
    assert match is not None, "the pattern matches every string"
    return match[1], match[2], match[3]


def is_content_word(word: str) -> bool:
    """Two letters or more, nothing but letters, no function word."""
    return len(word) > 1 and word.isalpha() and word.lower() not in FUNCTION_WORDS


def ending(word: str) -> Ending:
    """English inflection as far as the spelling tells: `dogs` has s, `glass` has none."""
    word = word.lower()
    if word.endswith("ss"):
        return ""
    return next((known for known in ENDINGS if known and word.endswith(known)), "")


def match_case(word: str, like: str) -> str:
    """`word` in capitals where `like` is, with a capital first letter where `like` has one, else as it is."""
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word


class LeftAlone:
    """The tokens that are not varied, in the one way nlpaug asks for stop words: `token in stopwords`."""

    def __contains__(self, token: object) -> bool:
        return not is_content_word(split_edges(str(token))[1])
