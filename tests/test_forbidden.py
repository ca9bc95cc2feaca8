"""What no file of flows/ and pipeline/ may do: unpickle, run text as code or in a shell, trust a Hub's code.

Names are looked up through the file's own imports, so `from torch import load as read` is found too.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for folder in ("flows", "pipeline") for path in (ROOT / folder).rglob("*.py"))
MODULES = {
    "pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
    "pty",
    "commands",
}
CALLS = {
    "eval",
    "exec",
    "os.popen",
    "os.system",
    "pandas.read_pickle",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
    "tempfile.mktemp",
    "torch.load",
    "torch.save",
    "torch.hub.load",
    "torch.jit.load",
}
METHODS = {"to_pickle", "read_pickle"}
# Keywords that must be left out or be False.
KEYWORDS = {"allow_pickle", "shell", "trust_remote_code"}


def offences(source: str) -> list[str]:
    """Every forbidden thing in a file's text, as `line: what`."""
    tree = ast.parse(source)
    names = _imported(tree)
    return [f"{line}: {what}" for node in ast.walk(tree) for line, what in _of(node, names)]


def _imported(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for: `np` for numpy, `load` for torch.load."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _of(node: ast.AST, names: dict[str, str]) -> list[tuple[int, str]]:
    if isinstance(node, ast.Import):
        return [(node.lineno, a.name) for a in node.names if a.name.split(".")[0] in MODULES]
    if isinstance(node, ast.ImportFrom):
        module = (node.module or "").split(".")[0]
        return [(node.lineno, module)] if module in MODULES and not node.level else []
    if not isinstance(node, ast.Call):
        return []
    called = _dotted(node.func, names)
    found = [(node.lineno, called)] if called in CALLS or called.rsplit(".", 1)[-1] in METHODS else []
    for keyword in node.keywords:
        allowed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg in KEYWORDS and not allowed:
            found.append((node.lineno, f"{keyword.arg}={ast.unparse(keyword.value)}"))
        if called.endswith("YAML") and keyword.arg == "typ" and ast.unparse(keyword.value) == "'unsafe'":
            found.append((node.lineno, "YAML(typ='unsafe')"))
    return found


def _dotted(function: ast.expr, names: dict[str, str]) -> str:
    """The full name of what is called, as far as the file tells."""
    if isinstance(function, ast.Name):
        return names.get(function.id, function.id)
    if isinstance(function, ast.Attribute):
        return f"{_dotted(function.value, names)}.{function.attr}"
    return ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_does_what_is_forbidden(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8")) == []


def test_the_files_are_found() -> None:
    assert {"loop.py", "cli.py", "served_model.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import cloudpickle as cp",
        "import joblib",
        "import yaml",
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x', weights_only=True)",
        "from torch import load as read\nread('x')",
        "import torch\ntorch.hub.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nnp.load('x', allow_pickle=flag)",
        "import pandas as pd\npd.read_pickle('x')",
        "frame.to_pickle('x')",
        "eval('1')",
        "exec('1')",
        "import os\nos.system('ls')",
        "from os import popen\npopen('ls')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import subprocess\nsubprocess.getoutput('ls')",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "from ruamel.yaml import YAML\nYAML(typ='unsafe')",
    ],
)
def test_each_forbidden_thing_is_seen(source: str) -> None:
    assert offences(source)


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "from ruamel.yaml import YAML\nYAML(typ='safe').load('x')",
        "from safetensors.torch import load_file\nload_file('x')",
        "import json\njson.load(file)",
    ],
)
def test_what_is_allowed_passes(source: str) -> None:
    assert offences(source) == []
