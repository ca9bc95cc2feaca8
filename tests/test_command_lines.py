"""What people type: texts that look like options, a trained folder for a packed one, terminals of ASCII."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_project
from packed_models import PRECISIONS, Make, made_folder, reseal
from some_results import model, results, teacher

from bitladder import cli, files, predict
from bitladder.packed import format

__all__ = ["made_folder"]  # a fixture
ROOT = Path(__file__).parents[1]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bitladder", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def test_a_text_with_a_dash_in_front_gets_a_hint_and_works_as_it_says(
    made: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """click#555."""
    folder = str(made(PRECISIONS[0]))
    assert run(monkeypatch, "predict", folder, "-5 degrees") == 2
    assert "bitladder predict DIR -- '-5 degrees'" in capsys.readouterr().err
    assert run(monkeypatch, "predict", "--json", folder, "--", "-5 degrees") == 0
    assert json.loads(capsys.readouterr().out)["label"] in ("wrong", "right", "neither")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(["a \udcff"], "TEXT"), (["a", "b \udcff"], "TEXT_PAIR"), (["a", "--context", "\udcff"], "--context")],
)
def test_a_byte_that_is_not_utf8_is_one_line_that_names_the_argument(
    made: Make,
    arguments: list[str],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """transformers#43459."""
    assert run(monkeypatch, "predict", str(made(PRECISIONS[0])), *arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bitladder: {name}: the byte 0xff at character ")


def test_a_trained_folder_is_told_from_a_packed_one_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_project.make()
    assert run(monkeypatch, "predict", "models/w1a8", "the dog") != 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "bitladder: models/w1a8: holds a trained model (model_type 'bert'), not a packed one"
    )


def named(folder: Path, *labels: str) -> Path:
    config = files.read_json(folder / format.CONFIG)
    config["id2label"] = {str(number): name for number, name in enumerate(labels)}
    config["label2id"] = {name: number for number, name in enumerate(labels)}
    files.write_json(folder / format.CONFIG, config)
    reseal(folder)
    return folder


ALIKE = ("caf\u00e9", "cafe\u0301", "\x1b[31mred\u200b")


def test_labels_are_shown_apart_and_are_exact_in_json(made: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(named(made(PRECISIONS[0]), *ALIKE))
    predict.main(folder, "the dog")
    lines = capsys.readouterr().out.splitlines()
    assert len({line.split()[0] for line in lines[1:]}) == 3
    assert all(line.isprintable() for line in lines)
    predict.main(folder, "the dog", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert set(found["scores"]) == set(ALIKE)
    assert found["label"] in ALIKE


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_labels_and_tables_are_written_to_any_output(made: Make, tmp_path: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    call = [
        sys.executable,
        "-m",
        "bitladder.cli",
        "predict",
        str(named(made(PRECISIONS[0]), *ALIKE)),
        "the dog",
    ]
    for more in ([], ["--json"]):
        done = subprocess.run([*call, *more], env=environment, capture_output=True, check=True)
        text = done.stdout.decode(encoding)
        assert not more or set(json.loads(text)["scores"]) == set(ALIKE)


def test_results_are_written_to_an_output_of_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from bitladder import shown
    from pipeline import paths
    from pipeline.evaluation.results import write
    from pipeline.reporting import table

    monkeypatch.chdir(tmp_path)
    write(paths.RESULTS, results({"teacher": teacher(), "w1a8": model()}))
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    shown.never_fail(stream)
    monkeypatch.setattr(sys, "stdout", stream)
    assert table.main(False) == 0
    stream.seek(0)
    assert "w1a8" in stream.read()
