"""BERTs of a known shape with random weights, as files: what size and speed depend on is all there.

The weights are drawn as BERT draws them before any training; no score means anything. Everything is made by
the project's own code: trained rungs are saved and packed in the same way.
"""

import sys
import tempfile
from pathlib import Path

import torch
from shapes import Shape, spread_ids
from transformers.models.bert.configuration_bert import BertConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the clone, where it is not installed

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import Bert, build_bert
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision
from pipeline.initialization.step_sizes import calibrate


def build(shape: Shape, precision: Precision | None = None) -> Bert:
    """A classifier of two labels; with a precision, as a trained rung is: steps set, sides rounded."""
    torch.manual_seed(0)
    config = BertConfig(**shape._asdict())
    config.problem_type = "single_label_classification"
    model = build_bert(config, precision)
    if precision is not None:
        ids = spread_ids(4, min(32, shape.max_position_embeddings), vocab_size=shape.vocab_size)
        calibrate(model, {name: torch.from_numpy(values) for name, values in ids.items()})
        checkpoint.round_side_parameters(model)
    return model


def save(folder: Path, model: Bert) -> None:
    """config.json and model.safetensors in float32, into an existing folder."""
    checkpoint.save(folder, model, model.config, tokenizer_from=folder)


def save_packed(folder: Path, shape: Shape, precision: Precision) -> None:
    """Publish a packed folder, by way of a trained one that is not kept."""
    with tempfile.TemporaryDirectory() as trained, files.publish(folder) as target:
        save(Path(trained), build(shape, precision))
        pack(Path(trained), target)
