"""The two flows that a worker of a pool runs: one stage of the graph, or the graph itself.

A worker is `bitladder worker` in a clone of the project: Prefect's own, which runs each flow run as a
process. It may be killed at any moment: the flow run ends with it and says so, the stage under that ends too
(flows/processes.py), and what the training has written is in DVC's remote. If the machine dies Prefect hears
no heartbeat any more and declares the flow run crashed. Either way whoever ordered the stage does so again.
"""

import os
import signal
import sys
from typing import Any

from prefect import flow, get_run_logger
from prefect.states import Completed, Failed

from flows import processes
from flows.machines import exchange
from flows.machines.exchange import Order
from flows.machines.shared_states import SharedStates
from flows.walk import Children, Outcome

PROJECT = "BITLADDER_PROJECT"  # environment variable: the worker's clone; Prefect starts flow runs elsewhere


@flow(name="stage", flow_run_name="{name}")
def stage(name: str, inputs: dict[str, Any], needs: dict[str, dict[str, Any]], again: bool = False) -> Any:
    """Run one stage: fetch its inputs, run it through DVC, give back what it made; the state it ends in.

    Args:
        name: as in dvc.yaml, such as weights@w4.
        inputs, needs: as `exchange.order` made them.
        again: run it although nothing has changed.
    """
    _settle()
    log = get_run_logger().info
    log("%s: taken by the clone in %s on %s", name, os.getcwd(), os.uname().nodename)
    try:
        key = exchange.accept(Order(name, inputs, needs))
    except exchange.OtherProjectError as error:
        return _failed(str(error), error.exit_code)
    states = SharedStates(name.partition("@")[2] or name, key)
    if not again and exchange.restore(name):
        log("%s: a clone had finished it", name)  # this one perhaps, and was killed before it gave it back
    elif step := states.fetch():
        log("%s: the shared store has a training stopped at step %d", name, step)
    with states.sent_meanwhile():
        outcome = _run(name, again)
    if outcome.how == "failed":
        return _failed(f"{name} did not end well", outcome.exit_code)
    exchange.give_back(name, key)
    states.clear()
    return Completed()


@flow(name="graph", flow_run_name="graph")
def graph(pool: str, target: str | None = None) -> Any:
    """Bring the whole graph, or `target` and what it needs, up to date on the machines of `pool`."""
    _settle()
    chosen = [] if target is None else ["--target", target]
    command = [sys.executable, "-m", "bitladder.cli", "run", "--pool", pool, *chosen]
    code = processes.attend(command, environment={**os.environ, "PYTHONUNBUFFERED": "1"})
    return _failed("bitladder run did not end well", code) if code else Completed()


def _failed(message: str, code: int) -> Any:
    """The end of a flow run that did not do what was ordered; its message ends in the exit code."""
    return Failed(message=f"{message}\nexit code {code}")


def _settle() -> None:
    """Go to the worker's clone, and end when the worker does."""
    processes.die_with_parent(signal.SIGTERM)  # time to save and send what the training has
    os.chdir(os.environ[PROJECT])


def _run(name: str, again: bool) -> Outcome:
    """The stage as `dvc repro`. States of another kind of machine are set aside: nobody is here to ask."""
    os.environ["BITLADDER_FRESH"] = "1"
    children = Children()
    try:
        return children.reproduce(name, get_run_logger().info, force=again)
    finally:
        children.stop()
