"""Stages as children of a process that has imported everything already, so that twenty kills take seconds.

    python stage_template.py          reads requests, a line of JSON each, from stdin

A request starts `flows.stage.main(arguments)` in a forked child: what runs is the stage's own command less
the start of the interpreter. Answers: the child's PID at once, its exit status when it has ended. Each step
that the child begins is a line of the file `steps`. `folder` and `arguments` are needed, the rest are faults:

    {"folder": "project", "arguments": ["weights", "w1"],
     "kill_at": ["mid data", 40], "seconds_per_step": 1, "environment": {"BITLADDER_FRESH": "1"},
     "too_much_memory_at": 7, "clock_s": -7200}
"""

import json
import os
import signal
import sys
import time
from functools import partial
from typing import Any

import torch
from writer_points import end_at

from flows import stage
from pipeline.stages import augment, evaluate, pack, prepare, pretrained, register, report
from pipeline.tasks.batches import Batch, Shuffled
from pipeline.training import fit_models

IMPORTED = (fit_models, augment, evaluate, pack, prepare, pretrained, register, report)  # for the children


def log_steps(seconds: float, too_much_memory_at: int | None) -> None:
    batch_of = Shuffled.__call__
    log = os.open("steps", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def ask(self: Shuffled, step: int) -> Batch:
        os.write(log, f"{step}\n".encode())
        time.sleep(seconds)
        if step == too_much_memory_at:
            torch.empty(1 << 50, dtype=torch.uint8)
        return batch_of(self, step)

    Shuffled.__call__ = ask  # type: ignore[method-assign]


def be_the_stage(request: dict[str, Any]) -> int:
    os.chdir(request["folder"])
    os.environ.update(request.get("environment", {}))
    output = os.open("output", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    log_steps(request.get("seconds_per_step", 0), request.get("too_much_memory_at"))
    if "clock_s" in request:
        now = time.time
        time.time = lambda: now() + request["clock_s"]
    if "kill_at" in request:
        end_at(*request["kill_at"], partial(os.kill, os.getpid(), signal.SIGKILL), setattr)
    try:
        return stage.main(request["arguments"])
    except SystemExit as left:
        return int(left.code or 0)


def serve() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = be_the_stage(json.loads(line))
            sys.stdout.flush()
            os._exit(code)
        print(pid, flush=True)  # noqa: T201
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    serve()
