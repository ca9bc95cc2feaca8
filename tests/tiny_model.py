"""Tiny BERT classifiers in memory (2 layers of 32), random but with weights wide enough for every layer to
matter, and batches for them."""

import torch
from tiny_rung import SIZES, batch
from torch import Tensor, nn
from transformers import BertConfig, BertForQuestionAnswering, BertForSequenceClassification

from bitladder.modeling.bert import build_bert
from bitladder.quantizers.precision import Precision
from pipeline.distillation.objective import Objective
from pipeline.initialization.step_sizes import calibrate

# Every term of distillation, each with a weight of its own.
ALL_TERMS = Objective(
    logits=1.0,
    hidden_states=0.7,
    attention_scores=0.3,
    labels=0.5,
    loss="cross_entropy",
    directions=0.2,
    temperature=2.0,
)

WEIGHTS_ONLY = (
    Precision(8, 8),
    Precision(4, 8),
    Precision(2, 2),
    Precision(1, 1),
    Precision(1, 1, 32, "matrix"),
)
WITH_ACTIVATIONS = (
    Precision(1, 1, 8),
    Precision(1, 1, 4),
    Precision(1, 1, 2),
    Precision(1, 1, 1),
    Precision(2, 4, 8, "matrix"),
    Precision(1, 1, 8, activation_quantizer="min_max_ema"),
    Precision(1, 1, 1, feed_forward_activations=8),
    Precision(1, 1, 1, activation_quantizer="sign", attention="bi"),
)


def config(*, num_labels: int = 2, **sizes: int) -> BertConfig:
    made = BertConfig(**{**SIZES, **sizes}, initializer_range=0.3)
    made.num_labels = num_labels
    made.hidden_dropout_prob = made.attention_probs_dropout_prob = 0.1
    return made


def classifier(
    precision: Precision | None = None, *, seed: int = 0, num_labels: int = 2, **sizes: int
) -> BertForSequenceClassification:
    """A classifier in eval mode, biases and norms random too, activations calibrated on `batch()`."""
    torch.manual_seed(seed)
    model = build_bert(config(num_labels=num_labels, **sizes), precision)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias") or "LayerNorm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.eval()
    if precision is not None:
        calibrate(model, batch())
    return model


def answerer(precision: Precision | None = None, *, seed: int = 0) -> BertForQuestionAnswering:
    """The same with the head of question answering."""
    torch.manual_seed(seed)
    made = config()
    made.architectures = ["BertForQuestionAnswering"]
    model = build_bert(made, precision)
    assert isinstance(model, BertForQuestionAnswering)
    model.eval()
    if precision is not None:
        calibrate(model, batch())
    return model


def plain_copy(model: nn.Module, *, num_labels: int = 2) -> BertForSequenceClassification:
    """transformers' own classifier, its own eager attention, with the model's latent weights."""
    plain = BertForSequenceClassification._from_config(
        config(num_labels=num_labels), attn_implementation="eager"
    )
    state = {name: tensor for name, tensor in model.state_dict().items() if name in plain.state_dict()}
    plain.load_state_dict(state)
    plain.eval()
    return plain


def logits(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(**inputs).logits
    return found


def other_padding(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same sequences with other ids and segments where the padding is."""
    is_padding = inputs["attention_mask"] == 0
    ids = torch.where(is_padding, (inputs["input_ids"] + 7) % 90 + 5, inputs["input_ids"])
    segments = torch.where(is_padding, 1, inputs["token_type_ids"])
    return {**inputs, "input_ids": ids, "token_type_ids": segments}


def wider(inputs: dict[str, Tensor], *, by: int) -> dict[str, Tensor]:
    """The same sequences with so many more columns of padding."""
    return {name: torch.nn.functional.pad(tensor, (0, by)) for name, tensor in inputs.items()}
