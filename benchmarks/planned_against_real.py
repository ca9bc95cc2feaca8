"""What `bitladder plan` expects of each stage, beside what the stage then takes.

    python -m benchmarks.planned_against_real [--json] [--only STAGE] [OVERRIDE ...]

In a fresh clone of this repository (committed files only): composes params.yaml from the overrides
(`task=mrpc model=minilm budget=quick ...`), plans, runs `dvc repro`, and prints a line per stage. Seconds on
the wall depend on what else the machine does; the plan is for one that does nothing else, so the processors'
seconds stand beside them. `--only weights@w2` runs that stage and what it needs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOLERANCE = 1.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="choices of conf/, as task=mrpc")
    parser.add_argument("--only", metavar="STAGE", help="this stage and what it needs")
    parser.add_argument("--json", action="store_true", help="print JSON for another program")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "project"
        found = compare(clone, asked.overrides, asked.only)
    print(json.dumps(found, indent=2) if asked.json else as_text(found))
    return 0


def compare(clone: Path, overrides: list[str], only: str | None) -> dict[str, Any]:
    """Plan and run in `clone`, which is made; seconds of both, by stage."""
    call(["git", "clone", "--quiet", str(ROOT), str(clone)], Path())
    if overrides:
        call([sys.executable, "-m", "flows.compose", *overrides], clone)
    started = time.monotonic()
    planned = json.loads(call([sys.executable, "-m", "flows.cli", "plan", "--json"], clone))
    planning = time.monotonic() - started
    call([sys.executable, "-m", "dvc", "repro", *([only] if only else [])], clone)
    running = time.monotonic() - started - planning
    stages = [row for stage in planned["stages"] if (row := compared(clone, stage)) is not None]
    return {
        "planning_seconds": planning,
        "running_seconds": running,
        "planned_minutes": planned["totals"]["minutes"],
        "not_counted": planned["totals"]["not_counted"],
        "peak_memory_mib": planned["totals"]["peak_memory_mib"],
        "notes": planned["notes"],
        "stages": stages,
    }


def compared(clone: Path, stage: dict[str, Any]) -> dict[str, Any] | None:
    """A stage that ran: planned and real seconds; None for one that did not."""
    timing = clone / ".bitladder" / "timings" / f"{stage['stage']}.json"
    if not timing.is_file():
        return None
    real, planned = json.loads(timing.read_text()), stage["planned_seconds"]
    return {
        "stage": stage["stage"],
        "planned_seconds": planned,
        "real_seconds": real["seconds"],
        "processor_seconds": real["processor_seconds"],
        "real_to_planned": None if planned is None else real["seconds"] / planned,
        "processor_to_planned": None if planned is None else real["processor_seconds"] / planned,
    }


def as_text(found: dict[str, Any]) -> str:
    lines = [f"{'stage':32}{'planned s':>10}{'real s':>9}{'ratio':>7}{'cpu s':>9}{'ratio':>7}"]
    for row in found["stages"]:
        cells = [
            number(row["planned_seconds"], 10),
            number(row["real_seconds"], 9),
            number(row["real_to_planned"], 7, 2),
            number(row["processor_seconds"], 9),
            number(row["processor_to_planned"], 7, 2),
        ]
        lines.append(f"{row['stage']:32}{''.join(cells)}")
    counted = [row for row in found["stages"] if row["planned_seconds"] is not None]
    within = sum(1 / TOLERANCE <= row["real_to_planned"] <= TOLERANCE for row in counted)
    sums = {name: sum(row[name] for row in counted) / 60 for name in ("planned_seconds", "real_seconds")}
    lines += [
        f"{within} of {len(counted)} stages within a factor {TOLERANCE} on the wall",
        f"planned {sums['planned_seconds']:.1f} minutes, those stages took {sums['real_seconds']:.1f}; "
        f"dvc repro in all {found['running_seconds'] / 60:.1f}",
        f"the plan itself took {found['planning_seconds']:.0f} s",
        f"not in the plan: {', '.join(found['not_counted']) or 'nothing'}",
        *found["notes"],
    ]
    return "\n".join(lines)


def number(value: float | None, width: int, digits: int = 1) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def call(command: list[str], folder: Path) -> str:
    """Run in `folder` with its code; what it says besides its result goes to stderr."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PYTHONPATH": str(folder.absolute()), "PATH": path}
    return subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
