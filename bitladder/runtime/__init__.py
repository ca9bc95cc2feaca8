"""Packed models without torch: numpy, safetensors and numba are all that is needed.

    model = runtime.load("packed/w1a8")
    logits = model.logits(input_ids, attention_mask, token_type_ids)      # numpy arrays

What the kernels do not cover raises `UnsupportedError`; `bitladder.load` takes torch for it.
"""

from bitladder.runtime.kernels.engines import UnsupportedError
from bitladder.runtime.model import Model, load

__all__ = ["Model", "UnsupportedError", "load"]
