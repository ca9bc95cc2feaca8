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
HEADER = "".join(
    f"{name:>11}" for name in ("planned", "real", "ratio", "real", "ratio", *("planned", "real", "ratio") * 2)
)


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
    planned = json.loads(call([sys.executable, "-m", "bitladder.cli", "plan", "--json"], clone))
    planning = time.monotonic() - started
    call([sys.executable, "-m", "dvc", "repro", *([only] if only else [])], clone)
    running = time.monotonic() - started - planning
    models = {row["stage"]: row for row in planned["rows"]}
    stages = [
        row
        for stage in planned["stages"]
        if (row := compared(clone, stage, models.get(stage["stage"]))) is not None
    ]
    return {
        "planning_seconds": planning,
        "running_seconds": running,
        "planned_minutes": planned["totals"]["minutes"],
        "not_counted": planned["totals"]["not_counted"],
        "peak_memory_mib": planned["totals"]["peak_memory_mib"],
        "notes": planned["notes"],
        "stages": stages,
    }


def compared(clone: Path, stage: dict[str, Any], model: dict[str, Any] | None) -> dict[str, Any] | None:
    """What was planned for a stage that ran, and what it took; None for one that did not run."""
    timing = clone / ".bitladder" / "timings" / f"{stage['stage']}.json"
    if not timing.is_file():
        return None
    real, planned = json.loads(timing.read_text()), stage["planned_seconds"]
    row = {
        "stage": stage["stage"],
        "planned_seconds": planned,
        "real_seconds": real["seconds"],
        "processor_seconds": real["processor_seconds"],
    }
    if model is not None:
        row["planned_memory_mib"], row["real_memory_mib"] = model["peak_memory_mib"], real["peak_memory_mib"]
        row["planned_disk_mib"], row["real_disk_mib"] = model["disk_mib"], disk_mib(clone, model["name"])
    return row


def disk_mib(clone: Path, name: str) -> float:
    """The trained folder twice, as DVC's cache has a copy; the packed one three times, MLflow has it too."""
    size = 2 * folder_bytes(clone / "models" / name) + 3 * folder_bytes(clone / "packed" / name)
    return size / 2**20


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def as_text(found: dict[str, Any]) -> str:
    columns = ("seconds", "", "", "cpu s", "", "memory MiB", "", "", "disk MiB", "", "")
    lines = [f"{'stage':32}{''.join(f'{column:>11}' for column in columns)}", f"{'':32}{HEADER}"]
    for row in found["stages"]:
        processors = (row["processor_seconds"], ratio(row, "processor_seconds", "seconds"))
        cells = [*pair(row, "seconds"), *processors, *pair(row, "memory_mib"), *pair(row, "disk_mib")]
        lines.append(f"{row['stage']:32}{''.join(map(number, cells))}")
    counted = [row for row in found["stages"] if row["planned_seconds"] is not None]
    sums = {
        name: sum(row[name] for row in counted) / 60
        for name in ("planned_seconds", "real_seconds", "processor_seconds")
    }
    lines += [
        f"within a factor {TOLERANCE} of the plan, of {len(counted)} stages: "
        f"{within(counted, 'real_seconds')} on the wall, "
        f"{within(counted, 'processor_seconds')} by the processors' time",
        f"planned {sums['planned_seconds']:.1f} minutes; those stages took {sums['real_seconds']:.1f}, "
        f"{sums['processor_seconds']:.1f} of the processors; dvc repro in all "
        f"{found['running_seconds'] / 60:.1f}",
        f"the plan itself took {found['planning_seconds']:.0f} s",
        f"not in the plan: {', '.join(found['not_counted']) or 'nothing'}",
        *found["notes"],
    ]
    return "\n".join(lines)


def pair(row: dict[str, Any], what: str) -> list[float | None]:
    """Planned, real, and their ratio."""
    return [row.get(f"planned_{what}"), row.get(f"real_{what}"), ratio(row, f"real_{what}", what)]


def ratio(row: dict[str, Any], real: str, planned: str) -> float | None:
    expected = row.get(f"planned_{planned}")
    return None if not expected or row.get(real) is None else row[real] / expected


def within(rows: list[dict[str, Any]], real: str) -> int:
    return sum(1 / TOLERANCE <= row[real] / row["planned_seconds"] <= TOLERANCE for row in rows)


def number(value: float | None) -> str:
    return f"{'-':>11}" if value is None else f"{value:11.2f}"


def call(command: list[str], folder: Path) -> str:
    """Run in `folder` with its code; what it says besides its result goes to stderr."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PYTHONPATH": str(folder.absolute()), "PATH": path}
    return subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
