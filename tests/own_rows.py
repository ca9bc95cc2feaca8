"""Made-up rows of every kind of task, as a person's own file has them: who did what and where."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PEOPLE, PLACES = ["teacher", "doctor", "farmer", "sailor"], ["river", "lake", "house", "garden"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
NAMES: dict[str, list[str]] = {
    "classification": ["away", "home"],
    "multi_label": ["people", "places", "season"],
    "token_classification": TAGS,
}
METRICS: dict[str, list[str]] = {
    "classification": ["accuracy"],
    "multi_label": ["micro_f1", "macro_f1"],
    "regression": ["pearson", "spearman"],
    "reranking": ["average_precision", "ndcg_at_10", "mrr_at_10"],
    "token_classification": ["entity_f1", "entity_precision", "entity_recall"],
    "question_answering": ["exact_match", "f1"],
}
PAIRS = ("reranking", "question_answering")
_ANSWERING = "{doc_stride: 4, max_question_length: 10, max_answer_length: 5, unanswerable: false}"


def rows(kind: str, number: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """Columns text, label and, of kinds that read pairs, text_pair."""
    draw, made = random.Random(seed), list[dict[str, Any]]()
    while len(made) < number:
        who, where, verb = draw.choice(PEOPLE), draw.choice(PLACES), draw.choice(["walked", "watched"])
        made += _BY_KIND[kind](draw, len(made), who, where, verb)
    return made[:number]


def _classified(draw: random.Random, at: int, who: str, where: str, verb: str) -> list[dict[str, Any]]:
    return [
        {"text": f"The {who} {verb} the {where} {at}.", "label": "home" if where in PLACES[2:] else "away"}
    ]


def _labelled(draw: random.Random, at: int, who: str, where: str, verb: str) -> list[dict[str, Any]]:
    parts = {"people": f"the {who}", "places": f"the {where}", "season": "winter"}
    own = [name for name in parts if draw.random() < 0.5]
    text = " ".join(["never", verb, *(parts[name] for name in own), str(at)])
    return [{"text": text, "label": "|".join(own)}]


def _graded(draw: random.Random, at: int, who: str, where: str, verb: str) -> list[dict[str, Any]]:
    return [{"text": f"the {who} {verb} the {where} {at}", "label": PEOPLE.index(who) + 0.5}]


def _ranked(draw: random.Random, at: int, who: str, where: str, verb: str) -> list[dict[str, Any]]:
    query, other = f"{verb} the {who} {at}", draw.choice([one for one in PEOPLE if one != who])
    return [
        {"text": query, "text_pair": f"the {one} {verb} the {where}", "label": int(one == who)}
        for one in (other, who)
    ]


def _tagged(draw: random.Random, at: int, who: str, where: str, verb: str) -> list[dict[str, Any]]:
    text = f"The {who} {verb} the {where} {at}."
    spans = [(text.index(who), who, "PER"), (text.index(where), where, "LOC")]
    labels = [{"start": start, "end": start + len(one), "label": name} for start, one, name in spans]
    return [{"text": text, "label": labels}]


def _asked(draw: random.Random, at: int, who: str, where: str, verb: str) -> list[dict[str, Any]]:
    other = draw.choice([one for one in PEOPLE if one != who])
    context = f"The {who} {verb} the {where} {at}. The {other} opened the window."
    return [{"text": f"where {verb} the {who}?", "text_pair": context, "label": where}]


_BY_KIND = {
    "classification": _classified,
    "multi_label": _labelled,
    "regression": _graded,
    "reranking": _ranked,
    "token_classification": _tagged,
    "question_answering": _asked,
}


def write(path: Path, kind: str, number: int) -> Path:
    """As JSON lines."""
    path.write_text("\n".join(map(json.dumps, rows(kind, number))), encoding="utf-8")
    return path


def choices(kind: str, file: Path, **names: Sequence[str]) -> tuple[str, ...]:
    """What params.yaml says of a task of such rows in this file. `label_names`: others than NAMES has."""
    labels = names.get("label_names", NAMES.get(kind, []))
    more = {
        "regression": ("task.range=[0,4]",),
        "question_answering": (f"task.answering={_ANSWERING}", "task.max_length=32"),
    }
    return (
        "task=custom",
        f"task.kind={kind}",
        f"task.label_names=[{', '.join(labels)}]",
        f"task.metrics=[{', '.join(METRICS[kind])}]",
        f"task.sentence_columns=[{_columns(kind)}]",
        "task.max_length=24",
        f"data.files.train={file}",
        f"data.files.text_pair={'text_pair' if kind in PAIRS else 'null'}",
        "task.selection_fraction=0.2",
        *more.get(kind, ()),
    )


def _columns(kind: str) -> str:
    columns = {"question_answering": "question, context", "reranking": "text, text_pair"}
    return columns.get(kind, "text")
