"""What `bitladder compress` found in the files, and what is to be made of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from flows.compress import lengths
from flows.compress.asked import BaseError
from flows.compress.lengths import Lengths
from pipeline.data import tokenizer_files
from pipeline.ladder.sizes import Shape, shape_of
from pipeline.params import Model, Params, Teacher
from pipeline.problems import model_folder
from pipeline.stages.pretrained import locate, locate_teacher


@dataclass(frozen=True)
class Work:
    """What is to be made.

    Attributes:
        values: of params.yaml, but for steps.
        shape: of the pre-trained model.
        rows: of train, selection and validation.
    """

    values: dict[str, Any]
    shape: Shape
    lengths: Lengths
    rows: dict[str, int]


def base_of(values: dict[str, Any]) -> Path:
    """The folder of the model that everything starts from."""
    teacher = Teacher.model_validate(values["teacher"])
    return locate_teacher(teacher) if teacher.is_given else locate(Model.model_validate(values["model"]))


def shape(values: dict[str, Any], base: Path) -> Shape:
    """Of the base, wherever it comes from. Raises BaseError where its folder does not tell."""
    found = Model(name="base", source="path", location=str(base))
    known = shape_of(Params.model_validate(values).model_copy(update={"model": found}))
    if known is None:
        raise BaseError(f"--base: {base / 'config.json'} does not say how large a BERT it is")
    return known


def measured(frames: Sequence[pd.DataFrame], columns: list[str], base: Path, at_most: int) -> Lengths:
    """How long the texts are in the base's tokens."""
    with tokenizer(base) as folder:
        return lengths.measure(frames, columns, folder, at_most=at_most)


@contextmanager
def tokenizer(base: Path) -> Iterator[Path]:
    """A folder with a model's tokenizer as `models/pretrained` will have it. Raises TokenizerError."""
    config = model_folder.read_config(base)
    sizes = {"segments": "type_vocab_size", "max_length": "max_position_embeddings"}
    with TemporaryDirectory() as folder:
        tokenizer_files.take(base, Path(folder), **{name: int(config[key]) for name, key in sizes.items()})
        yield Path(folder)


def cut(told: Lengths, then: str) -> str:
    """How many texts are longer than what is read, as a sentence."""
    longer = f"{told.num_cut} of them are longer and {then}" if told.num_cut else "none is longer"
    return f"texts of up to {told.most} tokens are read, {longer}"
