"""What takes minutes: two hundred kills over the whole graph of the demo, a million inputs.

pytest -m soak tests/faults/test_soak.py
"""

import json
import os
import random
import signal
import time
from contextlib import chdir, suppress
from pathlib import Path

import harness
import packed_models
import pytest
from harness import Template
from test_fuzz import kinds, place_of

from bitladder.quantizers.precision import Precision

KILLS = int(os.environ.get("KILLS", "200"))
INPUTS = int(os.environ.get("INPUTS", "1000000"))
# Of a million: the cheaper the reader, the more.
SHARES = {
    "packed folders, their manifests made to fit, loaded and asked": 1_000,
    "params.yaml": 1_000,
    "Parquet files": 8_000,
    "files of weights": 10_000,
    "manifests": 20_000,
    "records": 50_000,
    "a person's CSV, TSV, JSON lines and JSON, to be learned from": 80_000,
    "config.json of packed models": 130_000,
    "CSV, TSV, JSON lines and text to be answered": 250_000,
    "bodies of requests": 450_000,
}
pytestmark = pytest.mark.soak


def run_undisturbed(template: Template) -> dict[str, float]:
    """Every stage of the graph; the seconds that each took."""
    took = {}
    for stage in harness.stages():
        started = time.monotonic()
        assert template.run(*stage) == 0, (stage, Path("output").read_text()[-2000:])
        took["@".join(stage)] = time.monotonic() - started
    return took


def registered() -> dict[str, object]:
    """What MLflow has, but for its own numbers and times."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{Path('.bitladder/mlflow/mlflow.db').absolute()}")
    versions = client.search_model_versions("name = 'bitladder-demo'")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return {
        "versions": sorted(each.tags["bitladder.name"] for each in versions),
        "aliases": client.get_registered_model("bitladder-demo").aliases,
        "runs": sorted(each.info.run_name for each in runs),
    }


def test_two_hundred_kills_over_the_whole_graph(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each stage in turn, killed at moments drawn over the time that it takes, until they are used up."""
    whole, killed = (tmp_path_factory.mktemp(name) for name in ("whole", "killed"))
    for root in (whole, killed):
        harness.make_graph(root)
    with harness.template(whole) as template:
        with chdir(whole):
            template.run("prepare")  # what is slow the first time is over
            took = run_undisturbed(template)
            expected, held = harness.digests(), registered()
        draw, kills, in_vain = random.Random(0), dict.fromkeys(took, 0), 0
        with chdir(killed):
            stages = harness.stages()
            for number, stage in enumerate(stages):
                name = "@".join(stage)
                due = (number + 1) * KILLS // len(stages)
                while sum(kills.values()) < due:
                    pid = template.start(*stage)
                    time.sleep(draw.uniform(0, took[name]))
                    with suppress(ProcessLookupError):  # it was done
                        os.kill(pid, signal.SIGKILL)
                    code = template.end()
                    if code == -signal.SIGKILL:
                        kills[name] += 1
                    else:
                        assert code == 0, (name, Path("output").read_text()[-2000:])
                        in_vain += 1
                assert template.run(*stage) == 0, (name, Path("output").read_text()[-2000:])
            assert harness.digests() == expected
            assert harness.leftovers() == []
            assert registered() == held
    said = (
        f"{sum(kills.values())} kills in {len(kills)} stages, {in_vain} came too late; {len(expected)} files"
    )
    with capsys.disabled():
        print(f"\n{said} as without any, and MLflow holds {json.dumps(held)}")  # noqa: T201


def test_a_million_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = place_of(packed_models.make(tmp_path, Precision(1, 1, 8)))
    lines = ["| kind | inputs | taken | refused | s |", "| --- | ---: | ---: | ---: | ---: |"]
    for kind, fuzz in kinds(place).items():
        started, taken, count = time.monotonic(), 0, SHARES[kind] * INPUTS // sum(SHARES.values())
        for number in range(count):
            try:
                taken += fuzz(random.Random(f"{kind} {number}"))
            except BaseException:
                print(f"{kind} {number}")  # noqa: T201 - what to give to random.Random
                raise
        seconds = time.monotonic() - started
        lines.append(f"| {kind} | {count:,} | {taken:,} | {count - taken:,} | {seconds:.0f} |")
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201
