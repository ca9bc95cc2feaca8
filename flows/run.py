"""`bitladder run`: the whole graph as one Prefect flow, a task per DVC stage, independent ones side by side.

DVC's graph says what needs what, `dvc repro` says what must run, files say what is true. Prefect shows it:
each task is named like its stage and logs what that prints; one that DVC skipped is Cached. If Prefect's
server dies the work goes on, and only the stages decide the exit code.
"""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from flows import environment, graph, processes, servers, torchrun, watched
from flows.machines import deploy, exchange, orders
from flows.walk import Children, Walk
from pipeline import params_file, paths
from pipeline.ladder import lengths
from pipeline.record import OtherFormatError
from pipeline.reporting import table
from pipeline.tracking import links

WHAT_IT_IS = (
    "It brings a ladder up to date: a BERT's bits are lowered rung by rung, each rung trained, packed and "
    "scored by a stage of DVC. A task is a stage: Completed where it ran, Cached where nothing had changed."
)
WHY_CACHED = {
    "untouched": "Neither the stage nor anything before it has changed",
    "cached": "DVC had the output already, in place or in its cache",
}


class StagesFailedError(RuntimeError):
    """A stage did not end well; ends its task, and the flow run, as Failed."""


def run_command(jobs: int | None = None, target: str | None = None, pool: str | None = None) -> int:
    """Bring `target`, or everything, up to date with at most `jobs` stages at once; return the exit code.

    `pool`: the work pool of Prefect's whose machines run the stages; None for this computer.
    When Prefect's server was lost the process ends here, with that code.

    Raises:
        ParamsError, UnknownStageError: nothing has been started.
        BusyError: another `bitladder run` is at it.
        RemoteError, StartError: with a pool, DVC has no remote to share or no Prefect answers.
    """
    environment.prepare()
    children = on_pool(pool) if pool else Children()
    try:
        jobs = jobs or (orders.SIDE_BY_SIDE if pool else max(1, (os.cpu_count() or 1) // 2))
        if not pool:
            share_cores(jobs)
        settings = params_file.load(paths.PARAMS)
        title = f"{settings.task.name}, {settings.model.name}, {settings.budget.name} budget"
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        with processes.sole_writer(paths.WORK / "locks" / "run.lock"):
            forced = {*lengths.outdated(settings)}
            walk = Walk(graph.stages(target), jobs, graph.changed(), forced=forced, children=children)
            exit_code = run(walk, title)
    except (KeyboardInterrupt, SystemExit) as stop:
        code = int(stop.code or 0) if isinstance(stop, SystemExit) else 130
        how = "interrupted" if code == 130 else "terminated"
        sys.stderr.write(f"bitladder run: {how}; the same command goes on from here\n")
        return code
    if not walk.watched:
        processes.exit_at_once(exit_code)
    return exit_code


def on_pool(pool: str) -> Children:
    """What runs the stages on the machines of a pool. Raises what `run_command` does."""
    exchange.require_remote()
    deploy.shared_prefect()
    return orders.PoolChildren(pool)


def share_cores(jobs: int) -> None:
    """Give each of several stages side by side its share of the cores: more threads than cores only wait."""
    if jobs > 1:
        own = max(1, (os.cpu_count() or 1) // jobs)
        os.environ.setdefault(torchrun.THREADS_AT_MOST, str(own))


def run(walk: Walk, title: str) -> int:
    """Walk the graph as a flow, then walk whatever Prefect kept from running without it."""
    try:
        with servers.prefect_for_a_run() as api:
            os.environ["PREFECT_API_URL"] = api
            with suppress(StagesFailedError):
                as_flow(walk, title, api)
            servers.let_it_write(api, len(walk.outcomes))
    except Exception as error:
        walk.go_on_unseen(error)
    without_prefect(walk)
    sys.stdout.write(f"{walk.summary()}\n")
    return walk.exit_code()


def as_flow(walk: Walk, title: str, api: str) -> None:
    """The flow. Raises StagesFailedError, or whatever Prefect raises when its server is lost."""
    from prefect import flow, get_run_logger, task
    from prefect.exceptions import Abort
    from prefect.states import Completed
    from prefect.task_runners import ThreadPoolTaskRunner

    watched.lose_events_rather_than_wait()
    side_by_side: Any = ThreadPoolTaskRunner(max_workers=walk.jobs)

    @task(name="dvc stage", task_run_name="{stage}")
    def bring_up_to_date(stage: str) -> Any:
        outcome = walk.do(stage, get_run_logger().info)
        if outcome.how == "failed":
            raise StagesFailedError(f"{stage}: exit code {outcome.exit_code}")
        if outcome.how == "ran":
            return None
        return Completed(name="Cached", message=WHY_CACHED[outcome.how])

    def submit(stage: str, needs: dict[str, Any]) -> Any:
        return bring_up_to_date.submit(stage, wait_for=list(needs.values()))  # type: ignore[call-overload]

    @flow(name=servers.FLOW, flow_run_name=title, task_runner=side_by_side)
    def bitladder(jobs: int, stages: int) -> None:
        walk.go(submit)
        try:
            servers.require_prefect(api, within_s=1.0)
        except ConnectionError as error:  # not a word to a server that no longer answers: each costs seconds
            raise Abort(str(error)) from None
        show_results()
        if walk.exit_code():
            raise StagesFailedError(walk.summary())

    try:
        bitladder(jobs=walk.jobs, stages=len(walk.stages))
    except Abort as error:  # which is no Exception
        raise ConnectionError(str(error)) from None


def without_prefect(walk: Walk) -> None:
    """The same walk with plain threads; stages that have ended already are not touched again."""
    with ThreadPoolExecutor(walk.jobs) as pool:
        walk.go(lambda stage, _: pool.submit(walk.do, stage))


def show_results() -> None:
    """What the flow is, where the report is and the results as one table, beside the flow run."""
    from prefect.artifacts import create_markdown_artifact

    try:
        results = table.read_results()
    except (table.NoResultsError, OtherFormatError):
        return
    rows = table.rows(results)
    cells = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    lines = [WHAT_IT_IS, "", report(), "", table.title(results), ""]
    lines += [f"| {' | '.join(row)} |" for row in cells]
    create_markdown_artifact("\n".join(lines), key="results", description=f"{WHAT_IT_IS} {report()}")


def report() -> str:
    """Where the report is: in MLflow's pages, which answer at the same place each time, and as a file."""
    found = links.of_project().get("report")
    in_mlflow = f"[report in MLflow]({servers.address('mlflow')}/{found}), " if found else ""
    return f"Report: {in_mlflow}{paths.REPORT.absolute()}"
