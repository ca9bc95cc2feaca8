"""Time several engines side by side: one process each, taking turns, the idle ones blocked on a pipe.

In one process their thread pools would spoil each other. Taking turns lets whatever else the machine does
slow all of them alike, so ratios within a round hold where seconds do not. With one thread, CPU time also
leaves out the moments in which the core was somebody else's.

A worker reads lines of JSON, such as `{"steps": n}`, and answers each with one: what those steps took, and
anything it wants to tell. It ends when its input does.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import IO, Any

HERE = Path(__file__).resolve().parent
Answer = dict[str, Any]


@dataclass(frozen=True)
class Middle:
    """A median between its quartiles."""

    median: float
    low: float
    high: float

    def text(self, digits: int) -> str:
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}-{self.high:.{digits}f}]"


def middle(values: Sequence[float]) -> Middle:
    if len(values) == 1:
        return Middle(values[0], values[0], values[0])
    low, half, high = quantiles(values, n=4, method="inclusive")
    return Middle(half, low, high)


@dataclass(frozen=True)
class Worker:
    """A process that works when asked. When it died, `answer` raises RuntimeError with its last output."""

    name: str
    process: "subprocess.Popen[str]"
    output: IO[str]

    def ask(self, **request: int) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # `answer` tells
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()

    def answer(self) -> Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.output.seek(0)
            raise RuntimeError(f"{self.name}: ended with exit code {code}\n{self.output.read()[-4000:]}")
        found: Answer = json.loads(line)
        return found


@contextmanager
def started(name: str, command: Sequence[str], *, threads: int, **variables: str) -> Iterator[Worker]:
    """Run `python command` as a worker; at the end its input is closed, after an error it is killed.

    It finds the project's code, and its threads sleep while they wait. `variables` of the environment are its
    own.
    """
    own = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    own["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE)])
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **own, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        try:
            yield Worker(name, process, output)
        except BaseException:
            process.kill()
            raise


def take_turns(
    workers: Sequence[Worker], *, warm_up: Mapping[str, int], rounds: int, request: Mapping[str, int]
) -> dict[str, list[Answer]]:
    """Each worker's answers by its name: first to warming up, which all do at once, then one per round."""
    for worker in workers:
        worker.ask(**warm_up)
    answers = {worker.name: [worker.answer()] for worker in workers}
    for _ in range(rounds):
        for worker in workers:
            worker.ask(**request)
            answers[worker.name].append(worker.answer())
    return answers


def as_markdown(rows: Sequence[Sequence[object]], *, words: int) -> str:
    """A table whose first row is its head; all but the first `words` columns are numbers."""
    rules = [*["---"] * words, *["---:"] * (len(rows[0]) - words)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [rows[0], rules, *rows[1:]])
