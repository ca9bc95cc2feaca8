"""`bitladder compress` from a file to a packed folder, with a tiny BERT; again, it does nothing twice."""

import os
import random
from pathlib import Path
from unittest import mock

import made_up
import pytest

from bitladder import files
from flows import graph
from flows.compress import budget, command, project
from flows.compress.asked import Asked
from pipeline.evaluation import results

STEPS = {"teacher": 40, "w4a8": 20, "w2a8": 20, "w1a8": 20, "w1a4": 20}


def write(path: Path, num_rows: int = 90) -> Path:
    draw = random.Random(1)
    labels = ["wet", "dry", "neither"]
    lines = [f'"{labels[at % 3]} {made_up.sentence(draw, 8)}",{labels[at % 3]}' for at in range(num_rows)]
    path.write_text("\n".join(["text,label", *lines, ""]))
    return path


@pytest.mark.slow
def test_a_file_becomes_a_packed_model_and_the_same_command_finds_it_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(budget, "steps", lambda *_, **__: STEPS)
    asked = Asked(
        file=write(tmp_path / "rain.csv"),
        text="text",
        label="label",
        output=tmp_path / "out",
        project=tmp_path / "out.project",
        base=str(made_up.bert(tmp_path / "bert")),
        max_drop=100.0,
    )
    with mock.patch.dict(os.environ, {"DVC_SITE_CACHE_DIR": str(tmp_path / "site")}):
        code = command.main(asked)
        said = capsys.readouterr().out
        assert "rain.csv: 90 rows, 18 of them drawn for validation, 3 labels (dry, neither, wet)" in said
        found = results.read(asked.project / "metrics" / "results.json")
        assert set(found.models) == set(STEPS)
        assert {name: model.steps for name, model in found.models.items()} == STEPS
        assert code == (0 if "The smallest model within 100 points" in said else 1)
        if code == 0:
            assert files.verify(asked.output)
            assert files.read_json(asked.output / "config.json")["id2label"]["0"] == "dry"
        made = {path: path.stat().st_ino for path in asked.project.glob("models/*/model.safetensors")}
        assert command.main(asked) == code
        assert {path: path.stat().st_ino for path in made} == made
        ran = [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if ": done;" in line]
        assert ran == ["register"], "which looks every time whether all is registered"
        asked.file.write_text(asked.file.read_text() + "wet and wetter,wet\n")
        monkeypatch.chdir(asked.project)
        assert "prepare" in graph.changed()
        assert files.read_json(project.ASKED)["steps"] == STEPS
