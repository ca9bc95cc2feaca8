"""Strategies for the tests of quantizers: matrices and activations with zeros, ties and single columns."""

import math

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor

# Multiples of 1/128 up to 8: their sums are exact in float32, and every scale is a normal float16.
EXACT = st.integers(-1024, 1024).map(lambda number: number / 128)
ANY = st.floats(-1e4, 1e4, width=32)
GRANULARITIES = st.sampled_from(["row", "matrix"])


def matrices(elements: st.SearchStrategy[float] = EXACT) -> st.SearchStrategy[Tensor]:
    """Weights [O, I] in float32, up to 6 x 8."""
    shapes = array_shapes(min_dims=2, max_dims=2, max_side=8)
    return arrays(np.float32, shapes, elements=elements).map(torch.from_numpy)


def activations(elements: st.SearchStrategy[float] = EXACT) -> st.SearchStrategy[Tensor]:
    """Activations [B, S, C] in float32."""
    shapes = array_shapes(min_dims=3, max_dims=3, max_side=5)
    return arrays(np.float32, shapes, elements=elements).map(torch.from_numpy)


def step_of(log_step: float) -> Tensor:
    """The nearest float32 to the exponential of a number that float32 holds."""
    return torch.tensor(math.exp(log_step))


def is_float16(values: Tensor) -> bool:
    """Whether every value is exactly a half-precision number."""
    return torch.equal(values.to(torch.float16).to(values.dtype), values)
