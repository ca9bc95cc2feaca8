"""The kernels answer for a packed torch model, wherever its own layers would give the same.

The kernels give logits, and nothing on the way to them. So the torch layers answer

    in training mode, where a parameter wants gradients, and where a layer has a hook or a forward of its own;
    where a layer was exchanged, on another device than the CPU, and while torch traces or compiles;
    where masks are not [B, S], and where an input is none at all: torch then says what is wrong with it;
    of models that have no kernel, and on computers that have none (`runtime.model`, BITLADDER_ENGINE).

What the kernels read is made of the model's tensors at the first call, and made anew when one of them was
written to or exchanged (writing through `tensor.data` alone cannot be seen). The model holds both.

Shapes: B sequences, S tokens, L labels.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from bitladder.packed.reading import Arrays
from bitladder.packed.tensors import FormatError
from bitladder.runtime import Model, UnsupportedError
from bitladder.runtime.model import check_supported, num_threads, supported_engine

_LOCKS: dict[int, threading.Lock] = {}  # by process: a fork has the locks of threads that it does not have


class ByKernels:
    """The kernels beside one torch model. Safe to call from several threads; a copied model makes its own.

    Attributes:
        modules: the model's, as it was built; the kernels do what these do.
        reason: why the kernels did not answer when last asked; "" if they did.
    """

    _state: list[Any] | None = None  # of what `_model` was made
    _model: Model | None = None
    reason = ""

    def __init__(self, owner: nn.Module) -> None:
        self.modules = list(owner.modules())

    def __getstate__(self) -> dict[str, Any]:
        return {"modules": self.modules}

    def model(self, arrays: Callable[[], Arrays]) -> Model | None:
        """The torch model as the kernels read it; None where its own layers are to answer.

        Args:
            arrays: gives its tensors.

        Raises EngineError when BITLADDER_ENGINE names an engine that does not exist.
        """
        state = self._tensors()
        if state is None:
            self.reason = "it trains, wants gradients, or was changed"
            return None
        with _LOCKS.setdefault(os.getpid(), threading.Lock()):
            if self._state is None or not _are_same(self._state, state):
                self._model, self._state, self.reason = None, None, ""  # free before the next is made
                try:
                    found = arrays()
                    check_supported(found.config)
                    threads = num_threads(otherwise=torch.get_num_threads())
                    self._model = Model(found, supported_engine(found.config), threads)
                except (UnsupportedError, FormatError) as error:  # somebody may have made it another
                    self.reason = str(error)
                self._state = state
            return self._model

    def _tensors(self) -> list[Any] | None:
        """The model's tensors, where each lies and how often it was written to; None: torch is to answer."""
        modules = list(self.modules[0].modules())
        if is_traced() or not _are_same(modules, self.modules):
            return None
        # A forward in a module's own attributes is what somebody has put in the place of its class's.
        watched = (m._forward_hooks or m._forward_pre_hooks or "forward" in m.__dict__ for m in modules[1:])
        if cast("Any", nn.modules.module)._has_any_global_hook() or any(watched):
            return None
        held = [held for module in modules for held in (module._parameters, module._buffers) if held]
        tensors = [tensor for own in held for tensor in own.values() if tensor is not None]
        # A tensor that was made in inference mode does not count how often it was written to.
        if any(module.training for module in modules) or any(tensor.is_inference() for tensor in tensors):
            return None
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return None
        return [*tensors, *((tensor.data_ptr(), tensor._version) for tensor in tensors)]


def is_traced() -> bool:
    """Whether torch records what is computed, by `torch.jit.trace`, `torch.compile` or `torch.export`."""
    return bool(cast("Any", torch.jit).is_tracing() or torch.compiler.is_compiling())


def logits(model: Model, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Tensor | None:
    """[B, L], or [B, L, S] with padding at -1e4; None where torch is to answer, or to refuse."""
    given = [tensor for tensor in (input_ids, attention_mask, token_type_ids) if tensor is not None]
    # Of a subclass are tensors that are traced or simulated.
    are_plain = all(type(tensor) is Tensor and tensor.is_cpu and tensor.ndim == 2 for tensor in given)
    if input_ids is None or not are_plain or any(tensor.shape != input_ids.shape for tensor in given):
        return None
    mask = None if attention_mask is None else attention_mask.numpy() != 0
    segments = None if token_type_ids is None else token_type_ids.numpy()
    try:
        return torch.from_numpy(model.logits(input_ids.numpy(), mask, segments))
    except ValueError:
        return None


def _are_same(ones: list[Any], others: list[Any]) -> bool:
    """Modules and tensors that are each other's selves, numbers that are equal."""
    pairs = zip(ones, others, strict=False)
    return len(ones) == len(others) and all(a is b or (type(a) is tuple and a == b) for a, b in pairs)
