"""A number."""

from typing import ClassVar

from bitladder.answers.kind import Answer, Floats, Kind
from bitladder.packed.format import PackedConfig


class Regression(Kind):
    """`score`: the logit as it is."""

    columns: ClassVar = {"score": "double"}

    def answer(self, logits_L: Floats, config: PackedConfig) -> Answer:
        return {"score": float(logits_L[0])}

    def lines(self, answer: Answer) -> list[str]:
        return [f"score {answer['score']:.4f}"]
