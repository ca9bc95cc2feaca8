"""numba's compiler with the project's options, arrays over addresses, and object files of what it makes.

Kernels take addresses: their instructions do, and numba's arrays cost more to pass than a row to compute.
"""

import os
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding
from numba import njit, types
from numba.core import config
from numba.extending import intrinsic

from bitladder.runtime.kernels import isa

if isa.family() == isa.ARM and config.CPU_FEATURES is None:
    # numba would read them in /proc/cpuinfo, which is another processor's under emulation.
    config.CPU_NAME, config.CPU_FEATURES = isa.target()

# Nothing is reordered or fused but what is written so: results do not depend on the processor.
OPTIONS: dict[str, Any] = {"boundscheck": False, "nogil": True, "error_model": "numpy"}
# numba calls this when nobody refers to an array's memory any more. Arrays over addresses have none.
_FREE = """
declare void @llvm.trap()
define void @NRT_MemInfo_call_dtor(ptr %memory) {
  call void @llvm.trap()
  unreachable
}
"""


def compiled(function: Any) -> Any:
    """`function` as machine code, compiled at its first call."""
    return njit(**OPTIONS)(function)


def arrays(kind: Any) -> Any:
    """A function of an address and a size, or sizes: the array of that kind of numbers or records there."""

    @intrinsic
    def pointer(_: Any, address: Any) -> Any:
        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.intp), generate

    @compiled
    def at(address, size):
        return numba.carray(pointer(address), size)

    return at


floats_at, ints_at = arrays(types.float32), arrays(types.int32)


def object_file(
    function: Callable[..., None], num_arguments: int, name: str, processor: tuple[str, str]
) -> bytes:
    """`function` of so many whole numbers as `name(None's place, error's place, *arguments)`, returning 0.

    The function that numba makes for callers from C is left out: it refers to numba, for errors that are
    not raised here.

    Args:
        processor: LLVM's name of one, and the features that may be used.

    Raises:
        RuntimeError: this version of numba makes code that only runs where numba is, or numba is told of
            another processor: LLVM would end the process at the first instruction that it lacks.
    """
    if any(name in os.environ for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")):
        raise RuntimeError("NUMBA_CPU_NAME or NUMBA_CPU_FEATURES is set; kernels are made for this processor")
    signature = types.void(*[types.intp] * num_arguments)
    made = numba.cfunc(signature, **OPTIONS)(getattr(function, "py_func", function))
    module = binding.parse_assembly(made.inspect_llvm())
    external = binding.Linkage.external
    [wanted] = [one for one in _defined(module) if one.linkage == external and one.name != made.native_name]
    wanted.name = name
    module.link_in(binding.parse_assembly(_FREE))
    for one in _defined(module):
        if one.name != name:
            one.linkage = "internal"
    cpu, features = processor
    options = {"opt": 3, "codemodel": "jitdefault", "jit": True}  # as numba has it
    target = binding.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, **options)
    passes = binding.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, binding.create_pass_builder(target, binding.create_pipeline_tuning_options()))
    _check_that_numba_is_not_needed(module)
    return bytes(target.emit_object(module))


def _defined(module: "binding.ModuleRef") -> list["binding.ValueRef"]:
    return [function for function in module.functions if not function.is_declaration]


def _check_that_numba_is_not_needed(module: "binding.ModuleRef") -> None:
    wanted = [one.name for one in module.functions if one.is_declaration and not one.name.startswith("llvm.")]
    wanted += [one.name for one in module.global_variables if one.is_declaration]
    numbas = ("numba_", "NRT_")
    if unknown := [n for n in wanted if binding.address_of_symbol(n) is None or n.startswith(numbas)]:
        raise RuntimeError(f"numba {numba.__version__}: compiled code asks for {unknown}")
