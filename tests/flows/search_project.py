"""A project as a search finds it: a small space, data, a teacher; and what stands in for training."""

import threading
from contextlib import chdir
from pathlib import Path

import repeat_project

from bitladder import files
from flows.search import kept
from flows.search.kept import Kept, Watch
from pipeline import paths

SPACE = """
# A small space.
target: w1a8
steps: 40
weights:
  w2: {bits: 2, init_from: [teacher], data: [plain, augmented], share: [0.25]}
  w1: {bits: 1, init_from: [teacher, w2], data: [plain, augmented], share: [0.25]}
weights_activations:
  w1a8:
    bits: 1
    activation_bits: 8
    init_from: [teacher, w1]
    data: [plain]
    learning_rate: [5.0e-4, 1.0e-3]
first:
  straight: {}
  stepped: {w1: {init_from: w2}, w1a8: {init_from: w1}}
"""
# To the target: straight; from w1, straight or by way of w2. Each at two rates.
LADDERS = 2 * (1 + 2 * (1 + 2))


def make(root: Path) -> None:
    """Fill `root` with all but the rungs; a teacher of no use is there."""
    repeat_project.make(root)
    repeat_project.prepare(root)
    with chdir(root):
        with files.publish(paths.model_dir("teacher")) as folder:
            files.write_text(folder / paths.WEIGHTS, "a teacher")
        write_space(SPACE)


def write_space(text: str, name: str = "small") -> None:
    files.write_text(Path("conf/search") / f"{name}.yaml", text)


def trained() -> list[Path]:
    """The rungs that were trained, one folder each; a rung's parent is a link in its folder."""
    return [path for path in kept.RUNGS.glob("*/models/*") if not path.is_symlink()]


class Work:
    """Stands in for training a rung: its scores are what `scores` says of it, and it may be stopped.

    Attributes:
        done: rungs that were trained, by name; `way` of each: with those it came from.
        killed_at: the rung at which the process ends without a word, once.
        waits: what the first trainings wait for, where they are to be under way at once.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.killed_at = ""
        self.waits: threading.Barrier | None = None
        self.fails: Exception | None = None

    def __call__(self, rung: Kept, watch: Watch) -> None:
        if self.waits is not None:
            self.waits.wait(timeout=60)
            self.waits = None
        if self.fails is not None:
            raise self.fails
        if rung.name == self.killed_at:
            self.killed_at = ""
            raise KilledError
        kept._settle(rung)
        settings = rung.values[rung.stage][rung.name]
        steps = settings["duration"]["steps"]
        last = score(rung)
        for number, step in enumerate((round(steps / 2), steps)):
            watch(step, last / 2 if number == 0 else last)
        self.done.append(rung.name)
        files.write_json(rung.folder / kept.SPENT, {"processor_seconds": 60.0})
        with files.publish(rung.model) as folder:
            made_from = rung.parent.key if rung.parent else "the teacher"
            files.write_text(folder / paths.WEIGHTS, f"{settings} from {made_from}")
            rows = [[round(steps / 2), 1.0, last / 2], [steps, 0.5, last]]
            files.write_text(folder / paths.CURVE, files.csv_text(["step", "loss", "score"], rows))

    def forget(self) -> None:
        self.done.clear()


class KilledError(BaseException):
    """As far as the search can see: it is not there any more."""


def score(rung: Kept) -> float:
    """The best ladder has both rungs on its way, augmented rows for w1, and the larger rate at the end."""
    settings = rung.values[rung.stage][rung.name]
    own = 0.1 * (settings["data"] == "augmented") + 0.05 * (settings.get("learning_rate") == 1e-3)
    return 0.1 + own + (score(rung.parent) if rung.parent else 0.0)
