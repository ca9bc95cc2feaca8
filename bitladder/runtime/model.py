"""A packed model that answers: numpy arrays in, logits out.

Each sequence is computed by itself, as far as its last token: its logits do not depend on what else is in the
batch, on its padding or on how many threads there are, to the last bit. Threads take whole sequences; a
single one they share. They wait for work without using the processor, but for some microseconds within a
sequence.

Shapes: B sequences, S tokens, L labels.
"""

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bitladder import files
from bitladder.packed import format, inputs
from bitladder.packed.format import PackedConfig
from bitladder.packed.inputs import Whole
from bitladder.packed.reading import Arrays, Floats, open_weights
from bitladder.quantizers.precision import FULL
from bitladder.runtime import choosing
from bitladder.runtime.choosing import Shape
from bitladder.runtime.kernels import engines
from bitladder.runtime.kernels.engines import Choice, UnsupportedError
from bitladder.runtime.kernels.structs import LARGEST

if TYPE_CHECKING:
    from bitladder.runtime.model_structs import ModelStructs

THREADS = "BITLADDER_THREADS"
LEAST = 32  # tokens for each thread, of those that share a sequence
PADDING = np.float32(-1e4)  # a padding token's logit, as in bitladder.modeling.traces
_HIDDEN = np.finfo(np.float32).min  # added to a score that is not to count, as transformers does


class ThreadsError(ValueError):
    """BITLADDER_THREADS is not a whole number of at least 1."""

    exit_code = 2


def load(folder: Path | str, *, threads: int | None = None) -> "Model":
    """The model of a published packed folder; `threads`: as `num_threads` says unless given.

    Raises:
        IntegrityError: a file is not what the manifest promises.
        FormatError: a tensor is missing, left over, misshapen, or holds what packing cannot write.
        UnsupportedError: the kernels do not run this model, or not on this computer.
        EngineError: BITLADDER_ENGINE names an engine that does not exist.
        ThreadsError: BITLADDER_THREADS is not a whole number of at least 1.
    """
    folder = Path(folder)
    files.verify(folder)
    config = format.read_config(folder)
    check_supported(config)
    engine = supported_engine(config)
    return Model(open_weights(folder, config), engine, threads or num_threads())


def supported_engine(config: PackedConfig) -> Choice:
    """The engine to run a model.

    Raises:
        UnsupportedError: it is torch.
        EngineError: the environment asks for one that does not exist.
    """
    precision = config.precision
    is_counted = {precision.activations, precision.bits_of_activations(is_second=True)} <= {1, FULL}
    own = Shape(config.hidden_size, config.intermediate_size, int(precision.weights))
    found = choosing.choose(None if is_counted else own)
    if found.engine == engines.TORCH:
        raise UnsupportedError(f"engine torch: {found.reason}")
    return found


def check_supported(config: PackedConfig) -> None:
    """Raises UnsupportedError naming everything in a config.json that no kernel computes."""
    precision, weights = config.precision, config.precision.weights
    activations, attention = precision.activations, precision.attention
    quantizer = precision.activation_quantizer
    problems = {
        "granularity: 'group'; kernels take row and matrix": precision.granularity == "group",
        "split: true; kernels take no matrix that is a sum of two": precision.split,
        f"activation_quantizer: {quantizer!r}; kernels take the usual ones": quantizer is not None,
        f"attention: {attention!r}; kernels take softmax": attention != "softmax",
        f"activations: 1 bit with weights of {weights} bits; kernels take it with weights of 1 bit": (
            1 in (activations, precision.feed_forward_activations) and weights != 1
        ),
        f"attention heads of {config.head_size} features; kernels take multiples of 16": config.head_size
        % 16,
        f"hidden_act: {config.hidden_act!r}; kernels take gelu and relu": (
            config.hidden_act not in ("gelu", "relu")
        ),
        f"bitladder_width: {config.width}; kernels take models of full width": config.width is not None,
    }
    for key in ("hidden_size", "intermediate_size"):
        size = getattr(config, key)
        problems[f"{key}: {size}; kernels take multiples of 64 up to {LARGEST}"] = size % 64 or size > LARGEST
    if found := [problem for problem, is_there in problems.items() if is_there]:
        raise UnsupportedError(f"no kernel for this model: {'; '.join(found)}")


def num_threads(environment: Mapping[str, str] = os.environ, *, otherwise: int | None = None) -> int:
    """BITLADDER_THREADS; else `otherwise`; else OMP_NUM_THREADS, by which other libraries are kept from more;
    else one for each core.

    Raises:
        ThreadsError: BITLADDER_THREADS is not a whole number of at least 1.
    """
    asked = environment.get(THREADS, "").strip()
    if asked and not (asked.isdecimal() and int(asked) > 0):
        raise ThreadsError(f"{THREADS}: {asked!r} is not a whole number of at least 1")
    if asked or otherwise:
        return int(asked or otherwise or 1)
    # Behind a comma are the numbers for threads that threads start.
    common = environment.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if common.isdecimal() and int(common):
        return int(common)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Model:
    """A packed model, made by `load`. Safe to call from several threads, and in processes that were forked.

    Attributes:
        config: the folder's config.json.
        engine: which kernels run it, and why these.
        threads: that compute a call: sequences side by side, or one of them together.
    """

    def __init__(self, arrays: Arrays, engine: Choice, threads: int) -> None:
        from bitladder.runtime.kernels import machine_code  # with it, LLVM
        from bitladder.runtime.model_structs import ModelStructs

        self.config, self.engine, self.threads = arrays.config, engine, threads
        own = engines.ENGINES[engine.engine]
        held = own.held if engine.is_forced else None
        self._run = machine_code.answer(held)
        self._structs = ModelStructs(arrays, own, held)
        self._own = threading.local()
        self._helping = threading.Lock()
        self._pools: dict[int, ThreadPoolExecutor] = {}  # by process: a fork has no threads of its parent's

    @property
    def size_bytes(self) -> int:
        """What is held of the model: its weights in the kernels' order, tables, and all else in float32."""
        return self._structs.size_bytes

    def logits(
        self,
        input_ids: ArrayLike,
        attention_mask: ArrayLike | None = None,
        token_type_ids: ArrayLike | None = None,
    ) -> Floats:
        """[B, L]; of a head that reads every token [B, L, S], of padding -1e4.

        Args are [B, S], as a tokenizer gives them: 1 in the mask is a token, which all are unless given.

        Raises as `inputs.checked` does.
        """
        found = inputs.checked(self.config, input_ids, attention_mask, token_type_ids)
        rows = list(zip(*found, strict=True))
        if self.threads < 2:
            return np.stack([self._answer(*row) for row in rows])
        if len(rows) < 2:
            # Whoever asks while another has the helpers computes alone: no more threads than were given.
            has_helpers = self._helping.acquire(blocking=False)
            try:
                return np.stack([self._answer(*row, self.threads if has_helpers else 1) for row in rows])
            finally:
                if has_helpers:
                    self._helping.release()
        return np.stack(list(self._pool().map(lambda row: self._answer(*row), rows)))

    def _pool(self) -> ThreadPoolExecutor:
        own = os.getpid()
        if own not in self._pools:  # one that loses a race has no threads yet, and never will
            self._pools.setdefault(own, ThreadPoolExecutor(self.threads, "bitladder"))
        return self._pools[own]

    def _answer(self, ids_S: Whole, mask_S: Whole, segments_S: Whole, threads: int = 1) -> Floats:
        """[L], or [L, S]; of a sentence encoder [E]; by so many threads, if it is long enough for them."""
        length = int(mask_S.nonzero()[0][-1]) + 1  # what follows the last token is not computed
        room = self._room(length)
        masked = room.mask[: length + -length % 16]
        masked.fill(_HIDDEN)
        masked[:length][mask_S[:length] != 0] = 0
        own = self._structs
        threads = min(threads, length // LEAST)
        block = own.rows if threads < 2 else min(own.rows, -(-length // threads // 16) * 16)
        places = (ids_S, segments_S, room.mask, room.found)
        ids_at, segments_at, mask_at, found_at = (int(place.ctypes.data) for place in places)
        before = (*own.addresses, ids_at, segments_at, length, block, mask_at, room.x_at)
        if threads < 2:
            self._run(*before, found_at, room.shared_at, room.own_at, 0)
        else:
            self._run_together(before, found_at, room, length, threads)
        if self.config.head.reads == "mean":
            return room.found[: self.config.hidden_size].copy()
        found_SL = room.found[: length * own.num_outputs].reshape(length, -1)[:, : len(own.bias)]
        if not self.config.head.per_token:
            logits_L: Floats = found_SL[0] + own.bias
            return logits_L
        logits_LS = np.full((len(own.bias), len(ids_S)), PADDING, np.float32)
        logits_LS[:, :length] = (found_SL + own.bias).T
        logits_LS[:, mask_S == 0] = PADDING
        return logits_LS

    def _run_together(
        self, before: tuple[int, ...], found_at: int, room: "_Room", length: int, threads: int
    ) -> None:
        """The kernel in several threads: see kernels/team.py. Whoever of them has not begun at the end is not
        needed."""
        from bitladder.runtime.kernels.memory_order import aligned
        from bitladder.runtime.kernels.structs import team_size

        team = aligned(np.zeros(team_size(self.config.num_hidden_layers), np.uint8))
        team_at = int(team.ctypes.data)

        def help_() -> None:
            self._run(*before, 0, room.shared_at, self._room(length).own_at, team_at)

        helpers = [self._pool().submit(help_) for _ in range(threads - 1)]
        try:
            self._run(*before, found_at, room.shared_at, room.own_at, team_at)
        finally:
            for helper in helpers:
                if not helper.cancel():
                    helper.result()

    def _room(self, length: int) -> "_Room":
        """This thread's, made anew when a sequence is longer than all before."""
        room: _Room | None = getattr(self._own, "room", None)
        if room is None or room.length < length:
            room = self._own.room = _Room(length + -length % 16, self._structs)
        return room


class _Room:
    """What one thread writes to, for sequences of up to `length` tokens."""

    def __init__(self, length: int, own: "ModelStructs") -> None:
        from bitladder.runtime.kernels import structs
        from bitladder.runtime.kernels.memory_order import aligned

        model = own.model[0]
        self.length = length
        self._x = aligned(np.empty(length * int(model["hidden"]), np.float32))
        self._shared = aligned(np.empty(structs.shared_room(model, length), np.uint8))
        self._room = aligned(np.empty(structs.own_room(model, length), np.uint8))
        self.x_at, self.shared_at, self.own_at = (
            int(array.ctypes.data) for array in (self._x, self._shared, self._room)
        )
        self.mask = np.empty(length, np.float32)
        self.found = np.empty(max(length * own.num_outputs, int(model["hidden"])), np.float32)
