"""A project's commands: each is there with its help, and wrong parameters are refused with exit code 2."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from bitladder import cli

ROOT = Path(__file__).parents[2]
DEFAULT = (ROOT / "params.yaml").read_text(encoding="utf-8")
COMMANDS = (
    "plan",
    "run",
    "up",
    "down",
    "results",
    "compare",
    "lineage",
    "best",
    "sync",
    "search",
    "inspect",
    "doctor",
    "predict",
    "submit",
    "compress",
)
Bitladder = Callable[..., int]


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def bitladder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bitladder:
    """Run a command in a project of nothing but its code; the exit code comes back."""
    (tmp_path / "flows").symlink_to(ROOT / "flows")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["bitladder", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0)

    return run


def write_params(*replacements: tuple[str, str]) -> None:
    """The default with every match of a pattern replaced."""
    text = DEFAULT
    for pattern, new in replacements:
        text, count = re.subn(pattern, lambda _, new=new: new, text, flags=re.MULTILINE)  # type: ignore[misc]
        assert count
    Path("params.yaml").write_text(text, encoding="utf-8")


def test_help_names_every_command(bitladder: Bitladder, capsys: pytest.CaptureFixture[str]) -> None:
    assert bitladder("-h") == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^  {command} ", shown, re.MULTILINE) for command in COMMANDS)
    assert "..." not in shown.split("Commands:")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(bitladder: Bitladder, command: str) -> None:
    assert bitladder(command, "--help") == 0


@pytest.mark.parametrize(
    "arguments",
    [("plann",), ("plan", "--jsn"), ("run", "--jobs", "0")],
)
def test_wrong_usage_is_exit_code_2(bitladder: Bitladder, arguments: tuple[str, ...]) -> None:
    assert bitladder(*arguments) == 2


def test_no_escape_codes_are_printed_when_colour_is_refused() -> None:
    environment = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "bitladder.cli", "plan", "--no-status", "--no-measure"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout + done.stderr


# The faults of a configuration, one of each kind: exit code 2, plain lines, before anything else happens.


@pytest.mark.parametrize(
    ("replacement", "problem"),
    [
        pytest.param(("init_from: w8", "init_form: w8"), "did you mean 'init_from'?", id="C1 key"),
        pytest.param(("^seed: .*", "seed: '0'"), "write it without quotes", id="C2 type"),
        pytest.param(("learning_rate: .*", "learning_rate: .nan"), "not a finite number", id="C3 value"),
        pytest.param(("^seed: .*", "seed: 0\nseed: 1"), "duplicate key", id="C4 duplicate"),
        pytest.param(("^seed: .*", "seed:\t0\n\tx: 1"), "a tab where YAML wants spaces", id="C4 tab"),
        pytest.param(("name: demo", "name: $(touch x)"), "a name starts with a letter", id="C6 shell"),
        pytest.param(("init_from: w8", "init_from: w1"), "a circle", id="C7 cycle"),
        pytest.param(("source: demo", "source: path"), "data.root: missing", id="C7 contradiction"),
    ],
)
def test_wrong_parameters_are_exit_code_2(
    bitladder: Bitladder,
    capsys: pytest.CaptureFixture[str],
    replacement: tuple[str, str],
    problem: str,
) -> None:
    write_params(replacement)
    assert bitladder("plan") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert problem in captured.err
    assert "Traceback" not in captured.err
    assert sorted(os.listdir()) == ["flows", "params.yaml"]


def test_missing_parameters_are_exit_code_2(bitladder: Bitladder, capsys: pytest.CaptureFixture[str]) -> None:
    assert bitladder("plan") == 2
    assert "No such file" in capsys.readouterr().err


def test_debug_shows_where_a_failure_came_from(
    bitladder: Bitladder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bitladder("--debug", "plan") == 2
    assert "Traceback" in capsys.readouterr().err


# plan


def test_the_plan_is_shown_without_dvc_and_touches_nothing(
    bitladder: Bitladder, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params()
    assert bitladder("plan", "--no-status", "--no-measure") == 0
    shown = capsys.readouterr().out
    assert "weights_activations  w1a1_random_start  teacher" in shown
    assert "DVC stage" not in shown
    assert sorted(os.listdir()) == ["flows", "params.yaml"]


def test_the_plan_can_be_read_by_a_program(bitladder: Bitladder, capsys: pytest.CaptureFixture[str]) -> None:
    write_params()
    assert bitladder("plan", "--json", "--no-status", "--no-measure") == 0
    answer = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in answer["rows"]}
    assert rows["w1a8"]["parent"] == "w1"
    assert rows["w1a8"]["activation_bits"] == 8
    assert answer["stages"] == []


def test_without_a_dvc_repository_the_plan_says_so(
    bitladder: Bitladder, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params()
    assert bitladder("plan", "--no-measure") == 0
    assert "DVC cannot tell what would run: you are not inside of a DVC repository" in capsys.readouterr().out
