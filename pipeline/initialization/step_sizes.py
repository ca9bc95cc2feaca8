"""Set every activation quantizer's steps and shifts from data, in one forward pass, before training.

Quantizers are met in the order of the forward, and each sees inputs that the ones before it have already
rounded, padding left out. Nothing is set on "first use" inside training: an unset step gives NaN.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bitladder.modeling.attention import activation_quantizers
from bitladder.modeling.layers import weight_quantizers
from bitladder.modeling.traces import trace
from bitladder.quantizers.activation import ActivationQuantizer


@torch.no_grad()
def calibrate(model: Any, batch: dict[str, Tensor]) -> int:
    """Set what weight quantizers learn from the model's weights, then all activation quantizers on one batch.

    Returns how many activation quantizers there are. Where none of them keeps anything, as by default at
    8 bits, the model is not run.
    """
    for quantizer, weight in weight_quantizers(model):
        quantizer.calibrate(weight)
    quantizers = activation_quantizers(model)
    if not any(quantizer.state_dict() for quantizer in quantizers.values()):
        return len(quantizers)
    mask_BS = batch["attention_mask"].bool()
    hooks = [
        quantizer.register_forward_pre_hook(partial(_calibrate_first, name, mask_BS))
        for name, quantizer in quantizers.items()
    ]
    was_training = model.training
    try:
        trace(model.eval(), batch)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return len(quantizers)


def _calibrate_first(name: str, mask_BS: Tensor, module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    assert isinstance(module, ActivationQuantizer)
    module.calibrate(_without_padding(name, arguments[0], mask_BS))


def _without_padding(name: str, x: Tensor, mask_BS: Tensor) -> Tensor:
    """The values of x that belong to tokens; in a batch of one long sequence most may be padding's.

    x is [B, S, C], [B, H, S, D] or, for probabilities, [B, H, S, S]; the pooler's [B, C] has no padding. The
    channels stay where they were: [N, C], [N, H, 1, D], [N, 1].
    """
    if x.dim() == 2:
        return x
    if name.endswith("probabilities"):
        pair_B1SS = (mask_BS.unsqueeze(2) & mask_BS.unsqueeze(1)).unsqueeze(1)
        return x[pair_B1SS.expand_as(x)].unsqueeze(-1)
    if x.dim() == 4:
        return x.transpose(1, 2)[mask_BS].unsqueeze(2)
    return x[mask_BS]
