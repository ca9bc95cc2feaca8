"""Models as folders: config.json, model.safetensors and the tokenizer, in transformers' own layout.

Loading is strict. A tensor that is missing, left over or of the wrong shape is refused by name: transformers
would draw it at random and only print a warning.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.models.bert.configuration_bert import BertConfig

from bitladder import files
from bitladder.modeling import architectures
from bitladder.modeling.attention import activation_quantizers
from bitladder.modeling.bert import BODY, Bert, build_bert, precision_of
from bitladder.quantizers.rounding import half_precision
from bitladder.shown import misfits
from bitladder.text.tokens import copy_tokenizer

WEIGHTS = files.WEIGHTS
CONFIG = files.CONFIG
# transformers ties these to other tensors or rebuilds them; checkpoints from elsewhere may carry them.
_TIED = "cls.predictions.decoder."
_REBUILT = ("bert.embeddings.position_ids", "embeddings.position_ids")


def save(folder: Path, model: nn.Module, config: BertConfig, *, tokenizer_from: Path) -> None:
    """Write a model into an existing folder, its tokenizer copied from another model's folder.

    Of a masked-LM model the decoder is left out: it shares the word table.
    """
    kept = {name: own for name, own in model.state_dict().items() if not name.startswith(_TIED)}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    write_config(folder, config)
    if tokenizer_from != folder:
        copy_tokenizer(tokenizer_from, folder)


def write_config(folder: Path, config: BertConfig) -> None:
    """config.json without what depends on the machine or the moment; nor a dtype: weights are float32."""
    values = config.to_diff_dict()
    for key in ("_name_or_path", "transformers_version", "attn_implementation", "dtype"):
        values.pop(key, None)
    files.write_json(folder / CONFIG, values)


def load_config(folder: Path) -> BertConfig:
    """Read a BERT's config.json. Raises ValueError when it is another kind of model."""
    values = files.read_json(folder / CONFIG)
    if values.get("model_type") != "bert":
        raise ValueError(f"{folder / CONFIG}: model_type is {values.get('model_type')!r}; a BERT is needed")
    return BertConfig.from_dict(values)


def load_state(folder: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors in float32, under today's names whatever the file calls them."""
    state = load_file(folder / WEIGHTS)
    return {_canonical(name): tensor.float() for name, tensor in state.items() if name not in _REBUILT}


def load_as_bert(folder: Path) -> tuple[BertConfig, dict[str, Tensor]]:
    """Config and tensors, in float32, of a BERT that puts out what the folder's model does.

    Raises:
        ArchitectureError: no BERT can; the message says what it would need.
    """
    values = files.read_json(folder / CONFIG)
    state = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    config = BertConfig.from_dict(architectures.bert_config(values))
    return config, architectures.bert_state(state, values)


def load_bert(folder: Path) -> Bert:
    """Load a trained model, quantized as its config says. Raises ValueError if a tensor does not fit."""
    config = load_config(folder)
    precision = precision_of(config)
    model = build_bert(config, None if precision.is_full else precision)
    load_strictly(model, load_state(folder), source=str(folder / WEIGHTS))
    model.eval()  # type: ignore[no-untyped-call]
    return model


def load_strictly(model: nn.Module, state: dict[str, Tensor], *, source: str) -> None:
    """Load every tensor of `model` from `state`. Raises ValueError naming the missing, extra or misshapen."""
    wanted = model.state_dict()
    missing, extra = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    misshapen = sorted(
        f"{name} {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in set(wanted) & set(state)
        if wanted[name].shape != state[name].shape
    )
    if found := misfits(missing=missing, unexpected=extra, misshapen=misshapen):
        raise ValueError(f"{source}: {found}")
    model.load_state_dict(state)


@torch.no_grad()
def round_side_parameters(model: Bert) -> None:
    """Round LayerNorms, biases, steps and shifts of activations to half precision, as they are packed.

    Done once, before the checkpoint is scored, so that the packed model's logits are the trained rung's own.
    """
    # A weight quantizer's step is not packed, but the scale that it makes, which is half precision already.
    kept = {
        f"{name}.weight" for name, part in model.named_modules() if isinstance(part, nn.Linear | nn.Embedding)
    }
    for name, parameter in model.named_parameters():
        if name not in kept and name.startswith(BODY) and ".quantizer." not in name:
            parameter.copy_(half_precision(parameter))
    for quantizer in activation_quantizers(model).values():
        for measured in quantizer.buffers():
            measured.copy_(half_precision(measured))


def _canonical(name: str) -> str:
    """Today's name of a tensor: old BERTs say gamma and beta, a bare BertModel's lack the `bert.`."""
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    return f"bert.{name}" if name.split(".")[0] in ("embeddings", "encoder", "pooler") else name
