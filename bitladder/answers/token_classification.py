"""The entities in a text, by their characters."""

import json
from typing import Any, ClassVar

from bitladder.answers.kind import Answer, Floats, Kind, Reader
from bitladder.heads import softmax
from bitladder.shown import apart, printable
from bitladder.text.entities import OUTSIDE, entities
from bitladder.text.words import NOWHERE, Places, split_words, tokenize_words


class TokenClassification(Kind):
    """`entities`, in order: `label`, `text`, `start`, `end`, and `score`.

    A word has the tag of its first token, and an entity's score is the mean probability of its words' tags.
    """

    columns: ClassVar = {"entities": "string"}

    def answers(self, reader: Reader, texts: list[str], pairs: list[str] | None) -> list[Answer]:
        """Raises ValueError when there are second texts."""
        if pairs is not None:
            raise ValueError(f"{reader.folder}: finds entities in single texts; leave the second text out")
        places = [split_words(text) for text in texts]
        words = tokenize_words(texts, places, reader.folder, max_length=reader.max_length)
        rows = zip(texts, places, words.first_tokens, reader.logits(words.tokens), strict=True)
        return [{"entities": _entities(*row, reader.config.labels)} for row in rows]

    def lines(self, answer: Answer) -> list[str]:
        names = apart(one["label"] for one in answer["entities"])
        return [
            f"{names[one['label']]}  {printable(one['text'])}  characters {one['start']} to {one['end']}"
            f"  {one['score']:.4f}"
            for one in answer["entities"]
        ] or ["no entity"]

    def row(self, answer: Answer) -> Answer:
        """As JSON."""
        return {"entities": json.dumps(answer["entities"], ensure_ascii=False)}


def _entities(
    text: str, places: Places, first_tokens: list[int], logits_LS: Floats, names: list[str]
) -> list[dict[str, Any]]:
    shares_LS = softmax(logits_LS, axis=0)
    best_S, share_S = shares_LS.argmax(axis=0), shares_LS.max(axis=0)
    tags = [OUTSIDE if token == NOWHERE else names[best_S[token]] for token in first_tokens]
    found = []
    for label, first, last in entities(tags):
        start, end = places[first][0], places[last][1]
        score = sum(float(share_S[token]) for token in first_tokens[first : last + 1]) / (last - first + 1)
        found.append({"label": label, "text": text[start:end], "start": start, "end": end, "score": score})
    return found
