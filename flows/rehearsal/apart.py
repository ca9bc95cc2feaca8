"""A piece of a rehearsal, done in a fork of this process, which has imported everything and computed nothing.

So imports are paid for and timed once, a piece's peak of memory is its own, and a piece that dies takes no
other with it.
"""

import json
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from flows import memory, processes

Answer = dict[str, Any]
Piece = Callable[[], Answer]

SECONDS_PER_PIECE = 300  # a piece that takes longer is given up


def apart(piece: Piece, log: int) -> Answer:
    """Do a piece in a fork of this process; what went wrong comes back as `error`."""
    read, write = os.pipe()
    files_before = memory.resident_files_mib()
    child = os.fork()
    if child == 0:
        os.close(read)
        _in_child(piece, log, write, files_before)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if told:
        answer: Answer = json.loads(told)
        return answer
    ended = os.waitstatus_to_exitcode(status)
    if ended == -signal.SIGALRM:
        return {"error": f"took longer than {SECONDS_PER_PIECE} s"}
    return {
        "error": "killed, probably for want of memory" if ended == -signal.SIGKILL else f"ended with {ended}"
    }


def _in_child(piece: Piece, log: int, write: int, files_before: float) -> NoReturn:
    try:
        processes.die_with_parent(signal.SIGKILL)
        signal.alarm(SECONDS_PER_PIECE)  # whose default is to end the process
        os.dup2(log, 1)
        os.dup2(log, 2)
        answer = piece()
        if "peak_mib" in answer:
            # A fork begins without its parent's pages of program code; a stage of its own has them.
            answer["peak_mib"] += max(0.0, files_before - memory.resident_files_mib())
    except BaseException as error:
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    with os.fdopen(write, "w") as pipe:
        pipe.write(json.dumps(answer))
    processes.exit_at_once(0)
