"""Time several engines side by side: one process each, taking turns, the idle ones blocked on a pipe.

In one process their thread pools would spoil each other. Taking turns lets whatever else the machine does
slow all of them alike, so ratios within a round hold where seconds do not. With one thread, CPU time also
leaves out the moments in which the core was somebody else's.

A worker reads lines of JSON, such as `{"steps": n}`, and answers each with one: what those steps took, and
anything it wants to tell. It ends when its input does.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any, NamedTuple

Answer = dict[str, Any]


class Spread(NamedTuple):
    """A median, and the range it comes from."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.least:.2f}-{self.most:.2f}]"


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


@dataclass(frozen=True)
class Worker:
    """A process that works when asked. RuntimeError, with the end of its output, tells that it died."""

    name: str
    process: "subprocess.Popen[str]"
    output: IO[str]

    def ask(self, **request: int) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def answer(self) -> Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise self._died()
        found: Answer = json.loads(line)
        return found

    def _died(self) -> RuntimeError:
        code = self.process.wait()
        self.output.seek(0)
        return RuntimeError(f"{self.name}: ended with exit code {code}\n{self.output.read()[-4000:]}")


@contextmanager
def started(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Worker]:
    """Run `python command` as a worker; at the end its input is closed, after an error it is killed."""
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            [sys.executable, *command],
            env=dict(environment),
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
    workers: Sequence[Worker], *, warm_up: int, rounds: int, steps: int
) -> dict[str, list[Answer]]:
    """Each worker's answers by its name: first to the steps of warming up, then one per round.

    Warming up (imports, building, the first steps) is done by all at once.
    """
    for worker in workers:
        worker.ask(steps=warm_up)
    answers = {worker.name: [worker.answer()] for worker in workers}
    for _ in range(rounds):
        for worker in workers:
            worker.ask(steps=steps)
            answers[worker.name].append(worker.answer())
    return answers


def worker_environment(
    inherited: Mapping[str, str], extra: Mapping[str, str], *, root: Path, threads: int
) -> dict[str, str]:
    """The variables of a worker: the project's code, and threads that sleep while they wait."""
    return {
        **inherited,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONPATH": str(root),
        **extra,
    }
