"""Set every activation quantizer's steps and shifts from data, in one forward pass, before training.

Quantizers are met in the order of the forward, and each sees inputs that the ones before it have already
rounded. Nothing is set on "first use" inside training: a forward with an unset step gives NaN.
"""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.modeling.attention import activation_quantizers
from pipeline.modeling.traces import trace
from pipeline.quantizers.activation import ActivationQuantizer


@torch.no_grad()
def calibrate(model: Any, batch: dict[str, Tensor]) -> int:
    """Calibrate all activation quantizers of `model` on one batch; return how many there are."""
    quantizers = activation_quantizers(model)
    hooks = [quantizer.register_forward_pre_hook(_calibrate_first) for quantizer in quantizers.values()]
    was_training = model.training
    try:
        trace(model.eval(), batch)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return len(quantizers)


def _calibrate_first(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    assert isinstance(module, ActivationQuantizer)
    module.calibrate(arguments[0])
