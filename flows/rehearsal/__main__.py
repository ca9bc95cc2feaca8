"""The pieces of a rehearsal, one after another.

`rows` (made as `prepare` makes them unless data/ has them), `pretrained`, `lengths`, `augment`, `teacher`,
and each rung, started from that teacher.
"""

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bitladder import files
from flows import environment, memory, processes
from flows.rehearsal import GIVEN_UP, LOG, REQUEST
from flows.rehearsal.apart import Answer, Piece, apart
from flows.rehearsal.data import augmentation, lengths
from flows.rehearsal.rows import lay_out
from flows.rehearsal.settings import with_absolute_places
from flows.rehearsal.training import train
from pipeline import params, paths
from pipeline.params import Params

if TYPE_CHECKING:
    from pipeline.training.clock import Moment

USED_BY_ALL = ("pandas", "pyarrow.parquet")
USED_BY_TRAINING = (
    "scipy.stats",
    "sklearn.metrics",
    "tokenizers",
    "transformers.models.bert.modeling_bert",
    "pipeline.training.fit_rung",
    "pipeline.training.fit_teacher",
    "pipeline.training.pretrain",
    "bitladder.transformers_model.model",
    "bitladder.packed.writing",
)


def main(arguments: list[str]) -> int:
    """Rehearse what FOLDER/request.json asks for."""
    processes.die_with_parent(signal.SIGKILL)
    environment.prepare()
    memory.keep_what_is_freed()
    os.environ.update(environment.OFFLINE)
    folder = Path(arguments[0]).absolute()
    settings = with_absolute_places(params.load(paths.PARAMS))
    rungs: list[str] = files.read_json(folder / REQUEST)["rungs"]
    _say({"piece": "start", "rows": _imported(USED_BY_ALL), "training": _imported(USED_BY_TRAINING)})

    stages: list[tuple[str, Piece]] = [
        ("rows", lambda: lay_out(settings, project=Path.cwd(), folder=folder)),
        ("pretrained", _training(settings, "pretrained", folder)),
        ("lengths", lambda: lengths(settings, folder)),
        ("augment", lambda: augmentation(settings, folder)),
        *((name, _training(settings, name, folder)) for name in ("teacher", *rungs)),
    ]
    with (folder / LOG).open("a") as log:
        for name, piece in stages:
            answer = apart(piece, log.fileno())
            _say({"piece": name, **answer})
            if "error" in answer and name in ("rows", "pretrained", "teacher"):
                return GIVEN_UP  # the others stand on these
    return 0


def _imported(modules: Sequence[str]) -> "Moment":
    """Import them; return seconds since this process began, on the wall and of the processors."""
    for name in modules:
        importlib.import_module(name)
    return time.time() - memory.started(), time.process_time()


def _training(settings: Params, name: str, folder: Path) -> Piece:
    def piece() -> Answer:
        os.chdir(folder)
        return train(settings, name)

    return piece


def _say(answer: Answer) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
