"""A project in the working directory: a made-up GLUE task, prepared, and a ladder of a few steps per rung."""

from collections.abc import Sequence
from pathlib import Path

import made_up

from bitladder import files
from pipeline import paths
from pipeline.data.tables import read_split, write_split
from pipeline.params import Params
from pipeline.stages import prepare
from pipeline.training.fit_models import fit_rung, fit_teacher

LADDER = (
    "weights.w1.init_from=teacher",
    "weights_activations.w1a8.init_from=w1",
    "weights_activations.w1a4.init_from=w1a8",
    "weights_activations.w1a1.init_from=w1a4",
    # The arms are as short as the ladder: one rung each.
    *(f"~weights_activations.{arm}_start" for arm in ("w1a8_direct", "w1a1_random")),
    *(f"weights_activations.{arm}.init_from=teacher" for arm in ("w1a8_direct", "w1a1_random")),
    "+weights_activations.w1a1_random.init={encoder: random}",
)
SHORT = (
    *(f"budget.{kind}.steps=3" for kind in ("teacher", "rung", "binary_activations")),
    *(f"training.{kind}.batch_size=8" for kind in ("teacher", "rung", "binary_activations")),
    "budget.evaluations=2",
    "task.max_length=24",
)


def make(task: str, *overrides: str, ladder: Sequence[str] = LADDER) -> Params:
    """`prepare` has run, models/pretrained is a random BERT, data/<task>/augmented has every row twice."""
    source = made_up.glue(Path("source"), task)
    params = made_up.task_params(Path(), task, source, *ladder, *SHORT, *overrides)
    prepare.run(params, None)
    made_up.bert(paths.model_dir("pretrained"))
    rows = read_split(paths.data_dir(task, "plain"), "train")
    with files.publish(paths.data_dir(task, "augmented")) as folder:
        write_split(folder, "train", rows.loc[rows.index.repeat(2)].assign(origin="original"))
    return params


def climb(params: Params, *rungs: str) -> None:
    """Train the teacher and these rungs, in order."""
    fit_teacher(params)
    for name in rungs:
        fit_rung(params, name, stage="weights" if name in params.weights else "weights_activations")
