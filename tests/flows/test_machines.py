"""Two clones as two machines: one Prefect server, one S3 bucket, a worker that is killed in a training."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, suppress
from pathlib import Path

import postgres_server
import pytest
import repeat_project
import s3_server
from scratch_project import ROOT, Scratch, ask, gone, until

from bitladder import files
from flows import environment, servers
from pipeline import paths

RUN = ("bitladder.cli", "run", "--pool", "pool", "--target", "weights@w1")
STATES = "cola/bitladder/states/"
LONG = ("budget.rung.steps=2400", "training.checkpoint_every=50")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a machine's environment says of S3 and of Prefect, on PostgreSQL (on SQLite without it)."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        for name, value in environment.SILENT.items():
            patch.setenv(name, value)
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PYTHONPATH", str(ROOT))
        if found := stack.enter_context(postgres_server.started("prefect")):
            database = f"postgresql+asyncpg://{found}/prefect"
            patch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", database)
        s3 = stack.enter_context(s3_server.started("store"))
        (tmp_path / "server").mkdir()
        with chdir(tmp_path / "server"):
            api = stack.enter_context(servers.prefect_for_a_run())
        yield {
            **s3_server.CREDENTIALS,
            "AWS_ENDPOINT_URL": s3,
            "PREFECT_API_URL": api,
            "OMP_NUM_THREADS": "1",
        }


def clones(root: Path) -> list[Scratch]:
    """Three copies of one project; of the last nobody hears."""
    project = root / "project"
    project.mkdir()
    repeat_project.make(project)
    repeat_project.compose(project, *LONG)
    shutil.copy(ROOT / ".dvcignore", project)
    (project / "conf").symlink_to(ROOT / "conf")
    for command in (
        ("add", "--default", "store", "s3://store/cola"),
        ("modify", "store", "verify", "true"),
    ):
        call = [sys.executable, "-m", "dvc", "remote", *command]
        subprocess.run(call, cwd=project, env=repeat_project.environment(project), check=True)
    found = [shutil.copytree(project, root / name, symlinks=True) for name in ("one", "two", "three")]
    return [Scratch(path) for path in found]


def kept(services: dict[str, str], prefix: str) -> list[str]:
    """What lies in the bucket."""
    import boto3

    names = {"endpoint_url": services["AWS_ENDPOINT_URL"], "region_name": services["AWS_DEFAULT_REGION"]}
    keys = {
        "aws_access_key_id": services["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": services["AWS_SECRET_ACCESS_KEY"],
    }
    answer = boto3.client("s3", **names, **keys).list_objects_v2(Bucket="store", Prefix=prefix)
    return [each["Key"] for each in answer.get("Contents", [])]


def newest(services: dict[str, str]) -> int:
    """The step of the newest whole state in the bucket; 0 for none."""
    whole = [key for key in kept(services, STATES) if key.endswith(files.MANIFEST)]
    return max((int(key.split("/")[-2].removeprefix("step-")) for key in whole), default=0)


@pytest.mark.slow
def test_a_rung_goes_on_in_the_other_clone_after_its_worker_was_killed(
    tmp_path: Path, services: dict[str, str]
) -> None:
    one, two, three = clones(tmp_path)
    try:
        api = services["PREFECT_API_URL"]
        for _ in range(2):  # it may be repeated
            deployed = one.run("bitladder.cli", "deploy", "--pool", "pool", **services)
            assert deployed.returncode == 0, deployed.stderr
        assert {each["name"] for each in ask(f"{api}/deployments/filter", {})} == {"pool"}
        assert len(ask(f"{api}/automations/filter", {})) == 1

        going = one.start(*RUN, **services)
        first = start_worker(two, services)
        until(lambda: newest(services) > 0, "a state is sent", 400)
        tree = [first.pid, *children(first.pid)]
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: all(map(gone, tree)), "everything under the worker has ended", 30)
        assert not (two.root / "models" / "w1").exists()

        before, second = newest(services), start_worker(one, services)
        until(lambda: newest(services) > before, "the other clone has gone on", 200)
        for pid in [second.pid, *children(second.pid)]:  # as when the machine dies: nobody can say so
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        at = time.monotonic()
        third = start_worker(two, services)
        said, errors = going.communicate(timeout=500)
        assert going.returncode == 0, said + errors
        assert said.count("weights@w1: Crashed") == 2
        assert "weights@w1: No heartbeat for 60 s" in said
        assert "weights@w1: ordered again (3 of 3)" in said
        assert said.endswith("5 ran, 0 up to date\n")
        logs = "".join((clone.root / "worker.log").read_text() for clone in (one, two))
        assert logs.count("w1: goes on from step") == 2
        assert kept(services, STATES) == []
        print(f"{time.monotonic() - at:.0f} s from the machine's death to the finished rung")  # noqa: T201

        third.send_signal(signal.SIGINT)
        third.wait(timeout=60)
        again = two.run(*RUN, **services)  # no worker is there any more
        assert again.stdout.endswith("0 ran, 5 up to date\n"), again.stdout + again.stderr
        everything = "".join(path.read_text(errors="replace") for path in written(one.root, two.root))
        assert services["AWS_SECRET_ACCESS_KEY"] not in everything + said + errors + again.stdout

        for name in (paths.DATA, paths.MODELS):
            shutil.copytree(one.root / name, three.root / name)
        shutil.rmtree(three.root / "models" / "w1")
        alone = three.run("flows.stage", "weights", "w1", OMP_NUM_THREADS="1")
        assert alone.returncode == 0, alone.stderr
        digests = {files.sha256(clone.root / "models" / "w1" / paths.WEIGHTS) for clone in (one, two, three)}
        assert len(digests) == 1
    finally:
        for clone in (one, two, three):
            clone.clean_up()


def start_worker(clone: Scratch, services: dict[str, str]) -> "subprocess.Popen[str]":
    """A worker that says what it does to a file."""
    with (clone.root / "worker.log").open("a") as log:
        command = [sys.executable, "-m", "bitladder.cli", "worker", "--pool", "pool"]
        process = subprocess.Popen(
            command,
            cwd=clone.root,
            env={**clone.environment, **services},
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
    clone.started.append(process)
    return process


def children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def written(*roots: Path) -> list[Path]:
    """Every file that could hold a secret: settings, logs, locks and records, no weights."""
    return [
        path
        for root in roots
        for path in root.rglob("*")
        if path.is_file()
        and path.suffix in ("", ".json", ".lock", ".log", ".yaml")
        and path.stat().st_size < 2**20
    ]
