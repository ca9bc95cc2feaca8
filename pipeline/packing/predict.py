"""`bitladder predict DIR TEXT [TEXT]`: run a packed model on one sentence or one pair."""

import json
import math
import sys
from typing import Any


def main(folder: str, text: str, text_pair: str | None = None, as_json: bool = False) -> int:
    """Print the label and every label's probability, or the value of a regression. Raises as `load` does."""
    answer = predict(folder, text, text_pair)
    if as_json:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n")
        return 0
    lines = [f"score {answer['score']:.4f}"] if "score" in answer else [answer["label"]]
    lines += [f"  {name} {share:.4f}" for name, share in answer.get("scores", {}).items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def predict(folder: str, text: str, text_pair: str | None = None) -> dict[str, Any]:
    """`label` and `scores` (probabilities by label name, most probable first), or `score` of a regression.

    Raises:
        ValueError: the model's output is not finite.
    """
    import torch
    from transformers import AutoTokenizer

    from pipeline.packing.model import load

    model = load(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    longest = model.config.max_position_embeddings
    inputs = tokenizer(text, text_pair, truncation=True, max_length=longest, return_tensors="pt")
    with torch.inference_mode():
        logits_L = model(**inputs).logits[0]
    if not all(map(math.isfinite, logits_L.tolist())):
        raise ValueError(f"{folder}: the model's output is {logits_L.tolist()}")
    if len(logits_L) == 1:
        return {"score": logits_L[0].item()}
    names = [printable(name) for _, name in sorted((model.config.id2label or {}).items())]
    ranked = sorted(zip(logits_L.softmax(-1).tolist(), names, strict=True), key=lambda pair: -pair[0])
    return {"label": ranked[0][1], "scores": {name: share for share, name in ranked}}


def printable(text: str) -> str:
    """Without control characters: a label's name comes from a file and goes to a terminal."""
    return "".join(character for character in text if character.isprintable())
