"""A packed torch model answered by the kernels, wherever they give what is asked for.

The kernels give logits, and nothing on the way to them. So the model's own torch layers answer

    in training mode, where a parameter wants gradients, and where somebody watches a layer by a hook;
    where a layer is of another kind than the loaded model's, or has a forward of its own;
    on another device than the CPU, in another dtype than float32, and while torch traces or compiles;
    where hidden states or attentions are asked for, where embeddings or positions are given;
    where masks are not [B, S], and where an input is none at all: torch then says what is wrong with it;
    of models that have no kernel, and on computers that have none (`runtime.support`, BITLADDER_ENGINE);
    of tensors made in inference mode, which count no changes.

What the kernels read is made of the model's own tensors when it is first asked, and made anew when one of
them has changed (changes through `tensor.data` alone cannot be seen). The model holds both: its codes as
loaded, and once more, in the kernels' order, all but the tables. Nothing of either is a weight in float32.

Shapes: B sequences, S tokens, L labels.
"""

import operator
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from bitladder.packed import format
from bitladder.packed.format import PackedConfig
from bitladder.packed.tensors import Entry, FormatError
from bitladder.runtime import UnsupportedError, layout, support
from bitladder.runtime.model import Model, num_threads
from bitladder.runtime.reading import Arrays

if TYPE_CHECKING:
    from bitladder.runtime.model import Floats


@dataclass(frozen=True)
class _State:
    """A torch model's modules and tensors, where each of these lies and how often it was written to."""

    modules: list[nn.Module]
    tensors: list[Tensor]
    places: list[int]
    versions: list[int]

    def is_of(self, other: "_State") -> bool:
        alike = self.places == other.places and self.versions == other.versions
        return alike and _are_same(self.tensors, other.tensors) and _are_same(self.modules, other.modules)


def _are_same(ones: Sequence[object], others: Sequence[object]) -> bool:
    return len(ones) == len(others) and all(map(operator.is_, ones, others))


@dataclass(frozen=True)
class _Made:
    """Attributes:
    model: None where the kernels do not run it.
    reason: why not.
    """

    state: _State
    model: Model | None
    reason: str = ""


class Runner:
    """The kernels beside one torch model. Safe to call from several threads; a copied model gets its own.

    Attributes:
        kinds: of the model's modules by name, as it was built; the kernels do what these do.
    """

    def __init__(self, kinds: dict[str, type[nn.Module]]) -> None:
        self.kinds = kinds
        self._made: _Made | None = None
        self._locks: dict[int, threading.Lock] = {}  # by process: a fork has the locks of threads it has not

    def __deepcopy__(self, memo: Any) -> "Runner":
        return Runner(self.kinds)

    def __reduce__(self) -> tuple[type["Runner"], tuple[dict[str, type[nn.Module]]]]:
        return Runner, (self.kinds,)

    def model(self, owner: nn.Module, config: Callable[[], PackedConfig]) -> Model | None:
        """The owner, of this config.json, as the kernels read it; None where its torch layers are to answer.

        Raises EngineError when BITLADDER_ENGINE names an engine that there is not.
        """
        found = _state(owner)
        if found is None:
            return None
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            if self._made is None or not self._made.state.is_of(found):
                self._made = None  # what it held is free before the next is made
                self._made = _make(found, owner, config, self.kinds)
            return self._made.model

    @property
    def reason(self) -> str:
        """Why the kernels do not run the model as it was when it was last asked; "" if they do."""
        return "" if self._made is None else self._made.reason

    @property
    def size_bytes(self) -> int:
        """What is held for the kernels, tables that are the torch model's own included."""
        return 0 if self._made is None or self._made.model is None else self._made.model.size_bytes


def logits(
    model: Model, input_ids: Any, attention_mask: Any, token_type_ids: Any, longest: int
) -> "Floats | None":
    """[B, L], or [B, 2, S] with padding at -1e4; None where torch is to answer, or to refuse."""
    given = [tensor for tensor in (input_ids, attention_mask, token_type_ids) if tensor is not None]
    if not given or any(not _is_plain(tensor, input_ids) for tensor in given):
        return None
    if not 0 < input_ids.shape[1] <= longest or not len(input_ids):
        return None
    counted = None if attention_mask is None else attention_mask != 0
    if counted is not None and type(counted) is not Tensor:  # simulated after all
        return None
    mask = None if counted is None else counted.numpy()
    if mask is not None and not mask.any(axis=1).all():
        return None
    segments = None if token_type_ids is None else token_type_ids.numpy()
    return model.logits(input_ids.numpy(), mask, segments)


def _is_plain(tensor: Any, input_ids: Any) -> bool:
    """Whether this is [B, S] of the CPU, as the ids are, and neither traced nor simulated."""
    return type(tensor) is Tensor and tensor.is_cpu and tensor.ndim == 2 and tensor.shape == input_ids.shape


def _state(owner: nn.Module) -> _State | None:
    """None where the torch layers are to answer, whatever their tensors are."""
    if cast("Any", torch.jit).is_tracing() or torch.compiler.is_compiling():
        return None
    modules = _modules(owner, [])
    if any(one.training for one in modules):
        return None
    if any(_is_watched(one) for one in modules[1:]) or _watches_all():
        return None
    held = [held for one in modules for held in (one._parameters, one._buffers) if held]
    tensors = [tensor for own in held for tensor in own.values() if tensor is not None]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return None
    if any(tensor.is_inference() for tensor in tensors):  # it has no version
        return None
    places, versions = [tensor.data_ptr() for tensor in tensors], [tensor._version for tensor in tensors]
    return _State(modules, tensors, places, versions)


def _is_watched(module: nn.Module) -> bool:
    """By a hook, or by what somebody has put in the place of its forward."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__)


def _watches_all() -> bool:
    """Whether there is a hook on every module there is."""
    return bool(cast("Any", nn.modules.module)._has_any_global_hook())


def _modules(module: nn.Module, found: list[nn.Module]) -> list[nn.Module]:
    """`module.modules()`, which looks for those that are there twice and takes three times as long."""
    found.append(module)
    for child in module._modules.values():
        if child is not None:
            _modules(child, found)
    return found


def kinds(owner: nn.Module) -> dict[str, type[nn.Module]]:
    """Of all modules in a model, by name."""
    return {name: type(module) for name, module in owner.named_modules() if name}


def _make(
    state: _State, owner: nn.Module, config: Callable[[], PackedConfig], wanted: dict[str, type[nn.Module]]
) -> _Made:
    """Raises EngineError."""
    try:
        _check_kinds(kinds(owner), wanted)
        return _Made(state, _model(owner, config()))
    except (UnsupportedError, FormatError) as error:  # torch runs what somebody has made of the model, too
        return _Made(state, None, str(error))


def _check_kinds(found: dict[str, type[nn.Module]], wanted: dict[str, type[nn.Module]]) -> None:
    for name in sorted(found.keys() | wanted.keys()):
        if (here := found.get(name)) is not (there := wanted.get(name)):
            raise UnsupportedError(f"{name}: is {here}; the model was built with {there}")


def _model(owner: nn.Module, config: PackedConfig) -> Model:
    tensors = {name: tensor.detach() for name, tensor in owner.state_dict().items()}
    if elsewhere := {str(tensor.device) for tensor in tensors.values()} - {"cpu"}:
        raise UnsupportedError(f"the model is on {', '.join(sorted(elsewhere))}; kernels are for the CPU")
    support.check(config)
    engine = support.engine()
    found = {
        name: Entry(_DTYPES.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape))
        for name, tensor in tensors.items()
    }
    wanted = {name: _in_memory(entry) for name, entry in layout.entries(config).items()}
    format.check_entries(found, wanted, source="the model's tensors")
    arrays = Arrays(lambda name: tensors[name].numpy(), found, config)
    return Model(arrays, config, engine, num_threads(otherwise=torch.get_num_threads()))


_DTYPES = {torch.uint8: "U8", torch.float32: "F32"}


def _in_memory(entry: Entry) -> Entry:
    """Half precision is how side parameters are stored, not how they are used."""
    return Entry("F32" if entry.dtype == "F16" else entry.dtype, entry.shape)
