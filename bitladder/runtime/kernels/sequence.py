"""A whole model on one sequence, from token ids to logits, in one call of compiled code.

It is the only function that Python calls of a running model; machine_code.py keeps what is made of it here.
"""

import math

import numba
import numpy as np
from llvmlite import binding
from numba import types
from numba.core import config

from bitladder.runtime.kernels import encoder, floats, linear, tables
from bitladder.runtime.kernels.compiling import OPTIONS, arrays, floats_at
from bitladder.runtime.kernels.structures import MODEL, NORMS, PLACE, PLAIN, QUANTIZER, ROOM, TABLE

NUM_ARGUMENTS = 14
_models_at, _lookups_at, _places_at, _quantizers_at, _norms_at = (
    arrays(numba.from_dtype(record)) for record in (MODEL, TABLE, PLACE, QUANTIZER, NORMS)
)
_wholes_at = arrays(types.int64)
_EXTERNAL = binding.Linkage.external
# numba calls this when nobody refers to an array's memory any more. Arrays over addresses have none.
_FREE = """
declare void @llvm.trap()
define void @NRT_MemInfo_call_dtor(ptr %memory) {
  call void @llvm.trap()
  unreachable
}
"""


def answer(
    model_at,
    lookups_at,
    places_at,
    quantizers_at,
    norms_at,
    pooler_at,
    num_layers,
    ids_at,
    segments_at,
    length,
    mask_at,
    x_at,
    out_at,
    room,
):
    """out [1 or S, num_outputs]: what the head makes of the sequence, without its bias.

    At model, lookups [3], places [layers, 6], quantizers [layers, 4], norms [layers, 2], pooler [1]: records
    of MODEL, TABLE and of what `encoder.encode` takes. At ids, segments: int64 [S]. x: room for S rows.
    """
    lookups = _lookups_at(lookups_at, 3)
    places = _places_at(places_at, (num_layers, 6))
    quantizers = _quantizers_at(quantizers_at, (num_layers, 4))
    norms = _norms_at(norms_at, (num_layers, 2))
    pooler = _places_at(pooler_at, 1)
    ids, segments = _wholes_at(ids_at, length), _wholes_at(segments_at, length)
    own = _models_at(model_at, 1)[0]
    hidden, epsilon = own.hidden, own.epsilon
    tables.embed(lookups, ids, segments, x_at, hidden, own.norm_weight_at, own.norm_bias_at, epsilon)
    rows = own.is_pooled if own.is_pooled else length
    encoder.encode(
        places,
        quantizers,
        norms,
        x_at,
        length,
        rows,
        hidden,
        own.num_heads,
        own.neurons,
        mask_at,
        epsilon,
        own.activation,
        room,
    )
    width = own.num_outputs
    if own.is_pooled:
        # Neither number is a literal, so that `linear` is compiled only once.
        pooled, one, plain = room + ROOM, own.is_pooled, np.int64(PLAIN)
        linear.linear(pooler[0], x_at, hidden, one, pooled, hidden, x_at, hidden, plain, room)
        first, found = floats_at(x_at, hidden), floats_at(pooled, hidden)
        for i in range(hidden):
            first[i] = math.tanh(found[i])
    floats.multiply(x_at, hidden, own.head_at, width, own.ones_at, out_at, width, rows, width, hidden)


def machine_code(name: str) -> bytes:
    """An object file with `name(None's place, error's place, *arguments)`, which returns 0: `answer`.

    The function that numba makes for callers from C is left out: it refers to numba, for errors that are
    not raised here.

    Raises:
        RuntimeError: this version of numba makes code that only runs where numba is, or numba is told of
            another processor: LLVM would end the process at the first instruction that it lacks.
    """
    if config.CPU_NAME is not None or config.CPU_FEATURES is not None:
        raise RuntimeError("NUMBA_CPU_NAME or NUMBA_CPU_FEATURES is set; kernels are made for this processor")
    signature = types.void(*[types.intp] * NUM_ARGUMENTS)
    made = numba.cfunc(signature, **OPTIONS)(answer)
    module = binding.parse_assembly(made.inspect_llvm())
    [wanted] = [one for one in _defined(module) if one.linkage == _EXTERNAL and one.name != made.native_name]
    wanted.name = name
    module.link_in(binding.parse_assembly(_FREE))
    for function in _defined(module):
        if function.name != name:
            function.linkage = "internal"
    target = _target()
    passes = binding.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, binding.create_pass_builder(target, binding.create_pipeline_tuning_options()))
    _check(module)
    return bytes(target.emit_object(module))


def _defined(module: "binding.ModuleRef") -> list["binding.ValueRef"]:
    return [function for function in module.functions if not function.is_declaration]


def _target() -> "binding.TargetMachine":
    """This processor, with all it can do, for code that is loaded at once: as numba has it."""
    cpu, features = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    options = {"opt": 3, "codemodel": "jitdefault", "jit": True}
    return binding.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, **options)


def _check(module: "binding.ModuleRef") -> None:
    wanted = [one.name for one in module.functions if one.is_declaration and not one.name.startswith("llvm.")]
    wanted += [one.name for one in module.global_variables if one.is_declaration]
    if unknown := [name for name in wanted if binding.address_of_symbol(name) is None or _is_numbas(name)]:
        raise RuntimeError(f"numba {numba.__version__}: compiled code asks for {unknown}")


def _is_numbas(name: str) -> bool:
    return name.startswith(("numba_", "NRT_"))
