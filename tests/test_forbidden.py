"""No code of ours unpickles, runs text as code or in a shell, or trusts a Hub's code.

Ruff refuses what it has rules for (`S`, and the banned names in pyproject.toml); the rest is looked for here.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [file for folder in ("bitladder", "pipeline", "flows") for file in (ROOT / folder).rglob("*.py")]
# Keywords that must be left out or be False, and methods whose object ruff does not know.
UNNAMED = re.compile(
    r"\b(allow_pickle|trust_remote_code|shell)=(?!False\b)|\.(to|read)_pickle\(|\btyp=.unsafe"
)


def by_ruff(source: str) -> list[str]:
    """The rules that this text breaks as a file of ours."""
    command = [sys.executable, "-m", "ruff", "check", "--quiet", "--output-format", "concise", "--no-cache"]
    command += ["--stdin-filename", "bitladder/made_up.py", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, cwd=ROOT, check=False)
    return re.findall(r": ((?:S|TID)\d+) ", done.stdout)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\n",
        "from pickle import loads\n",
        "import cloudpickle as cp\n",
        "import joblib\n",
        "import shelve\n",
        "import yaml\n",
        "import torch\ntorch.load('x')\n",
        "import torch as t\nt.load('x', weights_only=True)\n",
        "from torch import load as read\nread('x')\n",
        "import torch\ntorch.hub.load('x')\n",
        "import pandas as pd\npd.read_pickle('x')\n",
        "eval('1')\n",
        "exec('1')\n",
        "import os\nos.system('ls')\n",
        "from os import popen\npopen('ls')\n",
        "import subprocess\nsubprocess.run('ls', shell=True)\n",
        "import subprocess\nsubprocess.getoutput('ls')\n",
        "import asyncio\nasyncio.create_subprocess_shell('ls')\n",
        "import tempfile\ntempfile.mktemp()\n",
    ],
)
def test_ruff_refuses(source: str) -> None:
    assert by_ruff(source)


def test_ruff_lets_pass_what_is_allowed() -> None:
    assert by_ruff("import subprocess\n\nsubprocess.run(['ls'], shell=False)\n") == []


@pytest.mark.parametrize(
    "source",
    [
        "np.load('x', allow_pickle=True)",
        "np.load('x', allow_pickle=flag)",
        "frame.to_pickle('x')",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "YAML(typ='unsafe')",
        "run('ls', shell=flag)",
    ],
)
def test_what_ruff_does_not_know_is_seen(source: str) -> None:
    assert UNNAMED.search(source)


def test_no_file_has_it() -> None:
    assert len(FILES) > 100
    assert [file for file in FILES if UNNAMED.search(file.read_text(encoding="utf-8"))] == []
