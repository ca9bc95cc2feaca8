"""What a model's head says, in one form for every kind of task.

Shapes: B sequences, L labels, S tokens.
"""

from typing import Any

import torch
from torch import Tensor

# Of padding: far below any logit, so that a softmax gives it nothing, and finite, so that 0 times it is 0.
PADDING = -1e4


def logits_of(output: Any, mask_BS: Tensor) -> Tensor:
    """[B, L] of a classifier or a regression; [B, 2, S] of a question-answering model.

    The latter is two classifications over tokens, of the answer's first and of its last: what is true of
    labels in the last dimension is true of tokens there, once padding is out of the running.
    """
    if "logits" in output:
        logits_BL: Tensor = output.logits
        return logits_BL
    logits_B2S = torch.stack([output.start_logits, output.end_logits], dim=1)
    return logits_B2S.masked_fill(mask_BS.unsqueeze(1) == 0, PADDING)
