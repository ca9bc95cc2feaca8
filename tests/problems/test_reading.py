"""A file that cannot be read has one clear problem; what can be means what it means to DVC."""

from collections.abc import Callable
from pathlib import Path

import pytest
from changed_params import DEFAULT

from pipeline.params_file import ParamsError, load


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"# nothing but a comment\n", "the file is empty"),
        (b"- 1\n- 2\n", "the top level is a list"),
        (b"just text", "the top level is a str"),
        (b"seed: 0\nseed: 1\n", 'line 2, column 1: found duplicate key "seed"'),
        (b"task:\n\tname: demo\n", "line 2: a tab where YAML wants spaces"),
        (b"seed: 0\nname: \xff\n", "line 2: byte 0xff is not UTF-8"),
        (b"\xef\xbb\xbfseed: 0\n", "starts with a byte order mark"),
        (b"seed: 0\x00", "not YAML"),
        (b"seed: [0\n", "line 2, column 1"),
        (b"seed: *nowhere\n", "undefined alias"),
        (b"seed: 2026-13-45\n", "not YAML"),
        (b"seed: !!python/object:os.system {}\n", "could not determine a constructor"),
        (b"seed: 0\n---\nseed: 1\n", "another document"),
    ],
)
def test_an_unreadable_file_has_one_clear_problem(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParamsError) as caught:
        load(path)
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="No such file"):
        load(tmp_path / "params.yaml")
    with pytest.raises(ParamsError, match="Is a directory"):
        load(tmp_path)


def test_numbers_and_words_mean_what_they_mean_to_dvc(params_file: Callable[..., Path]) -> None:
    path = params_file(
        ("seed", 12345),
        ("seeds", [12345]),
        ("training.rung.learning_rate", 0.12345),
        ("task.label_names", ["no", "maybe"]),
    )
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0.12345", "1e-5").replace("12345", "0o17").replace("maybe", "yes"))
    loaded = load(path)
    assert (loaded.seed, loaded.training.rung.learning_rate) == (15, 1e-5)
    assert loaded.task.label_names == ["no", "yes"]


def test_a_merge_key_means_what_it_says(tmp_path: Path) -> None:
    text = DEFAULT.read_text(encoding="utf-8").replace("  w8:\n", "  w8: &w8\n")
    text = text.replace(
        "weights_activations:\n", "  w8_again: {<<: *w8, init_from: w8}\nweights_activations:\n"
    )
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert (load(path).weights["w8_again"].bits, load(path).weights["w8_again"].init_from) == (8, "w8")
