"""The benchmark runs and tells what it promises. No claim about time is made here: see docs/benchmarks.md."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_round_on_the_demos_shape_gives_every_promised_figure():
    found = _run("--shape", "demo", "--rounds", "1", "--variants", "w1a8", "w1a8-reference", "--json")
    document = json.loads(found.stdout)
    assert document["machine"]["threads"] == 1
    assert document["rounds"] == 1
    rows = {row["variant"]: row for row in document["rows"]}
    assert list(rows) == ["plain", "w1a8", "w1a8-reference"]
    for row in rows.values():
        assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
        assert row["milliseconds"]["median"] > 0
        assert row["peak_mib"] > 0
    assert rows["plain"]["ratio"]["median"] == 1.0
    assert rows["plain"]["difference"] is None
    assert abs(rows["w1a8"]["difference"]) <= 1e-4


def test_a_step_that_fails_says_why():
    code = (
        "import sys; sys.path.insert(0, 'benchmarks')\n"
        "from interleaved import started, take_turns\n"
        "with started('broken', ['-c', 'raise SystemExit(\"no such step\")'], threads=1) as worker:\n"
        "    take_turns([worker], warm_up={'steps': 1}, rounds=1, request={'steps': 1})\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "broken: ended with exit code 1" in found.stderr
    assert "no such step" in found.stderr


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "benchmarks/training_step.py", *arguments]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found
