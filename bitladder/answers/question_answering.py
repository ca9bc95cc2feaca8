"""The piece of a context that answers a question; long contexts are read in windows."""

from typing import ClassVar

from bitladder.answers.kind import Answer, Kind, Reader
from bitladder.shown import printable
from bitladder.text.cutting import cut
from bitladder.text.spans import Span, best_spans


class QuestionAnswering(Kind):
    """`answer` (None: there is none), and where it stands in the context, `start` and `end`.

    `score` is the logit of its first token plus that of its last; where questions may have no answer also
    `margin`, how much more the model believes in that, and `threshold`, over which it says so.
    """

    columns: ClassVar = {"answer": "string", "score": "double"}

    def answers(self, reader: Reader, texts: list[str], pairs: list[str] | None) -> list[Answer]:
        own = reader.config.answering
        assert own is not None
        assert pairs is not None
        pieces = cut(
            texts,
            pairs,
            reader.folder,
            max_length=reader.max_length,
            doc_stride=own.doc_stride,
            max_question_length=own.max_question_length,
        )
        spans = best_spans(reader.logits(pieces.tokens), pieces, max_answer_length=own.max_answer_length)
        return [_said(span, own.no_answer_threshold) for span in spans]

    def lines(self, answer: Answer) -> list[str]:
        if answer["answer"] is None:
            return ["no answer"]
        return [printable(answer["answer"]), f"  characters {answer['start']} to {answer['end']}"]

    def row(self, answer: Answer) -> Answer:
        return {"answer": answer["answer"] or "", "score": answer["score"]}


def _said(span: Span, threshold: float | None) -> Answer:
    found: Answer = {"answer": span.text, "start": span.start, "end": span.end, "score": span.score}
    if threshold is not None:
        found |= {"margin": span.margin, "threshold": threshold}
        if span.margin > threshold:
            found |= {"answer": None, "start": None, "end": None}
    return found
