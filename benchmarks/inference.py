"""A packed model's speed beside that of the engines one would take instead, on one machine, in turns.

    pip install -e '.[bench]' --constraint constraints.txt
    python benchmarks/inference.py [--model base mini] [--shapes 1x16,1x128,32x128] [--engines w1a8,w1a1]
                                   [--threads 1 2] [--rounds 9] [--starts 2] [--json]

One process per engine; the others sleep on a pipe while one computes. With 1 thread the time is the
processor's, with more it is the wall's. Every engine takes ids and gives a classifier's logits. Weights are
random, made once, in some minutes, and kept under .bitladder/bench (`--remake`: made again). An engine that
is not installed is left out. Without options it takes about 9 minutes on two cores; each model, shape and
number of threads can as well be asked for alone, and engines compared are those of one call.

A first answer is a fresh process's, from its start to the logits of 16 tokens, imports and loading included,
what engines keep on disk (files' cache, compiled kernels) being there already; it is told of 1 thread.
Memory is all that a process has, libraries included, after the calls of a shape; shapes are taken in the
order of their size. A ratio is taken within each round, between two medians of calls that ran next to each
other; its median over the rounds is what is reported.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import root
from engines import ENGINES, Engine, file_bytes, is_made, missing
from interleaved import Answer, Worker, started, worker_environment

HERE = Path(__file__).resolve().parent
WORKER = HERE / "inference_worker.py"
CACHE = root.ROOT / ".bitladder" / "bench"
MODELS = {"base": "bert-base", "mini": "minilm"}
FIRST = {"rows": 1, "tokens": 16, "repeats": 1}
MANY_TOKENS = 1000  # from here on a call is long enough to be timed alone, and in fewer rounds
CALLS, FEWER = 3, 3
PACKAGES = ("numba", "llvmlite", "torch", "onnxruntime", "openvino", "nncf")
Say = Callable[[str], None]
Shape = tuple[int, int]


class Middle(NamedTuple):
    """A median between its quartiles."""

    median: float
    low: float
    high: float


def middle(values: Sequence[float]) -> Middle:
    if len(values) == 1:
        return Middle(values[0], values[0], values[0])
    low, half, high = quantiles(values, n=4, method="inclusive")
    return Middle(half, low, high)


@dataclass(frozen=True)
class Cell:
    """One engine on one shape.

    Attributes:
        rounds: seconds of each call, round by round.
        resident_mib: after the last call.
    """

    rounds: list[list[float]]
    resident_mib: float

    @property
    def milliseconds(self) -> Middle:
        return middle([1000 * seconds for calls in self.rounds for seconds in calls])


def ratio(own: Cell, rival: Cell) -> Middle:
    """Own time over the rival's."""
    pairs = zip(own.rounds, rival.rounds, strict=True)
    return middle([median(calls) / median(others) for calls, others in pairs])


@dataclass(frozen=True)
class Measured:
    """One model, one number of threads.

    Attributes:
        cells: by shape, by engine.
        first_answers, first_cpu: seconds of fresh processes, by engine.
        logits: of the first row at 1x16, to see that engines compute the same model.
        left_out: engines that were not measured, and why.
    """

    model: str
    threads: int
    cells: dict[str, dict[str, Cell]]
    first_answers: dict[str, Middle]
    first_cpu: dict[str, Middle]
    logits: dict[str, list[float]]
    files: dict[str, int]
    left_out: dict[str, str] = field(default_factory=dict)


def prepare(engines: Sequence[Engine], model: str, say: Say) -> tuple[list[Engine], dict[str, str]]:
    """Make files that are not there; those engines that can run, and why the others cannot."""
    ready, left_out = [], {}
    for engine in engines:
        if absent := missing(engine):
            left_out[engine.name] = f"{', '.join(absent)} not installed"
        elif reason := _made(engine, model, say):
            left_out[engine.name] = reason
        else:
            ready.append(engine)
    for name, reason in left_out.items():
        say(f"{name}: left out: {reason}")
    return ready, left_out


def _made(engine: Engine, model: str, say: Say) -> str | None:
    """What went wrong; in a process of its own, as converters take and keep much memory."""
    if is_made(engine, CACHE / model):
        return None
    say(f"{model}: making {engine.folder}")
    command = [sys.executable, str(HERE / "engine_files.py"), engine.name, MODELS[model], str(CACHE / model)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if ended.returncode == 0 else _last_line(ended.stderr)


def measure(
    model: str,
    shapes: Sequence[Shape],
    engines: Sequence[Engine],
    threads: int,
    rounds: int,
    starts: int,
    say: Say,
) -> Measured:
    ready, left_out = prepare(engines, model, say)
    first: dict[str, list[tuple[float, float]]] = {}
    with ExitStack() as stack:
        workers, logits = [], {}
        for engine in ready:
            try:
                for _ in range(starts):
                    with ExitStack() as fresh:
                        _, _, seconds = _start(fresh, engine, model, threads)
                        first.setdefault(engine.name, []).append(seconds)
                worker, answer, seconds = _start(stack, engine, model, threads)
            except RuntimeError as error:
                left_out[engine.name] = _last_line(str(error))
                say(f"{engine.name}: left out: {left_out[engine.name]}")
                continue
            workers.append(worker)
            logits[engine.name] = answer["logits"]
            first.setdefault(engine.name, []).append(seconds)
        cells = {
            f"{rows}x{tokens}": _turns(workers, rows, tokens, threads, rounds) for rows, tokens in shapes
        }
    # The first start of all may have compiled kernels or read files from disk.
    warm = {name: found[1:] or found for name, found in first.items()}
    return Measured(
        model=model,
        threads=threads,
        cells=cells,
        first_answers={name: middle([wall for wall, _ in found]) for name, found in warm.items()},
        first_cpu={name: middle([cpu for _, cpu in found]) for name, found in warm.items()},
        logits=logits,
        files={worker.name: file_bytes(ENGINES[worker.name], CACHE / model) for worker in workers},
        left_out=left_out,
    )


def _start(
    stack: ExitStack, engine: Engine, model: str, threads: int
) -> tuple[Worker, Answer, tuple[float, float]]:
    """A worker, its first answer, and that one's seconds: on the wall and of the processor."""
    wanted = json.dumps({"engine": engine.name, "model": str(CACHE / model), "threads": threads})
    variables = worker_environment(os.environ, {}, root=root.ROOT, threads=threads)
    begin = time.monotonic()
    command = [str(WORKER), wanted]
    worker = stack.enter_context(started(engine.name, command, variables))
    worker.ask(**FIRST)
    answer = worker.answer()
    return worker, answer, (time.monotonic() - begin, answer["process_cpu_seconds"])


def _turns(workers: Sequence[Worker], rows: int, tokens: int, threads: int, rounds: int) -> dict[str, Cell]:
    """One call to warm up, then `rounds` times each in turn, or a third of that where a call takes long."""
    clock = "cpu_seconds" if threads == 1 else "wall_seconds"
    repeats = 1 if rows * tokens >= MANY_TOKENS else CALLS
    rounds = min(rounds, max(FEWER, rounds // FEWER)) if rows * tokens >= MANY_TOKENS else rounds
    answers: dict[str, list[Answer]] = {worker.name: [] for worker in workers}
    for number in range(rounds + 1):
        for worker in workers:
            worker.ask(rows=rows, tokens=tokens, repeats=repeats if number else 1)
            answers[worker.name].append(worker.answer())
    return {
        name: Cell([answer[clock] for answer in found[1:]], found[-1]["resident_mib"])
        for name, found in answers.items()
    }


def as_markdown(measured: Measured) -> str:
    clock = "CPU time" if measured.threads == 1 else "wall time"
    threads = "1 thread" if measured.threads == 1 else f"{measured.threads} threads"
    parts = [f"{measured.model}, {threads}, {clock}, ms: median [quartiles]", "", *_times(measured), ""]
    parts += ["ratios of time, ours / rival: median [quartiles] over rounds", "", *_ratios(measured), ""]
    return "\n".join(parts)


def _times(measured: Measured) -> list[str]:
    first = (measured.first_answers, measured.first_cpu) if measured.threads == 1 else ()
    names = ["first answer s", "of it CPU s"][: len(first)]
    lines = [["engine", *measured.cells, "file MB", f"resident MiB, {' / '.join(measured.cells)}", *names]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 1)])
    for name, size in measured.files.items():
        cells = [found[name] for found in measured.cells.values()]
        times = [_middle(cell.milliseconds) for cell in cells]
        memory = " / ".join(f"{cell.resident_mib:.0f}" for cell in cells)
        starts = [f"{found[name].median:.2f}" for found in first]
        lines.append([name, *times, f"{size / 1e6:.1f}", memory, *starts])
    return [_row(line) for line in lines]


def _ratios(measured: Measured) -> list[str]:
    rivals = [name for name in measured.files if not ENGINES[name].is_ours]
    lines = [["ours", "shape", *rivals], ["---", "---", *["---:"] * len(rivals)]]
    for name in measured.files:
        if ENGINES[name].is_ours:
            lines += [
                [name, shape, *[_middle(ratio(cells[name], cells[rival]), 3) for rival in rivals]]
                for shape, cells in measured.cells.items()
            ]
    return [_row(line) for line in lines]


def _middle(found: Middle, digits: int = 1) -> str:
    return f"{found.median:.{digits}f} [{found.low:.{digits}f}-{found.high:.{digits}f}]"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_dict(measured: Measured) -> dict[str, Any]:
    """Everything, seconds of every call included; no name of a host and no time of day."""
    own = [name for name in measured.files if ENGINES[name].is_ours]
    rivals = [name for name in measured.files if not ENGINES[name].is_ours]
    return {
        "model": measured.model,
        "threads": measured.threads,
        "clock": "cpu" if measured.threads == 1 else "wall",
        "left_out": measured.left_out,
        "engines": {
            name: {
                "file_bytes": size,
                "first_answer_seconds": measured.first_answers[name]._asdict(),
                "first_answer_cpu_seconds": measured.first_cpu[name]._asdict(),
                "logits": measured.logits[name],
                "shapes": {
                    shape: {
                        "milliseconds": cells[name].milliseconds._asdict(),
                        "seconds_of_rounds": cells[name].rounds,
                        "resident_mib": cells[name].resident_mib,
                    }
                    for shape, cells in measured.cells.items()
                },
            }
            for name, size in measured.files.items()
        },
        "ratios": [
            {"engine": name, "rival": rival, "shape": shape, **ratio(cells[name], cells[rival])._asdict()}
            for shape, cells in measured.cells.items()
            for name in own
            for rival in rivals
        ],
    }


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "ended without a word"


def shapes_of(text: str) -> list[Shape]:
    """ROWSxTOKENS, several with commas between them. Raises ArgumentTypeError."""
    shapes = []
    for shape in text.split(","):
        rows, _, tokens = shape.partition("x")
        if not (rows.isdigit() and tokens.isdigit() and int(rows) and 0 < int(tokens) <= 512):
            raise argparse.ArgumentTypeError(f"{shape!r} is not ROWSxTOKENS with at most 512 tokens: 1x128")
        shapes.append((int(rows), int(tokens)))
    return shapes


def number(text: str) -> int:
    """From 1 on. Raises ArgumentTypeError."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def engines_of(text: str) -> list[Engine]:
    """Names with commas between them. Raises ArgumentTypeError."""
    names = text.split(",")
    if unknown := [name for name in names if name not in ENGINES]:
        raise argparse.ArgumentTypeError(f"no engine {unknown}; known: {', '.join(ENGINES)}")
    return [ENGINES[name] for name in names]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--shapes", type=shapes_of, default="1x16,1x128,32x128")
    parser.add_argument("--engines", type=engines_of, default=",".join(ENGINES))
    parser.add_argument("--threads", nargs="+", type=number, default=[1, 2])
    parser.add_argument("--rounds", type=number, default=9)
    parser.add_argument("--starts", type=number, default=2, help="more processes, for first answers")
    parser.add_argument("--remake", action="store_true", help="make the models' files again")
    parser.add_argument("--json", action="store_true", help="one JSON document, for programs")
    return parser.parse_args()


def main() -> int:
    asked = _arguments()
    shapes = sorted(asked.shapes, key=lambda pair: pair[0] * pair[1])
    found = []
    for model in asked.model:
        if asked.remake:
            shutil.rmtree(CACHE / model, ignore_errors=True)
        for threads in asked.threads:
            starts = asked.starts if threads == 1 else 0
            found.append(measure(model, shapes, asked.engines, threads, asked.rounds, starts, _say))
            if not asked.json:
                print(as_markdown(found[-1]), flush=True)
    if asked.json:
        runs = [as_dict(one) for one in found]
        print(json.dumps({"rounds": asked.rounds, "versions": versions(), "runs": runs}))
    return 0


def versions() -> dict[str, str]:
    """Of what is installed of the engines' libraries."""
    return {name: metadata.version(name) for name in PACKAGES if find_spec(name) is not None}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
