"""`bitladder search`: try ladders until there are enough, and write down the best.

The data and the teacher are brought up to date first, as `dvc repro` does. The study's name has a digest of
all that its scores depend on, so that a changed space, teacher or training begins another study; rungs that
are the same in both are not trained twice.
"""

import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock

from bitladder import files
from flows import environment, graph, processes, repeat, run
from flows.graph import Graph
from flows.search import drawing, kept, outcome, space, study, trial
from flows.search.shown import Shown
from flows.search.space import Space
from flows.walk import Walk
from pipeline import params_file, paths
from pipeline.params import Params
from pipeline.params_file import ParamsError
from pipeline.problems.reading import read_mapping
from pipeline.progress import say
from pipeline.reporting import search


def main(
    space_name: str, *, name: str, trials: int, steps: int | None, storage: str | None, jobs: int, seed: int
) -> int:
    """Search, and return the exit code; 130 or 143 when a signal stopped it.

    Raises:
        ParamsError, StorageError: nothing has been started.
        EndedError: a stage failed, and would fail other trials too.
    """
    params = params_file.load(paths.PARAMS)
    if problems := outcome.name_problems(name):
        raise ParamsError(problems, "bitladder search")
    wanted = space.load(space_name, params, steps)
    environment.stay_offline_unless(params)
    run.share_cores(jobs)
    _make_ready(wanted, params.general)
    values = read_mapping(paths.PARAMS)
    asked = study.open_study(study_name(space_name, wanted, values), storage or study.DATABASE)
    study.plan_first(asked, wanted)
    number = min(trials, wanted.count())
    say(f"search: study {asked.study_name}, {study.count_done(asked)} of {number} trials are done")
    say(f"search: {wanted.count():,} ladders to {wanted.target}, {wanted.steps:,} steps each ({space_name})")
    shown = Shown(f"search {name}", num_steps=wanted.steps, num_trials=number)
    bench = trial.Bench(wanted, values, params.budget.evaluations, shown, threading.Event())
    code = _work(bench, asked, number, jobs, seed)
    shown.close()
    return _tell(asked, name, space_name, wanted, params) or code


def study_name(space_name: str, wanted: Space, values: dict[Any, Any]) -> str:
    """`w1a8-mrpc-0123abcd`: the same wherever everything that decides a score is the same."""
    conditions: dict[str, Any] = {"space": wanted.model_dump(mode="json", exclude={"first"})}
    content: dict[str, Any] = {}
    for name, rung in wanted.rungs.items():
        roots = [parent for parent in rung.init_from if parent not in wanted.rungs]
        for root, data in product(roots or ["teacher"], rung.data):
            item = {"init_from": root, "taught_by": rung.taught_by, "data": data}
            made_from = kept.definition(rung.stage, name, {**values, rung.stage: {name: item}})
            for path in {*made_from.inputs} - content.keys():
                content[path] = repeat.content_of(Path(path))
            for param in {*made_from.params} - {f"{rung.stage}.{name}"}:
                conditions[param] = repeat.value_of(values, param)
    return f"{space_name}-{values['task']['name']}-{files.digest({'inputs': content, **conditions})[:8]}"


def _make_ready(wanted: Space, general: Mapping[str, object]) -> None:
    """Bring the teacher, the rows that the space learns from, and general rungs in it up to date.

    Raises:
        EndedError: a stage failed, and has said why.
    """
    needed: Graph = graph.stages("teacher")
    if any("augmented" in rung.data for rung in wanted.rungs.values()):
        needed |= graph.stages("augment")
    for root in {parent for rung in wanted.rungs.values() for parent in rung.init_from} & general.keys():
        needed |= graph.stages(f"general@{root}")
    kept.HOME.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.HOME / "ready.lock"):
        walk = Walk(needed, 1, graph.changed())
        run.without_prefect(walk)
    if walk.exit_code():
        raise processes.EndedError(f"search: {walk.summary()}", walk.exit_code())


def _work(bench: trial.Bench, asked: optuna.Study, number: int, jobs: int, seed: int) -> int:
    """Try ladders side by side until there are enough, or a signal or a failure stops all of them."""
    signal.signal(signal.SIGTERM, lambda code, _: sys.exit(128 + code))
    failed: list[BaseException] = []

    def try_ladders() -> None:
        with suppress(trial.StoppedError):
            try:
                while _one(bench, asked, number, seed):
                    pass
            except BaseException as error:
                failed.append(error)
                bench.stop.set()
                raise

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for worker in [pool.submit(try_ladders) for _ in range(jobs)]:
                worker.result()
        except (KeyboardInterrupt, SystemExit) as stop:
            bench.stop.set()
            bench.shown.line("search: stopped; the same command goes on from here")
            return int(stop.code or 0) if isinstance(stop, SystemExit) else 130
    return 0


def _one(bench: trial.Bench, asked: optuna.Study, number: int, seed: int) -> bool:
    """Try one ladder; False where there are enough."""
    bench.idle()
    with study.next_trial(asked, bench.space, number, seed) as found:
        if found is None:
            return False
        drawn, way = found
        bench.shown.line(f"trial {drawn.number}: {drawing.in_words(bench.space, way)}")
        trial.perform(bench, asked, drawn, way)
    ended = asked.get_trials(deepcopy=False)[drawn.number]
    bench.shown.counted(study.count_done(asked), _best(asked), drawn.number)
    bench.shown.line(f"trial {drawn.number}: {_in_words(ended)}; {_best(asked)}")
    return True


def _in_words(ended: optuna.trial.FrozenTrial) -> str:
    minutes = ended.user_attrs.get(trial.SPENT, 0.0) / 60
    score = "no score" if ended.value is None else f"selection score {ended.value:.4f}"
    return f"{outcome.HOW.get(ended.state, 'given up')}, {score}, {minutes:.1f} core-minutes"


def _best(asked: optuna.Study) -> str:
    with suppress(ValueError):
        return f"best {asked.best_value:.4f} (trial {asked.best_trial.number})"
    return "no score yet"


def _tell(asked: optuna.Study, name: str, space_name: str, wanted: Space, params: Params) -> int:
    """Write what was found and say where; 0."""
    found = outcome.summary(asked, space_name, wanted, params)
    if not found.trials:
        return 0
    way = outcome.best_way(asked, found)
    outcome.write(name, found, wanted, way)
    say(f"search: {search.headline(found)}")
    say(f"search: {search.path(name)} and {kept.HOME / f'{name}.html'} tell what was tried")
    if way is not None:
        say(f"search: {outcome.LADDERS / f'{name}.yaml'}: dvc exp run -S ladder={name} makes it")
    return 0
