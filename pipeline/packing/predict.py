"""`bitladder predict DIR TEXT [TEXT]`: run a packed model on one sentence, one pair, or a question and its
context."""

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.data.encode import Encoded
    from pipeline.data.spans import Span
    from pipeline.packing.model import PackedBert

Answer = dict[str, Any]
WINDOWS_AT_ONCE = 16


def main(folder: str, text: str, text_pair: str | None = None, as_json: bool = False) -> int:
    """Print the label and every label's probability, a regression's value, or the answer to a question.

    Raises as `load` does, and ValueError as `predict`.
    """
    answer = predict(folder, text, text_pair)
    if as_json:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n")
        return 0
    sys.stdout.write("\n".join(_lines(answer)) + "\n")
    return 0


def predict(folder: str, text: str, text_pair: str | None = None) -> Answer:
    """`label` and `scores` (probabilities by label name, most probable first), `score` of a regression, or
    what `answer_questions` gives for a question.

    Raises:
        ValueError: the model's output is not finite, or a question has no context.
    """
    from pipeline.packing.model import load

    model = load(folder)
    if model.config.bitladder_answering is None:
        return _label(model, folder, text, text_pair)
    if text_pair is None:
        raise ValueError(f"{folder}: answers questions from a context; give --context TEXT")
    return answer_questions(model, folder, [text], [text_pair])[0]


def answer_questions(
    model: "PackedBert", folder: str, questions: list[str], contexts: list[str]
) -> list[Answer]:
    """For each question `answer` (None: there is none), and where it stands in the context: `start`, `end`.

    `score`: logit of its first token plus logit of its last. Where questions may have no answer also
    `margin`, how much more the model believes in that, and `threshold`, over which it says so.

    Raises:
        ValueError: the model's output is not finite.
    """
    import pandas as pd

    from pipeline.data.spans import best_spans
    from pipeline.data.windows import encode_windows

    own = model.config.bitladder_answering
    windows = encode_windows(
        pd.DataFrame({"question": questions, "context": contexts}),
        Path(folder),
        **{key: own[key] for key in ("max_length", "doc_stride", "max_question_length")},
    )
    spans = best_spans(
        _window_logits(model, windows.rows, folder), windows, max_answer_length=own["max_answer_length"]
    )
    return [_answer(span, own["no_answer_threshold"]) for span in spans]


def printable(text: str) -> str:
    """Without control characters: a label's name comes from a file and goes to a terminal."""
    return "".join(character for character in text if character.isprintable())


def _window_logits(model: "PackedBert", rows: "Encoded", folder: str) -> list[Any]:
    """[2, S] of each window."""
    import torch

    from pipeline.data.encode import inputs_of
    from pipeline.modeling.outputs import logits_of

    found = []
    with torch.inference_mode():
        for batch in rows.batches(WINDOWS_AT_ONCE):
            logits_B2S = logits_of(model(**inputs_of(batch)), batch["attention_mask"])
            if not bool(torch.isfinite(logits_B2S).all()):
                raise ValueError(f"{folder}: the model's output is not finite")
            found += list(logits_B2S.numpy())
    return found


def _label(model: "PackedBert", folder: str, text: str, text_pair: str | None) -> Answer:
    import torch
    from transformers import AutoTokenizer

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


def _answer(span: "Span", threshold: float | None) -> Answer:
    place: Answer = {"answer": span.text, "start": span.start, "end": span.end, "score": span.score}
    if threshold is None:
        return place
    doubt = {"margin": span.margin, "threshold": threshold}
    if span.margin > threshold:
        return {**place, "answer": None, "start": None, "end": None, **doubt}
    return {**place, **doubt}


def _lines(answer: Answer) -> list[str]:
    if "answer" in answer:
        place = "" if answer["start"] is None else f"  characters {answer['start']} to {answer['end']}"
        found = "no answer" if answer["answer"] is None else printable(answer["answer"])
        return [found, *([place] if place else [])]
    if "label" not in answer:
        return [f"score {answer['score']:.4f}"]
    return [answer["label"], *(f"  {name} {share:.4f}" for name, share in answer["scores"].items())]
