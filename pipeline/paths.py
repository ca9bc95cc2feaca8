"""Where each thing lies, relative to the project's root. The names are public: dvc.yaml repeats them."""

import os
import re
from pathlib import Path

from bitladder.files import WEIGHTS as WEIGHTS

PARAMS = Path("params.yaml")
DATA = Path("data")
MODELS = Path("models")
PACKED = Path("packed")
METRICS = Path("metrics")
REPORTS = Path("reports")
# What a person opens.
REPORT = REPORTS / "report.html"

# A model's training curve, beside its weights.
CURVE = "curve.csv"
# Shares of latent weights whose sign has changed since a rung began, by step and tensor, beside the curve.
SIGN_FLIPS = "sign_flips.csv"
# What `evaluate` found, for the table, the report and MLflow.
RESULTS = METRICS / "results.json"
# The same of the ladder trained from each other seed; evaluate averages over them.
SEEDS = METRICS / "seeds"

# Never versioned: resume state, servers, the default tracking store, timings.
WORK = Path(".bitladder")
DIGITS = 16  # of a training's fingerprint, in the names of its folders


def sqlite_address(database: Path) -> str:
    """`sqlite:///...` of a file. At ? such an address ends: a path that has one is written from here on."""
    place = str(database.absolute())
    return f"sqlite:///{os.path.relpath(place) if '?' in place else place}"


def data_dir(task: str, kind: str) -> Path:
    """`data/<task>/<kind>/`; kind is plain, augmented or corpus."""
    return DATA / task / kind


def model_dir(name: str) -> Path:
    """`models/<name>/`; name is pretrained, teacher or a rung."""
    return MODELS / name


def packed_dir(rung: str) -> Path:
    """`packed/<rung>/`: the deliverable."""
    return PACKED / rung


def seed_results(seed: int) -> Path:
    """`metrics/seeds/<seed>.json`: the models of one seed, in the shape that results.json has them."""
    return SEEDS / f"{seed}.json"


def seed_dir(seed: int) -> Path:
    """`.bitladder/seeds/<seed>/`: a project in which the ladder is trained from another seed."""
    return WORK / "seeds" / str(seed)


def states_dir(name: str) -> Path:
    """`.bitladder/work/<name>/`: what a stopped training of this model goes on from."""
    return WORK / "work" / name


def trainings(name: str) -> list[Path]:
    """The folders below `states_dir` of trainings that hold a state; set-aside ones have a suffix."""
    is_one = re.compile(f"[0-9a-f]{{{DIGITS}}}").fullmatch
    return sorted(path for path in states_dir(name).glob("*") if is_one(path.name) and state_steps(path))


def state_name(step: int) -> str:
    """Of the folder of a training's state after so many steps."""
    return f"step-{step:09d}"


def state_steps(training: Path) -> list[int]:
    """The steps of a training's states, oldest first."""
    names = (re.fullmatch(r"step-(\d{9,})", path.name) for path in training.glob("step-*"))
    return sorted(int(name[1]) for name in names if name)
