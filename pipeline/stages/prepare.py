"""Stage `prepare`: the task's splits, checked, cut and written; for the demo its corpus too.

Writes `data/<task>/plain/` (train, selection and each validation split) and `data/<task>/corpus/`. With
`evaluation.selection: validation` train stays whole, and selection is the first validation split once more.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from bitladder import files
from pipeline import kinds
from pipeline.data import demo, embedding_sets, sources
from pipeline.data.own import loading
from pipeline.data.own.splitting import GROUP, hold_out_groups_by_class
from pipeline.data.sources import TRAIN
from pipeline.data.splits import cap_rows, hold_out, hold_out_groups, text_keys
from pipeline.data.tables import write_split
from pipeline.kinds.checks import DataError
from pipeline.kinds.columns import CONTEXT, TITLE
from pipeline.params import Params
from pipeline.paths import data_dir
from pipeline.progress import say
from pipeline.tasks.selection import HELD_OUT as SELECTION
from pipeline.tasks.selection import chosen_on, is_optimistic

CORPUS = "corpus"
SUMMARY = "summary.json"


def run(params: Params, rung: str | None = None) -> None:
    """Raises DataError for wrong rows, IntegrityError for a torn file, HubError for a Hub out of reach."""
    labelled, corpus, rows_read = _load(params)
    splits = _cut(params, labelled)
    summary = _summarise(params, splits, rows_read)
    with files.publish(data_dir(params.task.name, "plain")) as folder:
        for name, frame in splits.items():
            summary["splits"][name]["sha256"] = files.sha256(write_split(folder, name, frame))
        files.write_json(folder / SUMMARY, summary)
    with files.publish(data_dir(params.task.name, CORPUS)) as folder:
        told: dict[str, Any] = {"rows": 0, "note": "this source has no corpus to pre-train on"}
        if corpus is not None:
            path = write_split(folder, CORPUS, pd.DataFrame({"text": corpus}))
            told = {"rows": len(corpus), "sha256": files.sha256(path)}
        files.write_json(folder / SUMMARY, told)
    for name, found in summary["splits"].items():
        counts = ", ".join(f"{key} {value}" for key, value in found.items() if key != "sha256")
        say(f"prepare {params.task.name} {name}: {counts}")


def _load(params: Params) -> tuple[Mapping[str, pd.DataFrame], list[str] | None, Mapping[str, int]]:
    """The labelled splits, checked, the corpus if the source has one, and how many rows each split had."""
    if params.data.source == "files":
        own = loading.load(params.task, params.data.files, params.seed)
        for note in own.notes:
            say(f"prepare {params.task.name}: {note}")
        return _own(params, own), None, own.rows_read
    if params.data.source == "corpus":
        made_of_text = embedding_sets.load(params.task, params.data)
        return made_of_text, None, {name: len(frame) for name, frame in made_of_text.items()}
    if params.data.source != "demo":
        read = sources.read(params.task, params.data)
        return read, None, {name: len(frame) for name, frame in read.items()}
    assert params.task.generator is not None
    made = demo.generate(generator=params.task.generator, seed=params.seed)
    tables = {
        split: (f"demo {split}", pa.Table.from_pandas(frame, preserve_index=False))
        for split, frame in made.splits.items()
    }
    checked = sources.check(tables, params.task)
    return checked, made.corpus, {name: len(frame) for name, frame in checked.items()}


def _own(params: Params, own: loading.Loaded) -> dict[str, pd.DataFrame]:
    """A person's rows, checked as those of every other source; train keeps its groups."""
    tables = {split: (split, loading.as_table(frame)) for split, frame in own.frames.items()}
    checked = sources.check(tables, params.task)
    return {**checked, TRAIN: checked[TRAIN].assign(**{GROUP: own.frames[TRAIN][GROUP]})}


def _cut(params: Params, labelled: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    task = params.task
    if missing := [name for name in task.validation_splits if name not in labelled]:
        raise DataError([f"task.validation_splits: no split {missing}; there are {sorted(labelled)}"])
    how: dict[str, Any] = {"seed": params.seed, "stratify": kinds.of(task).stratified}
    train = _capped(params, labelled[TRAIN], "max_train_rows", how)
    judged = {
        name: _capped(params, labelled[name], "max_validation_rows", how) for name in task.validation_splits
    }
    if chosen_on(params) in judged:
        selection = judged[chosen_on(params)]
    elif GROUP in train.columns:
        train, selection = hold_out_groups_by_class(
            train, fraction=task.selection_fraction, keep=1, setting="task.selection_fraction", **how
        )
    elif (groups := kinds.of(task).groups(train, task)) is not None:
        train, selection = hold_out_groups(train, groups, fraction=task.selection_fraction, seed=params.seed)
    else:
        train, selection = hold_out(train, fraction=task.selection_fraction, **how)
    splits = {TRAIN: train, SELECTION: selection, **judged}
    return {name: frame.drop(columns=GROUP, errors="ignore") for name, frame in splits.items()}


def _capped(params: Params, frame: pd.DataFrame, field: str, how: Mapping[str, Any]) -> pd.DataFrame:
    kind, task = kinds.of(params.task), params.task
    lists = kind.groups(frame, task) if kind.scores_lists else None
    return cap_rows(frame, max_rows=getattr(params.data, field), setting=f"data.{field}", lists=lists, **how)


def _summarise(
    params: Params, splits: Mapping[str, pd.DataFrame], rows_read: Mapping[str, int]
) -> dict[str, Any]:
    keys = {name: text_keys(frame, params.task.sentence_columns) for name, frame in splits.items()}
    known = set(keys[TRAIN])
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
                "labels": kinds.of(params.task).counts(frame, params.task),
                "duplicates": len(frame) - len(set(keys[name])),
                "texts_with_two_labels": _with_two_labels(params, frame, keys[name]),
                "rows_also_in_train": None if name == TRAIN else sum(key in known for key in keys[name]),
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
    if params.data.source == "corpus":
        return {"source": "corpus", "read": embedding_sets.digests(params.task, params.data)}
    if params.data.source == "files":
        read = params.data.files.by_split.items()
        return {"source": "files", "read": {split: files.sha256(Path(file)) for split, file in read}}
    paths = {
        split: sources.path_of(params.task, params.data, split)
        for split in (TRAIN, *params.task.validation_splits)
    }
    return {"source": "path", "read": {split: files.sha256(path) for split, path in paths.items()}}


def _with_two_labels(params: Params, frame: pd.DataFrame, keys: list[bytes]) -> int:
    labels = kinds.of(params.task).label_keys(frame)
    return int((labels.groupby(keys).nunique() > 1).sum())


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
