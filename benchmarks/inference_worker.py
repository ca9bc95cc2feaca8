"""A worker of `inference.py`: one engine in a process of its own.

    python inference_worker.py '{"engine": "w1a8", "model": FOLDER, "threads": 1}'

Answers each line {"rows": B, "tokens": S, "repeats": n} of its input with one line of JSON: the seconds of
each of n calls, the resident memory after them, and the first row's logits.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import root  # noqa: F401
from running import Run, load, spread_ids


def serve(run: Run, requests: TextIO, answers: TextIO) -> None:
    for line in requests:
        asked = json.loads(line)
        answers.write(json.dumps(answer(run, asked["rows"], asked["tokens"], asked["repeats"])) + "\n")
        answers.flush()


def answer(run: Run, rows: int, tokens: int, repeats: int) -> dict[str, Any]:
    ids = spread_ids(rows, tokens)
    cpu_seconds, wall_seconds = [], []
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        logits = run(ids)
        cpu_seconds.append(time.process_time() - cpu)
        wall_seconds.append(time.perf_counter() - wall)
    return {
        "cpu_seconds": cpu_seconds,
        "wall_seconds": wall_seconds,
        "resident_mib": resident_mib(),
        "logits": [float(logit) for logit in logits[0]],
        "process_cpu_seconds": time.process_time(),
    }


def resident_mib() -> float:
    """What the process has in memory now, pages that it shares with others included."""
    path = Path("/proc/self/smaps_rollup")
    if not path.is_file():
        import psutil

        return float(psutil.Process().memory_info().rss / 2**20)
    [line] = [line for line in path.read_text().splitlines() if line.startswith("Rss:")]
    return int(line.split()[1]) / 1024


def main() -> None:
    wanted = json.loads(sys.argv[1])
    # What a library prints goes where errors go: the pipe is for answers alone.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(load(wanted["engine"], Path(wanted["model"]), wanted["threads"]), sys.stdin, answers)


if __name__ == "__main__":
    main()
