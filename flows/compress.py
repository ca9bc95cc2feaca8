"""`bitladder run`: the whole graph as one Prefect flow, a task per DVC stage, independent ones side by side.

DVC's graph says what needs what, `dvc repro` says what must run, files say what is true. Prefect shows it:
each task is named like its stage, one that DVC skipped is Cached, one that ran has its own flow run as a
child. If Prefect's server dies the work goes on, and only the stages decide the exit code.
"""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from flows import environment, graph, prefect_server, processes, servers
from flows.walk import Walk
from pipeline import params_file, paths
from pipeline.record import OtherFormatError
from pipeline.reporting import table

WHY_CACHED = {
    "untouched": "Neither the stage nor anything before it has changed",
    "cached": "DVC had the output already, in place or in its cache",
}


class StagesFailedError(RuntimeError):
    """A stage did not end well; ends its task, and the flow run, as Failed."""


def run_command(jobs: int | None = None, target: str | None = None) -> int:
    """Bring `target`, or everything, up to date with at most `jobs` stages at once; return the exit code.

    When Prefect's server was lost the process ends here, with that code.

    Raises:
        ParamsError, UsageError, UnknownStageError: nothing has been started.
        BusyError: another `bitladder run` is at it.
    """
    environment.prepare()
    try:
        jobs = jobs or default_jobs()
        settings = params_file.load(paths.PARAMS)
        title = f"{settings.task.name}, {settings.model.name}, {settings.budget.name} budget"
        with processes.sole_writer(paths.WORK / "locks" / "run.lock"), _sigterm_raises():
            walk = Walk(graph.stages(target), jobs, changed=graph.changed())
            exit_code = run(walk, title)
    except (KeyboardInterrupt, SystemExit) as stop:
        how, code = (
            ("terminated", int(stop.code or 0)) if isinstance(stop, SystemExit) else ("interrupted", 130)
        )
        sys.stderr.write(f"bitladder run: {how}; the same command goes on from here\n")
        return code
    if not walk.watched:
        processes.exit_at_once(exit_code)
    return exit_code


def run(walk: Walk, title: str) -> int:
    """Walk the graph as a flow, then walk whatever Prefect kept from running without it."""
    try:
        with servers.prefect_for_a_run() as walk.api:
            os.environ["PREFECT_API_URL"] = walk.api
            as_flow(walk, title)
    except StagesFailedError:
        pass
    except Exception as error:
        walk.go_on_unseen(error)
    without_prefect(walk)
    sys.stdout.write(f"{walk.summary()}\n")
    return walk.exit_code()


def as_flow(walk: Walk, title: str) -> None:
    """The flow. Raises StagesFailedError, or whatever Prefect raises when its server is lost."""
    from prefect import flow, get_run_logger, runtime, task
    from prefect.states import Completed
    from prefect.task_runners import ThreadPoolTaskRunner

    prefect_server.lose_events_rather_than_wait()
    side_by_side: Any = ThreadPoolTaskRunner(max_workers=walk.jobs)

    @task(name="dvc stage", task_run_name="{stage}")
    def bring_up_to_date(stage: str) -> Any:
        outcome = walk.do(stage, task_run=str(runtime.task_run.id), log=get_run_logger().info)
        if outcome.how == "failed":
            raise StagesFailedError(f"{stage}: exit code {outcome.exit_code}")
        if outcome.how == "ran":
            return None
        return Completed(name="Cached", message=WHY_CACHED[outcome.how])

    def submit(stage: str, needs: dict[str, Any]) -> Any:
        before = [in_picture(walk, name, future) for name, future in needs.items()]
        return bring_up_to_date.submit(stage, wait_for=before)  # type: ignore[call-overload]

    @flow(name=prefect_server.FLOW, flow_run_name=title, task_runner=side_by_side)
    def bitladder(jobs: int, stages: int) -> None:
        walk.go(submit)
        prefect_server.abort_if_lost(walk.api)
        show_results()
        if walk.exit_code():
            raise StagesFailedError(walk.summary())

    with prefect_server.abort_is_lost():
        bitladder(jobs=walk.jobs, stages=len(walk.stages))


def without_prefect(walk: Walk) -> None:
    """The same walk with plain threads; stages that have ended already are not touched again."""
    with ThreadPoolExecutor(walk.jobs) as pool:
        walk.go(lambda stage, _: pool.submit(walk.do, stage))


def in_picture(walk: Walk, stage: str, future: Any) -> Any:
    """What an edge of Prefect's picture comes from: the stage's own flow run if it had one, else its task."""
    from prefect.client.schemas.objects import StateDetails
    from prefect.states import Completed
    from prefect.utilities.engine import link_state_to_flow_run_result

    if stage not in walk.flow_runs:
        return future
    state: Any = Completed(state_details=StateDetails(flow_run_id=walk.flow_runs[stage]))
    link_state_to_flow_run_result(state, walk.outcomes[stage])
    return walk.outcomes[stage]


def show_results() -> None:
    """The results table as an artifact of the flow run, if there is one by now that this version wrote."""
    from prefect.artifacts import create_table_artifact

    try:
        results = table.read_results()
    except (table.NoResultsError, OtherFormatError):
        return
    description = " ".join([table.title(results), *table.counted(results)])
    create_table_artifact(key="results", table=table.rows(results), description=description)


def default_jobs() -> int:
    """Stages side by side: BITLADDER_JOBS, else one for every two cores."""
    given = os.environ.get("BITLADDER_JOBS", "")
    if given and not (given.isdecimal() and int(given) > 0):
        raise UsageError(f"BITLADDER_JOBS: {given!r}; a whole number from 1 on")
    return int(given or max(1, (os.cpu_count() or 1) // 2))


class UsageError(ValueError):
    """Something the person gave cannot be."""

    exit_code = 2


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
