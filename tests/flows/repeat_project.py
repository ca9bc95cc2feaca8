"""A project with the real dvc.yaml and a ladder of two rungs on a made-up CoLA, trained from two seeds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import made_up

from bitladder import files
from pipeline import paths
from pipeline.data.tables import write_split
from pipeline.params import Params
from pipeline.params_file import load

ROOT = Path(__file__).parents[2]
TASK = "cola"
# All but the two rungs are taken out of the default ladder.
LADDER = (
    *(f"~weights.{name}" for name in ("w8", "w4", "w2")),
    *(f"~weights_activations.{name}" for name in ("w1a4", "w1a1")),
    *(f"~weights_activations.{arm}{end}" for arm in ("w1a8_direct", "w1a1_random") for end in ("_start", "")),
    "weights.w1.init_from=teacher",
    "deliver=[w1,w1a8]",
    "claims=[]",
)
SHORT = (
    *(f"budget.{kind}.steps=6" for kind in ("teacher", "rung", "binary_activations")),
    *(f"training.{kind}.batch_size=8" for kind in ("teacher", "rung", "binary_activations")),
    *(f"augmentation.{method}=0" for method in ("contextual", "embedding")),
    "augmentation.swap=1",
    "training.checkpoint_every=2",
    "budget.evaluations=2",
    "task.max_length=24",
    "seeds=[0,1]",
)


def make(root: Path, stages: Path = ROOT / "pipeline" / "stages") -> Params:
    """Fill `root`: code by links, params.yaml, dvc.yaml, a source of rows and a pre-trained BERT.

    `stages`: what stands in for pipeline/stages.
    """
    (root / "flows").symlink_to(ROOT / "flows")
    (root / "bitladder").symlink_to(ROOT / "bitladder")
    (root / "pipeline").mkdir()
    for part in (ROOT / "pipeline").iterdir():
        if part.name not in ("stages", "__pycache__"):
            (root / "pipeline" / part.name).symlink_to(part)
    (root / "pipeline" / "stages").symlink_to(stages)
    shutil.copy(ROOT / "dvc.yaml", root)
    compose(root)
    command = [sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"]
    subprocess.run(command, cwd=root, env=environment(root), check=True)
    return load(root / "params.yaml")


def prepare(root: Path) -> None:
    """What `prepare`, `pretrained` and `augment` leave, with the same few rows in every split."""
    rows = made_up.rows(TASK, 8, seed=1)
    for kind in ("plain", "augmented"):
        with files.publish(root / paths.data_dir(TASK, kind)) as folder:
            for split in ("train", "selection", "validation"):
                write_split(folder, split, rows)
    shutil.copytree(root / "bert", root / paths.model_dir("pretrained"))


def compose(root: Path, *overrides: str) -> None:
    """Write params.yaml."""
    source = made_up.glue(root / "source", TASK)
    bert = made_up.bert(root / "bert") if not (root / "bert").exists() else root / "bert"
    model = (f"model.location={bert}", "model.source=path")
    made_up.task_params(root, TASK, source, *model, *LADDER, *SHORT, *overrides)


def environment(root: Path) -> dict[str, str]:
    unset = ("PREFECT_", "DVC_", "MLFLOW_", "BITLADDER_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    return {
        **inherited,
        "DVC_SITE_CACHE_DIR": str(root / "site"),
        "DVC_NO_ANALYTICS": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SHELL": "/bin/sh",
    }
