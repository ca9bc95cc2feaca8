"""A packed folder says how many texts its model reads at a time, and in how many tokens."""

import json
from pathlib import Path

import pytest
import tiny_project
from packed_models import PRECISIONS, Make, made_folder
from pydantic import ValidationError

import bitladder
from bitladder.packed import format
from bitladder.packed.format import PackedConfig, ReadingFields
from bitladder.packed.tensors import FormatError
from pipeline import paths
from pipeline.stages import pack

__all__ = ["made_folder"]  # a fixture
bitladder.register()


@pytest.mark.parametrize(("task", "texts", "max_length"), [("demo", 1, 24), ("stsb", 2, 128)])
def test_packing_writes_what_the_task_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, texts: int, max_length: int
) -> None:
    monkeypatch.chdir(tmp_path)
    pack.run(tiny_project.make(task), "w1")
    config = format.read_config(paths.packed_dir("w1"))
    assert config.reading == ReadingFields(texts=texts, max_length=max_length)  # type: ignore[arg-type]
    assert (config.num_texts, config.max_length) == (texts, max_length)


def changed(folder: Path, **values: object) -> PackedConfig:
    return format.parse_config({**json.loads((folder / format.CONFIG).read_text()), **values}, source="it")


def test_a_folder_from_before_does_not_say(made: Make) -> None:
    config = format.read_config(made(PRECISIONS[0]))
    assert (config.num_texts, config.max_length) == (None, config.max_position_embeddings)


def test_a_question_answering_model_reads_two_texts_in_its_windows_length(made: Make) -> None:
    folder = made(PRECISIONS[0], answering=True)
    config = format.read_config(folder)
    assert (config.num_texts, config.max_length) == (2, 16)
    with pytest.raises(FormatError, match="not of question answering"):
        changed(folder, bitladder_reading={"texts": 2, "max_length": 16})


@pytest.mark.parametrize(
    "wrong", [{"texts": 3, "max_length": 4}, {"texts": 1, "max_length": 0}, {"texts": 2}]
)
def test_what_is_no_number_of_texts_or_tokens_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ReadingFields.model_validate(wrong)


def test_more_tokens_than_positions_are_refused(made: Make) -> None:
    with pytest.raises(FormatError, match="max_length 18 is more than max_position_embeddings"):
        changed(made(PRECISIONS[0]), bitladder_reading={"texts": 1, "max_length": 18})


def test_two_labels_of_one_name_are_refused(made: Make) -> None:
    names = {"0": "a", "1": "a", "2": "b"}
    with pytest.raises(FormatError, match=r"id2label: \['a'\] is the name of two labels"):
        changed(made(PRECISIONS[0]), id2label=names)
