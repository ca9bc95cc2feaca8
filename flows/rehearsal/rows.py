"""The rows of a rehearsal: a few of each split, real ones where there are any; all of them are counted."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitladder import files
from flows.rehearsal.apart import Answer
from flows.rehearsal.settings import rows_to_score, rows_to_train_on
from pipeline import paths
from pipeline.evaluation.selection import HELD_OUT, chosen_on
from pipeline.params import Params

if TYPE_CHECKING:
    import pandas as pd

LENGTHS, ROWS_FOR_LENGTHS = "lengths", 2000


def lay_out(settings: Params, *, project: Path, folder: Path) -> Answer:
    """Lay out data/ in `folder` with a few rows of each split, real ones where there are any; count them all.

    Raises:
        DataError, IntegrityError: the rows that `prepare` would read are wrong.
    """
    from pipeline.stages import prepare
    from pipeline.training.clock import now, since

    started, own = now(), project / paths.data_dir(settings.task.name, "plain")
    if is_prepared(settings, own):
        os.chdir(folder)
        shutil.copytree(own.parent / "corpus", paths.data_dir(settings.task.name, "corpus"))
        return {"origin": "prepared", **_sample(settings, own)}
    os.chdir(folder)
    try:
        prepare.run(settings)
    except ConnectionError:  # the rows are on a hub, and rehearsals stay offline
        return {"origin": "assumed", **_assume(settings)}
    seconds = since(started)
    plain = paths.data_dir(settings.task.name, "plain")
    return {"origin": "made", "seconds": seconds, **_sample(settings, plain)}


def is_prepared(settings: Params, plain: Path) -> bool:
    """Whether the project's own data/<task>/plain is what `prepare` would write, as far as it tells."""
    try:
        summary = files.read_json(plain / "summary.json")
        files.verify(plain)
        files.verify(plain.parent / "corpus")
    except (OSError, ValueError, files.IntegrityError):
        return False
    said = (summary.get("source"), summary.get("seed"), summary.get("selection_is", HELD_OUT))
    generator = settings.task.generator
    as_many = generator is None or summary.get("train_rows_read") == generator.train_rows
    return said == (settings.data.source, settings.seed, chosen_on(settings)) and as_many


def _sample(settings: Params, plain: Path) -> Answer:
    """Publish a few rows of each split of `plain` under the working directory; count the rows of all."""
    from pipeline.data.tables import read_split

    names = ("train", "selection", *settings.task.validation_splits)
    frames = {name: read_split(plain, name) for name in names}
    _publish(settings, frames)
    judged = [len(frames[name]) for name in settings.task.validation_splits]
    counts = {"train": len(frames["train"]), "selection": len(frames["selection"])}
    return {**counts, "validation": judged[0], "judged": sum(judged), **_rehearsed(settings, frames)}


def _assume(settings: Params) -> Answer:
    """Rows nobody has seen yet: each as long as a row may be, their number unknown."""
    import pandas as pd

    task, number = settings.task, range(rows_to_train_on(settings))
    text = "the " * task.max_length
    columns: dict[str, Any] = {**dict.fromkeys(task.sentence_columns, text), "idx": number}
    if task.answering is None:
        columns["label"] = [n % 5 / 2 if task.kind == "regression" else n % task.num_labels for n in number]
    else:  # one window each, and an answer in it
        columns["context"] = "the " * (task.max_length - task.answering.max_question_length - 3)
        columns |= {"answer_texts": [["the"] for _ in number], "answer_starts": [[0] for _ in number]}
    frame = pd.DataFrame(columns)
    frames = dict.fromkeys(("train", "selection", *task.validation_splits), frame)
    _publish(settings, frames)
    unknown = dict.fromkeys(("train", "selection", "validation", "judged"))
    return {**unknown, **_rehearsed(settings, frames)}


def _publish(settings: Params, frames: "Mapping[str, pd.DataFrame]") -> None:
    from pipeline.data.tables import write_split

    columns = settings.task.sentence_columns
    write_split(Path(), LENGTHS, _some(frames["train"], ROWS_FOR_LENGTHS, longest_of=columns))
    with files.publish(paths.data_dir(settings.task.name, "plain")) as folder:
        for name, frame in frames.items():
            if name == "train":
                some = _some(frame, rows_to_train_on(settings), longest_of=columns)
            else:  # the longest row would widen the only batch, where it widens one of many
                some = _some(frame, rows_to_score(settings))
            write_split(folder, name, some)


def _rehearsed(settings: Params, frames: "Mapping[str, pd.DataFrame]") -> Answer:
    train = min(len(frames["train"]), rows_to_train_on(settings))
    return {"rehearsed": [train, min(len(frames["selection"]), rows_to_score(settings))]}


def _some(frame: "pd.DataFrame", number: int, *, longest_of: Sequence[str] = ()) -> "pd.DataFrame":
    """So many rows, evenly spread; with `longest_of`, the longest in these columns too, for its memory."""
    if len(frame) <= number:
        return frame
    spread = {position * len(frame) // number for position in range(number)}
    if longest_of:
        lengths = frame[list(longest_of)].apply(lambda texts: texts.str.len()).sum(axis=1)
        spread = {*sorted(spread)[1:], int(lengths.to_numpy().argmax())}
    return frame.iloc[sorted(spread)].reset_index(drop=True)
