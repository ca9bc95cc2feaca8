"""What is installed where: with the extra `runtime` alone a packed model answers, and every command that
cannot run says why. The wheel holds the library and nothing else.
"""

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tiny_rung import batch, save_rung
from with_kernels import has_kernels

from bitladder import files
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision
from bitladder.transformers_model import model

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TRAINING = {
    "torch",
    "transformers",
    "mlflow",
    "prefect",
    "datasets",
    "pandas",
    "dvc",
    "scikit-learn",
    "scipy",
}
# In a fresh process these packages are not there: whoever looks for them finds nothing.
WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {left_out!r} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
sys.path.insert(0, {root!r})
{code}
"""
COMMANDS = {
    "plan": ["plan"],
    "run": ["run"],
    "up": ["up"],
    "down": ["down"],
    "results": ["results"],
    "compare": ["compare", str(ROOT / "docs" / "results" / "cola.json")],
    "lineage": ["lineage", "w1a8"],
    "best": ["best"],
    "search": ["search"],
    "sync": ["sync"],
    "deploy": ["deploy"],
    "worker": ["worker"],
    "submit": ["submit", "w1a8", "-o", "answers"],
}
READING = {"compare", "results"}  # what is written already, without what wrote it
RUN_COMMANDS = """
import contextlib, io, json
from bitladder import cli
found = {}
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:], said, failed = arguments, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(failed):
        try: cli.main()
        except SystemExit as end: code = end.code or 0
    found[arguments[0]] = [code, said.getvalue(), failed.getvalue()]
print(json.dumps(found))
"""


def closure(requirements: Iterable[str]) -> set[str]:
    """The names of the packages that these bring, all the way down, as this environment has them."""
    found: set[str] = set()
    wanted = [Requirement(text) for text in requirements]
    while wanted:
        one = wanted.pop()
        name = canonicalize_name(one.name)
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        if name not in found:
            found.add(name)
            wanted += [Requirement(text) for text in requires(name) or []]
    return found


def extra(name: str) -> list[str]:
    return [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][name]]


def alone(code: str, *arguments: str, folder: Path = ROOT) -> str:
    """What a process prints that has the extra `runtime` and nothing else."""
    installed = closure(extra("runtime")) | {"bitladder"}
    left_out = {
        module
        for module, names in packages_distributions().items()
        if not installed.intersection(map(canonicalize_name, names))
    }
    text = WITHOUT.format(left_out=left_out, root=str(ROOT), code=code)
    command = [sys.executable, "-c", text, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published packed folders: of w1a8, which the kernels run, and of w1a8_groups, which they do not."""
    root = tmp_path_factory.mktemp("packed")
    grouped = Precision(1, 1, 8, granularity="group", group_size=32)
    for name, precision in (("w1a8", Precision(1, 1, 8)), ("w1a8_groups", grouped)):
        (root / "trained" / name).mkdir(parents=True)
        sizes = {"hidden_size": 64, "intermediate_size": 192}
        save_rung(root / "trained" / name, precision, **sizes)
        with files.publish(root / name) as folder:
            pack(root / "trained" / name, folder)
    return root


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Exit code, stdout and stderr of each command in an empty folder."""
    folder = tmp_path_factory.mktemp("empty")
    found = run(folder, *COMMANDS.values(), ["doctor"], ["--help"])
    assert list(folder.iterdir()) == [], "nothing is written"
    return found


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same of a project's own commands, in its root."""
    folder = tmp_path_factory.mktemp("project")
    parts = {"flows", "pipeline", "params.yaml"}
    for part in parts:
        (folder / part).symlink_to(ROOT / part)
    found = run(folder, *COMMANDS.values())
    assert {path.name for path in folder.iterdir()} == parts, "nothing is written"
    return found


def run(folder: Path, *commands: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(alone(RUN_COMMANDS, json.dumps(commands), folder=folder))
    return found


def test_the_runtime_brings_nothing_that_trains() -> None:
    assert not closure(extra("runtime")) & TRAINING
    assert len(closure(extra("runtime"))) < 40


def test_what_trains_is_in_its_own_extra() -> None:
    assert {Requirement(one).name for one in extra("train")} >= TRAINING
    assert "bitladder[runtime,serve,train]" in PROJECT["optional-dependencies"]["dev"]


def test_a_process_with_the_runtime_alone_cannot_import_what_trains() -> None:
    code = "from importlib.util import find_spec; print([n for n in {} if find_spec(n)])"
    assert alone(code.format(["torch", "transformers", "mlflow", "ruamel", "pandas", "pytest"])) == "[]\n"


@has_kernels
def test_a_packed_model_answers_with_the_runtime_alone(packed: Path) -> None:
    ids = batch()
    code = (
        f"import json; from bitladder import runtime; model = runtime.load({str(packed / 'w1a8')!r});"
        "print(json.dumps(model.logits(**json.loads(sys.argv[1])).tolist()))"
    )
    said = alone(code, json.dumps({name: values.tolist() for name, values in ids.items()}))
    with torch.no_grad():
        expected = model.load(packed / "w1a8")(**ids).logits
    # The tolerances, and why these: packed_models.py.
    np.testing.assert_allclose(np.array(json.loads(said)), expected.numpy(), rtol=0, atol=1e-3)


@has_kernels
def test_a_packed_model_is_inspected_and_asked_with_the_runtime_alone(packed: Path) -> None:
    folder = str(packed / "w1a8")
    found = run(packed, ["inspect", folder], ["predict", folder, "the dog"])
    assert [(code, failed) for code, _, failed in found.values()] == [(0, "")] * 2
    assert "on disk" in found["inspect"][1]
    assert found["predict"][1].splitlines()[0] in ("wrong", "right")


def test_a_model_without_kernels_is_said_to_need_torch(packed: Path) -> None:
    code, said, failed = run(packed, ["predict", str(packed / "w1a8_groups"), "the dog"])["predict"]
    assert (code, said, len(failed.splitlines())) == (2, "", 1)
    assert failed.endswith("torch would run it: pip install 'bitladder[train]'\n")


@pytest.mark.parametrize("command", ["--help", "doctor"])
def test_what_needs_no_training_works_with_the_runtime_alone(outside: dict[str, Any], command: str) -> None:
    code, said, failed = outside[command]
    assert (code, failed) == (0, "")
    assert len(said.splitlines()) > 3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_other_command_says_in_a_line_where_it_runs(outside: dict[str, Any], command: str) -> None:
    code, said, failed = outside[command]
    assert (code, said) == (2, "")
    assert failed.startswith(f"bitladder: {command} works in a project's root, ")
    assert len(failed.splitlines()) == 1


def test_there_results_are_read_with_the_runtime_alone(inside: dict[str, Any]) -> None:
    code, said, failed = inside["compare"]
    assert (code, failed) == (0, "")
    assert "CoLA" in said
    assert inside["results"] == [
        1,
        "",
        "bitladder: metrics/results.json: not there; `dvc repro evaluate` makes it\n",
    ]


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - READING))
def test_there_it_says_in_a_line_what_to_install(inside: dict[str, Any], command: str) -> None:
    code, said, failed = inside[command]
    assert (code, said) == (2, "")
    assert failed.endswith("which is not installed: pip install 'bitladder[train]'\n")
    assert len(failed.splitlines()) == 1


@pytest.mark.slow
def test_the_wheel_holds_the_whole_library_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "bitladder", source / "bitladder", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    written = {path.relative_to(source).as_posix() for path in source.glob("*/**/*") if path.is_file()}
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        ".",
    ]
    subprocess.run(build, cwd=source, check=True)
    [wheel] = tmp_path.glob("bitladder-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert "bitladder/py.typed" in packed
    assert written - packed == set()
    assert {name.split("/")[0] for name in packed if ".dist-info" not in name} == {"bitladder"}


def test_the_server_is_an_extra_of_its_own(packed: Path) -> None:
    code, said, failed = run(packed, ["serve", str(packed / "w1a8")])["serve"]
    assert (code, said, len(failed.splitlines())) == (2, "", 1)
    assert failed.endswith("which is not installed: pip install 'bitladder[serve]'\n")


def test_what_exports_is_an_extra_of_its_own(packed: Path) -> None:
    arguments = ["export", str(packed / "w1a8"), "--onnx", str(packed / "out")]
    code, said, failed = run(packed, arguments)["export"]
    assert (code, said, len(failed.splitlines())) == (2, "", 1)
    assert failed.endswith("which is not installed: pip install 'bitladder[onnx]'\n")
