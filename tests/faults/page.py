"""docs/faults.md, made of the matrix and of what its tests last did.

    python tests/faults/page.py fast      runs the tier's tests, keeps their results and writes the page
    python tests/faults/page.py           writes the page alone

Tiers: fast is in every run of the tests, full takes servers and processes, soak minutes or hours. Results of
the other tiers stay what they were.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from matrix import ROWS, TITLES, Row

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"
RESULTS = ROOT / "tests" / "faults" / "faults.json"
TIERS = ("fast", "full", "soak")
Results = dict[str, dict[str, Any]]  # by "folder/test_file.py::test_function"; a tier's own by its name

HEAD = """# What may go wrong, and the test for it

Each row is a fault; its tests put it there and say what has to hold. `pytest -m fast` runs those that are in
every run, `pytest -m full` those with servers and real processes, `pytest -m soak` the long ones. The page is
made by `python tests/faults/page.py TIER` from what the tests did.

"""


def named() -> list[str]:
    return sorted({test for row in ROWS.values() for test in row.tests})


def tests_of(tier: str) -> Results:
    """Run them; outcome, seconds and number of cases of each."""
    files = sorted({f"tests/{test.partition('::')[0]}" for test in named()})
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", tier, "--junit-xml", str(report), *files]
        before = os.times()
        subprocess.run(command, cwd=ROOT, check=False)
        after = os.times()
        cases = [*ElementTree.parse(report).iter("testcase")]  # noqa: S314 - pytest's own
    found: Results = defaultdict(
        lambda: {"tier": tier, "passed": 0, "failed": 0, "skipped": 0, "seconds": 0.0}
    )
    for case in cases:
        module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
        one = found[f"{module}.py::{case.get('name', '').partition('[')[0]}"]
        bad = [kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None]
        one["skipped" if bad == ["skipped"] else "failed" if bad else "passed"] += 1
        one["seconds"] = round(one["seconds"] + float(case.get("time", 0)), 2)
    used = sum(after[2:4]) - sum(before[2:4])  # of children and theirs
    own = {"wall_s": round(after.elapsed - before.elapsed), "processor_s": round(used), "cases": len(cases)}
    return {**found, tier: own}


def page(results: Results) -> str:
    counts = defaultdict(int)
    for row in ROWS.values():
        counts["with tests" if row.tests else "without"] += 1
    lines = [
        HEAD,
        f"{len(ROWS)} faults: {counts['with tests']} have tests, {counts['without']} a reason why not. ",
    ]
    for tier in (tier for tier in TIERS if tier in results):
        own = results[tier]
        seconds = f"{own['processor_s']} s of processor time, {own['wall_s']} s in all"
        lines.append(f"The {tier} tier: {own['cases']} cases, {seconds}. ")
    lines.append("One process on two cores that others used too; tests that several rows name count once.\n")
    for letter, title in TITLES.items():
        lines.append(
            f"\n## {letter}. {title}\n\n| | fault | tests | passed | s |\n| --- | --- | --- | --- | ---: |\n"
        )
        lines += [_line(name, row, results) for name, row in ROWS.items() if name.startswith(letter)]
    return "".join(lines)


def _line(name: str, row: Row, results: Results) -> str:
    ran = [results[test] for test in row.tests if test in results]
    passed, all_of = (
        sum(sum(one[k] for k in kinds) for one in ran) for kinds in (["passed"], ["passed", "failed"])
    )
    tests = "<br>".join(
        f"{_shown(test)}, {results.get(test, {}).get('tier', 'not run')}" for test in row.tests
    )
    seconds = f"{sum(one['seconds'] for one in ran):.1f}" if ran else ""
    fault = f"{row.fault}{f' ({row.note})' if row.note else ''}"
    return (
        f"| {name} | {fault} | {tests} | {f'{passed} of {all_of}' if row.tests else 'none'} | {seconds} |\n"
    )


def _shown(test: str) -> str:
    path, _, function = test.partition("::")
    return f"[{function.removeprefix('test_').replace('_', ' ')}](../tests/{path})"


def main(tier: str | None) -> None:
    results: Results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if tier:
        kept = {name: one for name, one in results.items() if name != tier and one.get("tier") != tier}
        results = kept | tests_of(tier)
    known = {name: results[name] for name in (*TIERS, *named()) if name in results}
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(known), encoding="utf-8")


if __name__ == "__main__":
    started = time.monotonic()
    main(*sys.argv[1:] or [None])
    print(f"{time.monotonic() - started:.0f} s in all")  # noqa: T201
