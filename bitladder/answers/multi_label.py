"""Several labels at once, or none: those whose probability reaches the label's own threshold."""

import json
from typing import ClassVar

from bitladder.answers.kind import Answer, Floats, Kind
from bitladder.heads import sigmoid
from bitladder.packed.format import PackedConfig
from bitladder.shown import apart


class MultiLabel(Kind):
    """`labels`: their names, the most probable first; `scores` and `thresholds` by label's name."""

    columns: ClassVar = {"labels": "string", "scores": "string"}

    def answer(self, logits_L: Floats, config: PackedConfig) -> Answer:
        assert config.thresholds is not None
        named = zip(config.labels, sigmoid(logits_L).tolist(), config.thresholds, strict=True)
        ranked = sorted(named, key=lambda one: -one[1])
        return {
            "labels": [name for name, share, threshold in ranked if share >= threshold],
            "scores": {name: share for name, share, _ in ranked},
            "thresholds": {name: threshold for name, _, threshold in ranked},
        }

    def lines(self, answer: Answer) -> list[str]:
        names = apart(answer["scores"])
        found = ", ".join(names[name] for name in answer["labels"]) or "no label"
        return [
            found,
            *(
                f"  {names[name]} {share:.4f} (from {answer['thresholds'][name]:.4f} on)"
                for name, share in answer["scores"].items()
            ),
        ]

    def row(self, answer: Answer) -> Answer:
        """Both as JSON."""
        return {name: json.dumps(answer[name], ensure_ascii=False) for name in self.columns}
