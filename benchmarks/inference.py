"""A packed model's speed beside that of the engines one would take instead, on one machine, in turns.

    pip install -e '.[bench]' --constraint constraints.txt
    python benchmarks/inference.py [--model base mini] [--shapes 1x16,1x128,32x128] [--engines w1a8,w1a1]
                                   [--threads 1 2] [--rounds 9] [--starts 2] [--isa avx2] [--json]

One process per engine; the others sleep on a pipe while one computes. With 1 thread the time is the
processor's, with more it is the wall's. Every engine takes ids and gives a classifier's logits. Weights are
random, made once, in some minutes, and kept under .bitladder/bench (delete it to have them made again). An
engine that is not installed is left out. Exported models (onnxruntime-w1a8,
onnxruntime-w1a8-in-8-bits: docs/onnx.md) are measured where they are named. Without options it takes about 9
minutes on two cores; each model, shape and number of threads can as well be asked for alone, and engines
compared are those of one call.

`--isa` holds every engine to a set of instructions, as if the processor had no more: ours by
BITLADDER_ENGINE, OpenVINO and torch by the variables of oneDNN, torch and MKL. ONNX Runtime has none and is
left out.

A first answer is a fresh process's, from its start to the logits of 16 tokens, imports and loading included,
what engines keep on disk (files' cache, compiled kernels) being there already; it is told of 1 thread.
Memory is all that a process has, libraries included, after the calls of a shape; shapes are taken in the
order of their size. A ratio is taken within each round, between two medians of calls that ran next to each
other; its median over the rounds is what is reported.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from statistics import median
from typing import Any

from engines import ENGINES, Engine
from interleaved import HERE, Answer, Middle, Worker, as_markdown, middle, started, take_turns

WORKER = HERE / "inference_worker.py"
CACHE = HERE.parent / ".bitladder" / "bench"
MODELS = {"base": "bert-base", "mini": "minilm"}
# What holds ours, oneDNN (which OpenVINO and torch use), torch itself and MKL to a set of instructions.
_NAMES = ("BITLADDER_ENGINE", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")
ISAS = {
    "avx2": ("avx2", "AVX2", "avx2", "AVX2"),
    "avx_vnni": ("avx_vnni", "AVX2_VNNI", "avx2", "AVX2"),
    "avx512_vnni": ("avx512_vnni", "AVX512_CORE_VNNI", "avx512", "AVX512_E1"),
    "amx": ("amx", "AVX512_CORE_AMX", "avx512", "AVX512_E4"),
}
MANY_TOKENS = 1000  # from here on a call is long enough to be timed alone, and in fewer rounds
CALLS, FEWER = 3, 3
PACKAGES = ("numba", "llvmlite", "torch", "onnxruntime", "openvino", "nncf")
_USUAL = [name for name, engine in ENGINES.items() if not engine.exported]
Say = Callable[[str], None]
Shape = tuple[int, int]


@dataclass(frozen=True)
class Cell:
    """One engine on one shape.

    Attributes:
        seconds_of_rounds: of each call, round by round.
        resident_mib: after the last call.
    """

    seconds_of_rounds: list[list[float]]
    resident_mib: float

    @property
    def milliseconds(self) -> Middle:
        return middle([1000 * seconds for calls in self.seconds_of_rounds for seconds in calls])


def ratio(own: Cell, rival: Cell) -> Middle:
    """Own time over the rival's."""
    pairs = zip(own.seconds_of_rounds, rival.seconds_of_rounds, strict=True)
    return middle([median(calls) / median(others) for calls, others in pairs])


@dataclass(frozen=True)
class Timed:
    """One engine's figures.

    Attributes:
        first_answer_seconds: of fresh processes.
        logits: of the first row at 1x16, to see that engines compute the same model.
    """

    file_bytes: int
    first_answer_seconds: Middle
    logits: list[float]
    shapes: dict[str, Cell]


@dataclass(frozen=True)
class Measured:
    """One model, one number of threads: engines by name, and of those that were not measured, why.

    Attributes:
        isa: the instructions that all were held to; None: all of the processor's.
    """

    model: str
    threads: int
    engines: dict[str, Timed]
    left_out: dict[str, str]
    processor: str
    isa: str | None = None

    def ratios(self) -> list[tuple[str, str, str, Middle]]:
        """Ours, the shape, a rival, and the ratio of their times, for all that were measured."""
        own = {name: timed for name, timed in self.engines.items() if ENGINES[name].is_ours}
        return [
            (name, shape, rival, ratio(cell, other.shapes[shape]))
            for name, timed in own.items()
            for shape, cell in timed.shapes.items()
            for rival, other in self.engines.items()
            if rival not in own
        ]


def measure(
    model: str,
    shapes: Sequence[Shape],
    engines: Sequence[Engine],
    threads: int,
    rounds: int,
    starts: int,
    say: Say,
    isa: str | None = None,
) -> Measured:
    """Time those engines that can run, their files made first where they are not there."""
    left_out: dict[str, str] = {}
    first: dict[str, list[Answer]] = {}
    begin = partial(_start, model=model, threads=threads, isa=isa)
    with ExitStack() as stack:
        workers = []
        for engine in engines:
            try:
                if isa and not engine.can_be_held:
                    raise RuntimeError(f"cannot be held to {isa}")
                _make(engine, model, say)
                for _ in range(starts):
                    with ExitStack() as fresh:
                        first.setdefault(engine.name, []).append(begin(fresh, engine)[1])
                worker, answer = begin(stack, engine)
            except RuntimeError as error:
                left_out[engine.name] = str(error).strip().rpartition("\n")[2]
                say(f"{engine.name}: left out: {left_out[engine.name]}")
                continue
            workers.append(worker)
            first.setdefault(engine.name, []).append(answer)
        cells = {f"{shape[0]}x{shape[1]}": _turns(workers, *shape, threads, rounds) for shape in shapes}
    # The first start of all may have compiled kernels or read files from disk.
    warm = {worker.name: first[worker.name][1:] or first[worker.name] for worker in workers}
    found = {
        name: Timed(
            file_bytes=ENGINES[name].file_bytes(CACHE / model),
            first_answer_seconds=middle([answer["seconds"] for answer in answers]),
            logits=answers[-1]["logits"],
            shapes={shape: cell[name] for shape, cell in cells.items()},
        )
        for name, answers in warm.items()
    }
    return Measured(model, threads, found, left_out, processor(), isa)


def _make(engine: Engine, model: str, say: Say) -> None:
    """Make a file that is not there, in a process of its own: converters take and keep much memory.

    Raises:
        RuntimeError: its last line says what is not installed, or what went wrong.
    """
    if absent := engine.missing():
        raise RuntimeError(f"{', '.join(absent)} not installed")
    if not (CACHE / model / engine.folder).is_dir():
        say(f"{model}: making {engine.folder}")
        command = [str(HERE / "engine_files.py"), engine.name, MODELS[model], str(CACHE / model)]
        ended = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(ended.stderr.strip() or "ended without a word")


def _start(
    stack: ExitStack, engine: Engine, *, model: str, threads: int, isa: str | None
) -> tuple[Worker, Answer]:
    """A worker and its first answer, which has the `seconds` from its start on."""
    wanted = json.dumps({"engine": engine.name, "model": str(CACHE / model), "threads": threads})
    begin = time.monotonic()
    held = dict(zip(_NAMES, ISAS[isa], strict=True)) if isa else {}
    worker = stack.enter_context(started(engine.name, [str(WORKER), wanted], threads=threads, **held))
    worker.ask(rows=1, tokens=16, repeats=1)
    answer = worker.answer()
    return worker, {**answer, "seconds": time.monotonic() - begin}


def _turns(workers: Sequence[Worker], rows: int, tokens: int, threads: int, rounds: int) -> dict[str, Cell]:
    """One call to warm up, then `rounds` times each in turn, or a third of that where a call takes long."""
    is_long = rows * tokens >= MANY_TOKENS
    answers = take_turns(
        workers,
        warm_up={"rows": rows, "tokens": tokens, "repeats": 1},
        rounds=min(rounds, max(FEWER, rounds // FEWER)) if is_long else rounds,
        request={"rows": rows, "tokens": tokens, "repeats": 1 if is_long else CALLS},
    )
    clock = "cpu_seconds" if threads == 1 else "wall_seconds"
    return {
        name: Cell([answer[clock] for answer in found[1:]], found[-1]["resident_mib"])
        for name, found in answers.items()
    }


def processor() -> str:
    """Its name and the cores that may be used."""
    sys.path.insert(0, str(HERE.parent))  # the clone, where it is not installed
    from bitladder.runtime.kernels import isa

    return f"{isa.processor()}, {isa.cores()} cores"


def as_text(measured: Measured) -> str:
    """Two tables: times and memory of each engine, and ratios between ours and the others."""
    shapes = list(dict.fromkeys(shape for timed in measured.engines.values() for shape in timed.shapes))
    names = ["first answer s"] if measured.threads == 1 else []
    times = [["engine", *shapes, "file MB", f"resident MiB, {' / '.join(shapes)}", *names]]
    for name, timed in measured.engines.items():
        memory = " / ".join(f"{cell.resident_mib:.0f}" for cell in timed.shapes.values())
        row = [name, *(cell.milliseconds.text(1) for cell in timed.shapes.values())]
        row += [f"{timed.file_bytes / 1e6:.1f}", memory, f"{timed.first_answer_seconds.median:.2f}"]
        times.append(row[: len(times[0])])
    ratios: dict[tuple[str, str], dict[str, str]] = {}
    for own, shape, rival, found in measured.ratios():
        ratios.setdefault((own, shape), {})[rival] = found.text(3)
    rivals = [name for name in measured.engines if not ENGINES[name].is_ours]
    compared = [["ours", "shape", *rivals], *([*key, *cells.values()] for key, cells in ratios.items())]
    threads = "1 thread, CPU" if measured.threads == 1 else f"{measured.threads} threads, wall"
    held = f", all held to {measured.isa}" if measured.isa else ""
    return (
        f"{measured.processor}{held}\n"
        f"{measured.model}, {threads} time, ms: median [quartiles]\n\n{as_markdown(times, words=1)}\n\n"
        "ratios of time, ours / rival: median [quartiles] over rounds\n\n"
        f"{as_markdown(compared, words=2)}\n"
    )


def as_dict(measured: Measured) -> dict[str, Any]:
    """Everything, seconds of every call included; no name of a host and no time of day."""
    engines = {name: asdict(timed) for name, timed in measured.engines.items()}
    for name, timed in measured.engines.items():
        for shape, cell in timed.shapes.items():
            engines[name]["shapes"][shape]["milliseconds"] = asdict(cell.milliseconds)
    return {
        "model": measured.model,
        "processor": measured.processor,
        "isa": measured.isa,
        "threads": measured.threads,
        "clock": "cpu" if measured.threads == 1 else "wall",
        "left_out": measured.left_out,
        "engines": engines,
        "ratios": [
            {"engine": own, "rival": rival, "shape": shape, **asdict(found)}
            for own, shape, rival, found in measured.ratios()
        ],
    }


def shapes_of(text: str) -> list[Shape]:
    """ROWSxTOKENS, several with commas between them. Raises ArgumentTypeError."""
    shapes = []
    for shape in text.split(","):
        rows, _, tokens = shape.partition("x")
        if not (rows.isdigit() and tokens.isdigit() and int(rows) and 0 < int(tokens) <= 512):
            raise argparse.ArgumentTypeError(f"{shape!r} is not ROWSxTOKENS with at most 512 tokens: 1x128")
        shapes.append((int(rows), int(tokens)))
    return shapes


def number(text: str, *, least: int = 1) -> int:
    """From `least` on. Raises ArgumentTypeError."""
    if not (text.isdecimal() and int(text) >= least):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
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
    parser.add_argument("--engines", type=engines_of, default=",".join(_USUAL))
    parser.add_argument("--threads", nargs="+", type=number, default=[1, 2])
    parser.add_argument("--rounds", type=number, default=9)
    more = "more processes, for first answers"
    parser.add_argument("--starts", type=partial(number, least=0), default=2, help=more)
    parser.add_argument("--isa", choices=ISAS, help="hold all engines to these instructions")
    parser.add_argument("--json", action="store_true", help="one JSON document, for programs")
    return parser.parse_args()


def main() -> None:
    asked = _arguments()
    shapes = sorted(asked.shapes, key=lambda pair: pair[0] * pair[1])
    found, say = [], partial(print, file=sys.stderr, flush=True)
    for model in asked.model:
        for threads in asked.threads:
            starts = asked.starts if threads == 1 else 0
            rounds = asked.rounds
            found.append(measure(model, shapes, asked.engines, threads, rounds, starts, say, asked.isa))
            if not asked.json:
                print(as_text(found[-1]), flush=True)
    if asked.json:
        versions = {name: metadata.version(name) for name in PACKAGES if find_spec(name) is not None}
        runs = [as_dict(one) for one in found]
        print(json.dumps({"rounds": asked.rounds, "versions": versions, "runs": runs}))


if __name__ == "__main__":
    main()
