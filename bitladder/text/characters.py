"""Characters that a tokenizer gives no token of their own: blanks, what nobody sees, marks over letters.

BERT's tokenizer drops control and format characters (U+200B, U+FEFF) and U+FFFD, splits at spaces, and
without capitals drops marks that combine with the letter before, such as U+0301 (Devlin et al.,
arXiv:1810.04805, tokenization.py).
"""

from unicodedata import category

REPLACEMENT = "\ufffd"  # what decoders write where bytes were no text


def is_unseen(character: str) -> bool:
    """A space, a control or format character, or U+FFFD (Unicode classes Z and C)."""
    return category(character)[0] in "ZC" or character == REPLACEMENT


def is_mark(character: str) -> bool:
    """One that is written over or beside the letter before it (Unicode class M)."""
    return category(character)[0] == "M"


def has_none_seen(text: str) -> bool:
    """Whether nothing in it could be read."""
    return all(is_unseen(one) or is_mark(one) for one in text)


def seen_part(text: str) -> tuple[int, int]:
    """From and to which character there is something to read; marks at the end count to the letter before."""
    seen = [at for at, one in enumerate(text) if not (is_unseen(one) or is_mark(one))]
    return (seen[0], seen[-1] + 1) if seen else (0, 0)


def with_what_follows(text: str, end: int) -> int:
    """Where a piece that ends before `end` does so with the marks after it, and what else nobody sees."""
    while end < len(text) and (is_mark(text[end]) or is_unseen(text[end])) and not text[end].isspace():
        end += 1
    return end


def without_unseen(text: str) -> str:
    """The same without what nobody sees, spaces apart."""
    return "".join(one for one in text if one.isspace() or not is_unseen(one))
