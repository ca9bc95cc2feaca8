"""`bitladder compress`: check a file, make the ladder of it, deliver the smallest model that is good enough.

The file is checked before anything else. What is made lies in a project of its own, so the same command given
again goes on where it was stopped: DVC knows what is done, and the steps that the minutes came to are kept.
"""

import contextlib
import logging
import os
import shlex
import signal
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bitladder import files
from flows import environment, graph, processes
from flows.compress import asked as own
from flows.compress import budget, checking, choosing, project
from flows.compress.asked import Asked
from flows.compress.budget import Pace
from flows.compress.shown import Shown
from flows.compress.work import Work
from flows.walk import Outcome, Walk
from pipeline import params_file, paths
from pipeline.evaluation import results
from pipeline.ladder import lengths as outdated
from pipeline.params import Params
from pipeline.progress import duration, say
from pipeline.reporting import table
from pipeline.rungs import TEACHER
from pipeline.training import live

_LAST_LINES = 15
GRADIENTS = ("float32", "bfloat16")


def main(asked: Asked) -> int:
    """Do all of it; 0 when a model was good enough and is in place, 1 when none was.

    Raises:
        OwnDataError: the files are wrong; nothing has been started. The same holds for FolderError,
            BaseError, ParamsError and TooShortError.
        EndedError: a stage failed, and has said why.
        BusyError: the same command runs in another process.
    """
    environment.require_folder(asked.project)
    project.require_apart(asked.output, asked.project)
    project.require_output(asked.output)
    project.require_usable(asked.project)
    work = checking.check(asked)
    project.settle(asked.project)
    with contextlib.chdir(asked.project), processes.sole_writer(paths.WORK / "locks" / "compress.lock"):
        environment.prepare()
        _quiet_dvc()
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        try:
            _make(asked, work)
            return _tell(asked)
        except (KeyboardInterrupt, SystemExit) as stop:
            sys.stderr.write("compress: stopped; the same command goes on from here\n")
            return int(stop.code or 0) if isinstance(stop, SystemExit) else 130


def _quiet_dvc() -> None:
    """It warns of locks that a killed start has left."""
    import dvc  # noqa: F401 - which sets its own level

    logging.getLogger("dvc").setLevel(logging.ERROR)


def _make(asked: Asked, work: Work) -> None:
    """Bring the whole graph up to date. Raises EndedError."""
    steps, pace, gradients = _steps(asked, work)
    project.write_params(own.lengthen(work.values, steps, gradients))
    params = params_file.load(paths.PARAMS)
    environment.stay_offline_unless(params)
    os.environ["BITLADDER_FRESH"] = "1"  # what another file or budget has begun is set aside
    os.environ[live.SPOOL] = str((live.HOME / params.task.name).absolute())
    stages = graph.stages()
    shown = Shown(_expected(params, stages, steps, pace), steps, Path(os.environ[live.SPOOL]))
    try:
        _walk(stages, params, shown)
    finally:
        shown.close()


def _steps(asked: Asked, work: Work) -> tuple[dict[str, int], Pace, str]:
    """What the minutes come to: as noted by an earlier start, where it was asked for the same."""
    task = work.values["task"]
    same = {
        "minutes": asked.minutes,
        "base": asked.base,
        "teacher": str(asked.teacher) if asked.teacher else None,
        "kind": asked.kind,
        "max_length": task["max_length"],
        "rungs": list(work.values["weights_activations"]),
    }
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        noted = files.read_json(project.ASKED)
        if noted["asked"] == same:
            return noted["steps"], Pace(**noted["pace"]), noted["gradients"]
    pace, gradients = _measure(work, [] if asked.has_teacher else [TEACHER])
    params = own.params_of(work.values)
    steps = budget.steps(params, pace, asked.minutes, work.rows, given_teacher=asked.has_teacher)
    note = {"asked": same, "steps": steps, "gradients": gradients}
    files.write_json(project.ASKED, {**note, "pace": {"seconds": pace.seconds, "start": pace.start}})
    _say_what_is_planned(params, work, steps, pace)
    return steps, pace, gradients


def _measure(work: Work, also: list[str]) -> tuple[Pace, str]:
    """Time steps on rows as long as the files' are in a batch, with the gradients that are faster here.

    `also`: models beside the rungs that are trained.
    """
    say("compress: times a few training steps")
    params = own.params_of(work.values)
    padded = work.lengths.padded(params.training.rung.batch_size, params.training.bucket_batches)
    params = params.model_copy(update={"task": params.task.model_copy(update={"max_length": padded})})
    shape = work.shape
    paces = {name: budget.measure(_with(params, name), shape, [params.deliver[-1]]) for name in GRADIENTS}
    best = min(paces, key=lambda name: sum(paces[name].seconds.values()))
    pace = budget.measure(_with(params, best), shape, [*also, *params.rungs])
    return replace(pace, start=paces[GRADIENTS[0]].start), best


def _with(params: Params, gradients: str) -> Params:
    training = params.training.model_copy(update={"gradients": gradients})
    return params.model_copy(update={"training": training})


def _say_what_is_planned(params: Params, work: Work, steps: dict[str, int], pace: Pace) -> None:
    in_all = sum(count * pace.seconds[name] for name, count in steps.items())
    in_all += budget.beside(params, pace, work.rows)
    told = ", ".join(f"{name} {count}" for name, count in steps.items())
    say(f"compress: steps: {told}; about {duration(in_all)} of one core")
    if TEACHER in steps:
        epochs = steps[TEACHER] * params.training.teacher.batch_size / work.rows["train"]
        if epochs < 1:
            say(f"compress: the teacher sees {epochs:.0%} of the rows; with more --minutes it would see all")


def _expected(params: Params, stages: graph.Graph, steps: dict[str, int], pace: Pace) -> dict[str, float]:
    """Seconds of each stage, for the bar."""
    trained = {f"{params.rungs[name].stage}@{name}" if name in params.rungs else name: name for name in steps}
    return {
        stage: pace.start
        + (steps[trained[stage]] * pace.seconds[trained[stage]] if stage in trained else 0.0)
        for stage in stages
    }


def _walk(stages: graph.Graph, params: Params, shown: Shown) -> None:
    """Run every stage that has to; what they say is logged. Raises EndedError with a failed one's words."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with project.LOG.open("a", encoding="utf-8") as log, ThreadPoolExecutor(1) as pool:

        def tell(line: str) -> None:
            log.write(f"{line}\n")
            log.flush()
            last.append(line)

        def do(stage: str) -> Outcome:
            outcome = walk.do(stage)
            if outcome.how != "failed":
                shown.ended(stage, ran=outcome.how == "ran")
            return outcome

        walk = Walk(stages, 1, graph.changed(), forced={*outdated.outdated(params)}, tell=tell)
        walk.go(lambda stage, _: pool.submit(do, stage))
    if walk.exit_code():
        raise processes.EndedError("\n".join([*last, f"compress: {walk.summary()}"]), walk.exit_code())


def _tell(asked: Asked) -> int:
    """Print the results, deliver the model; 1 when none is good enough."""
    table.main(as_json=False)
    found = results.read()
    chosen = choosing.choose(found, asked.max_drop)
    say("")
    for sentence in choosing.sentences(found, chosen, asked.max_drop):
        say(sentence)
    packed = paths.packed_dir(chosen.name)
    if not chosen.is_close:
        say(f"It is in {packed.absolute()}; {asked.output} is left as it was.")
        return 1
    project.deliver(packed, asked.output)
    say(f"It is in {asked.output}: bitladder predict {shlex.quote(str(asked.output))} 'a text'")
    return 0
