"""Threads that share one sequence: each takes the next piece of work, and all wait until the last is done.

A phase is some pieces that may be computed side by side. Nobody waits for a thread that has not begun:
whoever is there does all there is to do, and one that comes late finds the phases done. A thread that has to
wait asks again and again for some microseconds and then sleeps until it is woken (on Linux; elsewhere it
lets others run).

At the address of a team, for each phase: how many pieces were taken, how many are done, who sleeps; int32,
each in a cache line of its own. At 0 there is no team: the thread is alone.
"""

import platform
import sys

from llvmlite import ir

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.structs import PHASE_SIZE
from bitladder.runtime.kernels.vector_ir import I32, I64, Code, Value, instruction

_LOOKS = 300  # before a thread sleeps: about twenty microseconds
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0) if sys.platform == "linux" else 0
_WAIT, _WAKE = 128, 129  # for threads of one process


def _pointer(code: Code, address: Value) -> Value:
    return code.builder.inttoptr(address, I32.as_pointer())


@instruction("int32(uintp)")
def _one_more(code: Code, address: Value) -> Value:
    """Add 1; the number before."""
    return code.builder.atomic_rmw("add", _pointer(code, address), ir.Constant(I32, 1), "seq_cst")


@instruction("int32(uintp)")
def _read(code: Code, address: Value) -> Value:
    return code.builder.load_atomic(_pointer(code, address), "seq_cst", 4)


@instruction("void()")
def _pause(code: Code) -> None:
    if platform.machine() in ("x86_64", "AMD64"):
        code.call("llvm.x86.sse2.pause", ir.VoidType())


@instruction("void(uintp, int32, int32)")
def _ask_kernel(code: Code, address: Value, what: Value, number: Value) -> None:
    """Sleep unless the number there is another, or wake so many."""
    if not _FUTEX:
        return
    name, module = "syscall", code.builder.module
    kind = ir.FunctionType(I64, [I64], var_arg=True)
    function = module.globals[name] if name in module.globals else ir.Function(module, kind, name)
    whole = code.builder.zext(what, I64), code.builder.zext(number, I64)
    nothing = ir.Constant(I64, 0)
    code.builder.call(function, [ir.Constant(I64, _FUTEX), address, *whole, nothing, nothing, nothing])


@compiled
def take(team, phase, before):
    """The number of a piece that nobody has taken, counted from 0; `before`: the one taken last, -1 at
    first."""
    if team == 0:
        return before + 1
    return int(_one_more(team + phase * PHASE_SIZE))


@compiled
def done(team, phase, pieces):
    """The piece that was taken is done, of so many."""
    if team == 0:
        return
    place = team + phase * PHASE_SIZE + 64
    if _one_more(place) + 1 == pieces and _read(place + 64) > 0:
        _ask_kernel(place, _WAKE, 1 << 20)


@compiled
def wait(team, phase, pieces):
    """Until all are done."""
    if team == 0:
        return
    place = team + phase * PHASE_SIZE + 64
    for _ in range(_LOOKS):
        if _read(place) == pieces:
            return
        _pause()
    _one_more(place + 64)
    found = _read(place)
    while found != pieces:
        _ask_kernel(place, _WAIT, found)
        found = _read(place)
