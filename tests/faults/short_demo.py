"""The demo on a few rows, through its own stages: a few steps per model, and dropout in all of them."""

from collections.abc import Callable
from pathlib import Path

import made_up

from pipeline.params import Params
from pipeline.stages import prepare, pretrained, teacher, weights, weights_activations

NUM_STEPS = 7
KINDS = ("pretraining", "teacher", "rung", "binary_activations")
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
SHORT = (
    *(f"budget.{kind}.steps={NUM_STEPS}" for kind in KINDS),
    *(f"training.{kind}.batch_size=8" for kind in KINDS),
    *(f"training.{kind}.dropout=0.1" for kind in KINDS),
    *(f"model.architecture.{name}={size}" for name, size in SIZES.items()),
    "training.checkpoint_every=2",
    "budget.evaluations=3",
    "task.generator.train_rows=60",
    "task.generator.validation_rows=10",
    "task.generator.corpus_rows=100",
    "weights.w1.init_from=teacher",
    "weights.w1.data=plain",
    "weights_activations.w1a8.init_from=w1",
    "weights_activations.w1a1.init_from=w1a8",
    "weights_activations.w1a1.data=plain",
    "claims=[]",
)
STAGES: dict[str, Callable[[Params], None]] = {
    "pretrained": lambda params: pretrained.run(params, None),
    "teacher": lambda params: teacher.run(params, None),
    "w1": lambda params: weights.run(params, "w1"),
    "w1a8": lambda params: weights_activations.run(params, "w1a8"),
    "w1a1": lambda params: weights_activations.run(params, "w1a1"),
}


def write(*overrides: str) -> Params:
    """Write params.yaml into the working directory."""
    return made_up.params(Path(), *SHORT, *overrides)


def make(*overrides: str) -> Params:
    """Write params.yaml and the data into the working directory."""
    params = write(*overrides)
    prepare.run(params, None)
    return params
