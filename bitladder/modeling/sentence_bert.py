"""A BERT that gives a vector for each text: the mean of its tokens, of length 1.

It is Sentence-BERT's (arXiv:1908.10084). transformers has no class for it; sentence-transformers puts two
modules behind a BertModel.

Shapes: B sequences, S tokens, E hidden size.
"""

from typing import Any, cast

from torch import Tensor
from torch.nn import functional
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertModel, BertPreTrainedModel
from transformers.utils.generic import can_return_tuple


class BertForSentenceEmbedding(BertPreTrainedModel):
    """`logits` of its output are the vectors [B, E], of length 1: two texts are as near as their product."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple  # type: ignore[untyped-decorator]  # transformers' own
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **options: Any,
    ) -> SequenceClassifierOutput:
        """As transformers' other BERTs; without a mask all are tokens."""
        found = self.bert(input_ids, attention_mask, token_type_ids, return_dict=True, **options)
        hidden_BSE: Tensor = found.last_hidden_state
        mask_BS = hidden_BSE.new_ones(hidden_BSE.shape[:2]) if attention_mask is None else attention_mask
        vectors_BE = functional.normalize(mean_of_tokens(hidden_BSE, mask_BS), dim=-1)
        return SequenceClassifierOutput(
            logits=cast("Any", vectors_BE), hidden_states=found.hidden_states, attentions=found.attentions
        )


def mean_of_tokens(hidden_BSE: Tensor, mask_BS: Tensor) -> Tensor:
    """[B, E], padding left out."""
    weight_BS1 = mask_BS.unsqueeze(-1).to(hidden_BSE.dtype)
    return (hidden_BSE * weight_BS1).sum(dim=1) / weight_BS1.sum(dim=1)
