"""The library's commands answer at once, refuse wrong usage with exit code 2, and hide no failure."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from bitladder import cli
from bitladder.files import IntegrityError
from bitladder.packed import size

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "inspect",
    "doctor",
    "predict",
    "serve",
    "export",
    "verify",
    "push",
    "compress",
)  # the last one because this is a clone
HEAVY = {
    "torch",
    "transformers",
    "mlflow",
    "prefect",
    "datasets",
    "nlpaug",
    "sklearn",
    "dvc",
    "numba",
    "onnx",
    "onnxruntime",
    "fastapi",
}
Bitladder = Callable[..., int]


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def bitladder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bitladder:
    """Run a command outside of a project; the exit code comes back."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["bitladder", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0)

    return run


def test_help_names_the_librarys_commands_and_where_there_are_more(
    bitladder: Bitladder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bitladder("-h") == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^  (\w+)  +\w", shown.split("Commands:")[1], re.MULTILINE) == list(COMMANDS)
    assert "project" in shown.split("Commands:")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(bitladder: Bitladder, command: str) -> None:
    assert bitladder(command, "--help") == 0


@pytest.mark.parametrize("folder", [ROOT, ROOT / "docs"], ids=["inside", "outside"])
def test_help_imports_nothing_heavy(folder: Path) -> None:
    code = (
        "import sys; sys.argv = ['bitladder', '--help']\n"
        "from bitladder import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_told(bitladder: Bitladder, capsys: pytest.CaptureFixture[str]) -> None:
    assert bitladder("--version") == 0
    assert capsys.readouterr().out.startswith("bitladder")


@pytest.mark.parametrize(
    "arguments", [("inspekt",), ("doctor", "--jsn"), ("inspect",), ("predict", "nowhere", "x")]
)
def test_wrong_usage_is_exit_code_2(bitladder: Bitladder, arguments: tuple[str, ...]) -> None:
    assert bitladder(*arguments) == 2


def test_a_folder_that_holds_no_model_is_exit_code_4(
    bitladder: Bitladder, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert bitladder("predict", str(tmp_path), "text") == 4
    assert bitladder("inspect", str(tmp_path)) == 4
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"bitladder: {tmp_path}: no manifest.json: not written by bitladder, or not completely"
    assert second.startswith(f"bitladder: {tmp_path / 'config.json'}: missing")


def test_debug_shows_where_a_failure_came_from(
    bitladder: Bitladder, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert bitladder("--debug", "inspect", str(tmp_path)) == 4
    assert "Traceback" in capsys.readouterr().err


class BusyError(RuntimeError):
    exit_code = 75


@pytest.mark.parametrize(
    ("failure", "code", "line"),
    [
        (IntegrityError("packed/w8: changed"), 4, "bitladder: packed/w8: changed"),
        (BusyError("another run has it"), 75, "bitladder: another run has it"),
        (KeyError("w3"), 1, "bitladder: KeyError: 'w3'"),
    ],
)
def test_a_failure_is_one_line_and_its_own_exit_code(
    bitladder: Bitladder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    code: int,
    line: str,
) -> None:
    monkeypatch.setattr(size, "main", mock.Mock(side_effect=failure))
    assert bitladder("inspect", ".") == code
    assert capsys.readouterr().err == line + "\n"
