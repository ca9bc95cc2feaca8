"""A made-up CoLA with a trained teacher, whose rung w1 the stage's command trains, in two processes unless
changed. One of them, that of rank 1, can be struck before a step of the optimizer: once in each start."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ladder_project

from bitladder import files
from pipeline.params import Params
from pipeline.params_file import load
from pipeline.training.fit_models import fit_teacher

ROOT = Path(__file__).parents[2]
STEPS, EVERY = 12, 4
SETTINGS = (
    f"budget.rung.steps={STEPS}",
    f"training.checkpoint_every={EVERY}",
    "training.rung.batch_size=7",  # 48 rows are seven batches, the last of six: never halves
)
COMMAND = ("flows.stage", "weights", "w1")
# Python runs this before anything else where it finds it on its path. `strikes` has a line per start: how,
# and before which of the steps that this start takes.
STRIKE = """
import os
from pathlib import Path

strikes = Path("strikes").read_text().splitlines() if Path("strikes").exists() else []
if os.environ.get("RANK") == "1" and strikes:
    import signal, time, torch

    how, at = strikes[0].split()
    step, taken = torch.optim.AdamW.step, 0

    def struck(self, *arguments):
        global taken
        taken += 1
        if taken == int(at):
            Path("strikes").write_text("\\n".join(strikes[1:]))
            os.kill(os.getpid(), signal.SIGKILL) if how == "kill" else time.sleep(600)
        return step(self, *arguments)

    torch.optim.AdamW.step = struck
"""


@dataclass(frozen=True)
class Project:
    """One such project in a folder."""

    root: Path

    def copy(self, to: Path) -> "Project":
        return Project(Path(shutil.copytree(self.root, to)))

    def params(self) -> Params:
        return load(self.root / "params.yaml")

    def set(self, name: Literal["processes", "dropout"], value: float) -> None:
        """Change params.yaml: `dropout` is that of every optimization."""
        path = self.root / "params.yaml"
        path.write_text(re.sub(rf"{name}: [\d.]+", f"{name}: {value}", path.read_text()))

    def start(self, *module: str, **environment: str) -> "subprocess.Popen[str]":
        """`python -m MODULE ...` in the project, in a group of its own."""
        unset = ("PREFECT_", "DVC_", "MLFLOW_", "BITLADDER_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
        places = {"PYTHONPATH": f"{self.root / 'strike'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=self.root,
            env={**inherited, **places, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def train(self, **environment: str) -> str:
        """Train w1 by its stage; returns what was said. Fails unless the stage succeeds."""
        process = self.start(*COMMAND, **environment)
        out, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return out + said

    def digest(self) -> str:
        return files.sha256(self.root / "models/w1/model.safetensors")

    def curve(self) -> list[tuple[int, float]]:
        rows = (self.root / "models/w1/curve.csv").read_text().splitlines()[1:]
        return [(int(row.split(",")[0]), float(row.split(",")[1])) for row in rows]


def make(root: Path) -> Project:
    """In two processes, with dropout, unless changed."""
    with chdir(root):
        fit_teacher(ladder_project.make("cola", *SETTINGS))
    (root / "strike").mkdir()
    (root / "strike" / "sitecustomize.py").write_text(STRIKE)
    project = Project(root)
    project.set("processes", 2)
    project.set("dropout", 0.1)
    return project
