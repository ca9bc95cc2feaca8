"""BERTs of a known shape with random weights, as files: what size and speed depend on is all there.

The weights are drawn as BERT draws them before any training; no score means anything. Everything is made by
the project's own code: trained rungs are saved and packed in the same way.
"""

import sys
import tempfile
from pathlib import Path

import torch
from shapes import Shape
from transformers.models.bert.configuration_bert import BertConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the clone, where it is not installed

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import Bert, build_bert
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision
from pipeline.initialization.step_sizes import calibrate
from pipeline.tasks.batches import Batch


def build(shape: Shape, precision: Precision | None = None) -> Bert:
    """A classifier of two labels; with a precision, as a trained rung is: steps set, sides rounded."""
    torch.manual_seed(0)
    config = BertConfig(**shape._asdict())
    config.problem_type = "single_label_classification"
    model = build_bert(config, precision)
    if precision is not None:
        calibrate(model, random_batch(shape, rows=4, tokens=min(32, shape.max_position_embeddings)))
        checkpoint.round_side_parameters(model)
    return model


def random_batch(shape: Shape, *, rows: int, tokens: int) -> Batch:
    """Random words, nothing padded."""
    generator = torch.Generator().manual_seed(rows * 1000 + tokens)
    size = (rows, tokens)
    return {
        "input_ids": torch.randint(5, shape.vocab_size, size, generator=generator),
        "attention_mask": torch.ones(size, dtype=torch.long),
        "token_type_ids": torch.zeros(size, dtype=torch.long),
    }


def save(folder: Path, model: Bert) -> None:
    """config.json and model.safetensors in float32, into an existing folder."""
    checkpoint.save(folder, model, model.config, tokenizer_from=folder)


def save_packed(folder: Path, shape: Shape, precision: Precision) -> None:
    """Publish a packed folder, by way of a trained one that is not kept."""
    with tempfile.TemporaryDirectory() as trained, files.publish(folder) as target:
        save(Path(trained), build(shape, precision))
        pack(Path(trained), target)
