"""One label of several: the most probable, and the probability of each."""

from typing import ClassVar

from bitladder.answers.kind import Answer, Floats, Kind
from bitladder.heads import softmax
from bitladder.packed.format import PackedConfig
from bitladder.shown import apart


class Classification(Kind):
    """`label`, and `scores`: probabilities by label's name, the most probable first."""

    columns: ClassVar = {"label": "string", "score": "double"}

    def answer(self, logits_L: Floats, config: PackedConfig) -> Answer:
        named = zip(config.labels, softmax(logits_L).tolist(), strict=True)
        ranked = sorted(named, key=lambda pair: -pair[1])
        return {"label": ranked[0][0], "scores": dict(ranked)}

    def lines(self, answer: Answer) -> list[str]:
        names = apart(answer["scores"])
        scores = [f"  {names[name]} {share:.4f}" for name, share in answer["scores"].items()]
        return [names[answer["label"]], *scores]

    def row(self, answer: Answer) -> Answer:
        return {"label": answer["label"], "score": answer["scores"][answer["label"]]}
