"""What follows a product of whole numbers is torch's, to a few roundings."""

import numpy as np
import torch
from with_kernels import has_kernels

pytestmark = has_kernels


def test_gelu_is_torchs_and_nothing_far_below_zero() -> None:
    from bitladder.runtime.kernels import finishing  # with it, numba

    sums = np.arange(-16_000, 16_000, 4, np.int32)
    found, step, size = np.empty(sums.shape, np.float32), np.full(1, 1e-3, np.float32), len(sums)
    none, zeros, ones = np.zeros(size, np.int32), np.zeros(size, np.float32), np.ones(size, np.float32)
    arrays = (sums, found, found, none, step, ones, zeros, zeros)
    finishing.finish_gelu(*(array.ctypes.data for array in arrays), size, size, size, 1, 0, 1)
    wanted = torch.nn.functional.gelu(torch.from_numpy(sums * step)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    assert (found[sums < -5700] == 0).all()
