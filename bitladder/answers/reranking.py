"""How well a text answers a query: texts of one query are ranked by it."""

from typing import ClassVar

from bitladder.answers.kind import Answer, Floats, Kind
from bitladder.heads import sigmoid
from bitladder.packed.format import PackedConfig


class Reranking(Kind):
    """`score`: the logit as a share from 0 to 1."""

    columns: ClassVar = {"score": "double"}

    def answer(self, logits_L: Floats, config: PackedConfig) -> Answer:
        return {"score": float(sigmoid(logits_L)[0])}

    def lines(self, answer: Answer) -> list[str]:
        return [f"score {answer['score']:.4f}"]
