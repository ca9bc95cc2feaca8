"""What is done with the rows beside training: their lengths and tokenizing, and `augment`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bitladder import files
from flows.rehearsal.apart import Answer
from flows.rehearsal.rows import LENGTHS
from flows.rehearsal.settings import SECONDS_OF_STEPS
from pipeline import paths
from pipeline.params import Params

if TYPE_CHECKING:
    from pipeline.training.clock import Moment

NEW_ROWS = (60, 240, 960)


def lengths(settings: Params, folder: Path) -> Answer:
    """Mean length of a batch, by its size, in shuffled rows; and what tokenizing a row costs."""
    from pipeline.data.tables import read_split
    from pipeline.evaluation import task as tasks
    from pipeline.training.clock import now, since

    os.chdir(folder)
    frame, started = read_split(Path(), LENGTHS), now()
    encoded = tasks.rows(tasks.read(frame, settings.task, paths.model_dir("pretrained")))
    seconds = [part / len(frame) for part in since(started)]
    tokens = {}
    for section in (settings.training.teacher, settings.training.rung, settings.training.binary_activations):
        batches = encoded.shuffled(
            section.batch_size, seed=settings.seed, bucket_batches=settings.training.bucket_batches
        )
        widths = [batches(step)["input_ids"].shape[1] for step in range(1, batches.per_epoch + 1)]
        tokens[str(section.batch_size)] = sum(widths) / len(widths)
    return {"tokens": tokens, "seconds_per_row": seconds}


def augmentation(settings: Params, folder: Path) -> Answer:
    """Seconds of `augment` for a few new rows, the first time and again, and for more while that is quick.

    Neighbours of a word are looked up once, so that few rows cost more than their share.
    """
    os.chdir(folder)
    made, seconds = [], []
    for new_rows in (NEW_ROWS[0], *NEW_ROWS):
        summary, timed = _augmented(settings, new_rows)
        made.append(sum(method["asked"] for method in summary["methods"].values()))
        seconds.append(timed)
        if timed[1] > SECONDS_OF_STEPS and len(made) > 2:
            break
    return {"rows": made, "seconds": seconds, "left_out": list(summary["left_out"])}


def _augmented(settings: Params, new_rows: int) -> tuple[Answer, "Moment"]:
    from pipeline.stages import augment
    from pipeline.training.clock import now, since

    few = settings.augmentation.model_copy(update={"max_rows": new_rows})
    started = now()
    augment.run(settings.model_copy(update={"augmentation": few}))
    timed = since(started)
    made = paths.data_dir(settings.task.name, "augmented")
    summary: Answer = files.read_json(made / "summary.json")
    return summary, timed
