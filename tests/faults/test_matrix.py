"""The matrix of faults is whole, its tests are there, and docs/faults.md says what they did."""

import ast
import functools
import json
import re
from pathlib import Path

import page
import pytest
from matrix import ROWS, TITLES
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SIZES = {"A": 14, "B": 12, "C": 8, "D": 9, "E": 5, "F": 4, "G": 2, "H": 6, "I": 6}


def test_every_fault_has_a_row() -> None:
    assert list(ROWS) == [f"{letter}{n}" for letter, size in SIZES.items() for n in range(1, size + 1)]
    assert TITLES.keys() == SIZES.keys()


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_tests_or_says_why_not(name: str) -> None:
    row = ROWS[name]
    assert row.tests or row.note
    for test in row.tests:
        path, _, function = test.partition("::")
        assert function in functions(ROOT / "tests" / path), test


@functools.cache
def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_the_page_says_what_the_tests_did() -> None:
    results = json.loads(page.RESULTS.read_text())
    assert page.PAGE.read_text(encoding="utf-8") == page.page(results)
    tests = {name: one for name, one in results.items() if name not in page.TIERS}
    assert tests.keys() <= {*page.named()}
    assert {name: one for name, one in tests.items() if one["failed"]} == {}


def test_no_text_of_params_reaches_a_shell() -> None:
    """DVC puts values into a command's text: no command has any."""
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    commands = [stage.get("do", stage)["cmd"] for stage in stages.values()]
    assert commands == [f"python -m flows.stage {name}" for name in stages]


def test_no_duration_is_taken_from_the_clock() -> None:
    """The clock may jump; what it is asked for is told to a person and decides nothing."""
    asked = re.compile(r"time\.time\(\)|datetime\.now|\.utcnow\(")
    told = {"pipeline/training/live.py", "flows/compress/shown.py"}
    told |= {f"flows/{name}.py" for name in ("torchrun", "processes", "stage")}
    files = [path for part in ("bitladder", "pipeline", "flows") for path in (ROOT / part).rglob("*.py")]
    found = {
        path.relative_to(ROOT).as_posix() for path in files if asked.search(path.read_text(encoding="utf-8"))
    }
    assert found == told
