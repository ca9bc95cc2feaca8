"""Stage `prepare`: the task's splits, checked, cut and written; for the demo its corpus too.

Writes `data/<task>/plain/` (train, selection and each validation split) and `data/<task>/corpus/`. With
`evaluation.selection: validation` train stays whole, and selection is the first validation split once more.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bitladder import files
from pipeline.data.checks import DataError
from pipeline.data.duplicates import count_contradictions, count_duplicates, count_overlap, text_keys
from pipeline.data.splits import cap_rows, hold_out, hold_out_groups
from pipeline.data.tables import CONTEXT, LABEL, TEXTS, TITLE, write_split
from pipeline.evaluation.selection import HELD_OUT as SELECTION
from pipeline.evaluation.selection import chosen_on, is_optimistic
from pipeline.params import Params
from pipeline.paths import data_dir
from pipeline.progress import say

TRAIN = "train"
CORPUS = "corpus"
SUMMARY = "summary.json"


def run(params: Params, rung: str | None = None) -> None:
    """Raises DataError for wrong rows, IntegrityError for a torn file, HubError for a Hub out of reach."""
    labelled, corpus = _load(params)
    splits = _cut(params, labelled)
    summary = _summarise(params, splits, rows_read={name: len(frame) for name, frame in labelled.items()})
    with files.publish(data_dir(params.task.name, "plain")) as folder:
        _write(folder, splits, summary)
    with files.publish(data_dir(params.task.name, CORPUS)) as folder:
        _write_corpus(folder, corpus)
    for name, found in summary["splits"].items():
        counts = ", ".join(f"{key} {value}" for key, value in found.items() if key != "sha256")
        say(f"prepare {params.task.name} {name}: {counts}")


def _load(params: Params) -> tuple[Mapping[str, pd.DataFrame], list[str] | None]:
    """The labelled splits, checked, and the corpus if the source has one."""
    if params.data.source == "demo":
        return _load_demo(params)
    if params.task.answering is not None:
        return _load_questions(params, unanswerable=params.task.answering.unanswerable), None
    from pipeline.data import glue

    task = params.task
    expected: dict[str, Any] = {
        "validation_splits": task.validation_splits,
        "sentence_columns": task.sentence_columns,
        "num_labels": _num_classes(params),
    }
    if params.data.source == "hub":
        revision = _required(params.data.revision, "data.revision", "a commit of the data set's repository")
        return glue.from_hub(
            task.name, repository=params.data.repository, revision=revision, **expected
        ), None
    root = _required(params.data.root, "data.root", "the folder that holds glue/<task>/<split>.parquet")
    return glue.from_folder(Path(root), task.name, **expected), None


def _load_questions(params: Params, *, unanswerable: bool) -> dict[str, pd.DataFrame]:
    from pipeline.data import squad

    task, data = params.task, params.data
    expected: dict[str, Any] = {"validation_splits": task.validation_splits, "unanswerable": unanswerable}
    if data.source == "hub":
        repository = _required(data.repository, "data.repository", "a repository of questions")
        revision = _required(data.revision, "data.revision", "a commit of the data set's repository")
        return squad.from_hub(repository, revision, **expected)
    root = _required(data.root, "data.root", "the folder that holds <task>/<split>.parquet")
    return squad.from_folder(Path(root), task.name, **expected)


def _load_demo(params: Params) -> tuple[Mapping[str, pd.DataFrame], list[str]]:
    import pyarrow as pa

    from pipeline.data import demo, glue

    generator = params.task.generator
    if generator is None:
        raise ValueError("task.generator: missing; data.source demo needs its numbers of rows")
    made = demo.generate(generator=generator, seed=params.seed)
    tables = {
        split: (f"demo {split}", pa.Table.from_pandas(frame, preserve_index=False))
        for split, frame in made.splits.items()
    }
    checked = glue.check_splits(tables, params.task.sentence_columns, _num_classes(params))
    return checked, made.corpus


def _cut(params: Params, labelled: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    task = params.task
    if missing := [name for name in task.validation_splits if name not in labelled]:
        raise DataError([f"task.validation_splits: no split {missing}; there are {sorted(labelled)}"])
    how: dict[str, Any] = {"seed": params.seed, "stratify": task.kind == "classification"}
    most = {TRAIN: params.data.max_train_rows} | dict.fromkeys(
        task.validation_splits, params.data.max_validation_rows
    )
    kept = {
        name: cap_rows(labelled[name], max_rows=rows, setting=f"data.max_{_kind(name)}_rows", **how)
        for name, rows in most.items()
    }
    judged = {name: kept[name] for name in task.validation_splits}
    if chosen_on(params) in judged:
        train, selection = kept[TRAIN], judged[chosen_on(params)]
    elif task.answering is not None:
        # By article; a context that stands under two titles counts to the first.
        articles = kept[TRAIN].groupby(CONTEXT)[TITLE].transform("first").tolist()
        train, selection = hold_out_groups(
            kept[TRAIN], articles, fraction=task.selection_fraction, seed=params.seed
        )
    else:
        train, selection = hold_out(kept[TRAIN], fraction=task.selection_fraction, **how)
    return {TRAIN: train, SELECTION: selection, **judged}


def _kind(split: str) -> str:
    return split if split == TRAIN else "validation"


def _summarise(
    params: Params, splits: Mapping[str, pd.DataFrame], rows_read: Mapping[str, int]
) -> dict[str, Any]:
    keys = {name: text_keys(frame, params.task.sentence_columns) for name, frame in splits.items()}
    return {
        "task": params.task.name,
        **_origin(params),
        "seed": params.seed,
        "train_rows_read": rows_read[TRAIN],
        "validation_rows_read": {name: rows_read[name] for name in params.task.validation_splits},
        **({"selection_is": chosen_on(params)} if is_optimistic(chosen_on(params)) else {}),
        "splits": {
            name: {
                "rows": len(frame),
                "labels": _label_counts(params, frame),
                "duplicates": count_duplicates(keys[name]),
                "texts_with_two_labels": count_contradictions(_labelled(frame), keys[name]),
                "rows_also_in_train": None if name == TRAIN else count_overlap(keys[name], keys[TRAIN]),
                **_context_counts(frame, splits[TRAIN], is_train=name == TRAIN),
            }
            for name, frame in splits.items()
        },
    }


def _origin(params: Params) -> dict[str, Any]:
    """Where the rows came from: the Hub's pinned revision, or the sha256 of each file of a folder."""
    if params.data.source == "hub":
        return {"source": "hub", "repository": params.data.repository, "revision": params.data.revision}
    if params.data.source == "demo":
        return {"source": "demo"}
    above = "glue" if params.task.answering is None else ""
    folder = Path(str(params.data.root)) / above / params.task.name
    read = {split: f"{split}.parquet" for split in (TRAIN, *params.task.validation_splits)}
    return {"source": "path", "read": {split: files.sha256(folder / name) for split, name in read.items()}}


def _label_counts(params: Params, frame: pd.DataFrame) -> dict[str, float | int]:
    """Rows per label name; least, mean and greatest of scores; questions with an answer and without."""
    labels = _labelled(frame)[LABEL]
    if params.task.answering is not None:
        return {"answer": int(labels.sum()), "no answer": int((~labels).sum())}
    if params.task.kind == "regression":
        return {"min": float(labels.min()), "mean": float(labels.mean()), "max": float(labels.max())}
    return {name: int((labels == number).sum()) for number, name in enumerate(params.task.label_names)}


def _labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """Questions get a label: whether they have an answer."""
    return frame if LABEL in frame.columns else frame.assign(**{LABEL: frame[TEXTS].map(len) > 0})


def _context_counts(frame: pd.DataFrame, train: pd.DataFrame, *, is_train: bool) -> dict[str, int | None]:
    """Of questions: how many contexts and articles they are about, and whether train knows the contexts."""
    if CONTEXT not in frame.columns or TITLE not in frame.columns:
        return {}
    contexts = set(frame[CONTEXT])
    return {
        "contexts": len(contexts),
        "articles": int(frame[TITLE].nunique()),
        "contexts_also_in_train": None if is_train else len(contexts & set(train[CONTEXT])),
    }


def _write(folder: Path, splits: Mapping[str, pd.DataFrame], summary: dict[str, Any]) -> None:
    for name, frame in splits.items():
        path = write_split(folder, name, frame)
        summary["splits"][name]["sha256"] = files.sha256(path)
    files.write_json(folder / SUMMARY, summary)


def _write_corpus(folder: Path, corpus: list[str] | None) -> None:
    if corpus is None:
        files.write_json(folder / SUMMARY, {"rows": 0, "note": "this source has no corpus to pre-train on"})
        return
    path = write_split(folder, CORPUS, pd.DataFrame({"text": corpus}))
    files.write_json(folder / SUMMARY, {"rows": len(corpus), "sha256": files.sha256(path)})


def _num_classes(params: Params) -> int | None:
    return params.task.num_labels if params.task.kind == "classification" else None


def _required(value: str | None, name: str, meaning: str) -> str:
    if value is None:
        raise ValueError(f"{name}: missing; data.source needs {meaning}")
    return value
