"""The one harness for faults: a driver that starts real stages, faults that stage_template.py puts into them,
and an oracle, which is what the same project comes to when nothing disturbs it.

Nothing of it is in the product: a fault is made from outside (a signal, a limit of the kernel, a file that is
spoilt) or patched into the forked child before the stage's own command begins.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import short_demo

from bitladder import files
from flows import graph
from pipeline.params import Params

ROOT = Path(__file__).parents[2]
CODE = ("bitladder", "flows", "pipeline")
PUBLISHED = ("data/*/*", "models/*", "packed/*", "reports/cards")


def variables() -> dict[str, str]:
    """What a child finds in its environment."""
    unset = ("PREFECT_", "DVC_", "MLFLOW_", "BITLADDER_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faults")])
    quiet = {"OMP_NUM_THREADS": "1", "DVC_SITE_CACHE_DIR": str(Path("site").absolute()), "SHELL": "/bin/sh"}
    own = {"PYTHONPATH": path, "DVC_NO_ANALYTICS": "1", **quiet}
    interpreter_first = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**inherited, **own, "PATH": interpreter_first}


def start(*command: str) -> "subprocess.Popen[str]":
    """`python COMMAND`, in a group of its own; what it says on stderr is added to the file `stderr`."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with Path("stderr").open("a") as stderr:
        return subprocess.Popen(
            [sys.executable, *command], env=variables(), stderr=stderr, text=True, process_group=0, **pipes
        )


class Template:
    """Runs stages in children of one process, without the seconds that imports take (stage_template.py)."""

    def __init__(self) -> None:
        self.process = start(str(ROOT / "tests" / "faults" / "stage_template.py"))

    def start(self, *stage: str, **faults: Any) -> int:
        """Begin a stage, `weights@w1` unless said otherwise, with these faults; its PID."""
        assert self.process.stdin is not None
        request = {"folder": str(Path.cwd()), "arguments": stage or ("weights", "w1"), **faults}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> int:
        """Wait for the stage; its exit code, negative when a signal killed it."""
        return self._answer()

    def run(self, *stage: str, **faults: Any) -> int:
        self.start(*stage, **faults)
        return self.end()

    def _answer(self) -> int:
        assert self.process.stdout is not None
        answer = self.process.stdout.readline()
        assert answer, "the template has ended"
        return int(answer)


@contextlib.contextmanager
def template(folder: Path) -> Iterator[Template]:
    with chdir(folder):
        made = Template()
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(made.process.pid, signal.SIGKILL)
        made.process.communicate()


def until(holds: Callable[[], bool], within_s: float = 60) -> None:
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < within_s
        time.sleep(0.001)


def begun() -> list[int]:
    """Steps that were begun, of all runs so far."""
    lines = Path("steps").read_text().split("\n") if Path("steps").exists() else [""]
    return [int(line) for line in lines[:-1]]


def make_graph(folder: Path, *overrides: str) -> Params:
    """The demo's whole graph at a few steps per model, in DVC, the code itself by links; nothing has run."""
    with chdir(folder):
        params = short_demo.write(*overrides)
        for name in CODE:
            Path(name).symlink_to(ROOT / name)
        shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
        Path("conf").mkdir()
        shutil.copy(ROOT / "conf" / "no_file", "conf/no_file")
        assert start("-m", "dvc", "init", "--quiet", "--no-scm").wait() == 0
    return params


def stages() -> list[tuple[str, ...]]:
    """Name and rung of every stage, inputs first, as DVC orders them."""
    return [tuple(address.split("@")) for address in graph.definitions()]


def digests() -> dict[str, str]:
    """sha256 of every published file, by its path: what a disturbed project is held against."""
    folders = [folder for pattern in PUBLISHED for folder in sorted(Path().glob(pattern))]
    found = {f"{folder}/{name}": sha for folder in folders for name, sha in files.verify(folder).items()}
    metrics = (path for path in sorted(Path("metrics").rglob("*")) if path.is_file())
    return found | {str(path): files.sha256(path) for path in metrics}


def leftovers() -> list[str]:
    """Temporary files and states that nobody needs any more."""
    work = [*Path().glob("*/.*.tmp"), *Path().glob("*/.*.old"), *Path().glob("data/*/.*")]
    return sorted(map(str, [*work, *Path(".bitladder/work").glob("*/*")]))
