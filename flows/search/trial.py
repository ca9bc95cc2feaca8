"""One trial: its rungs trained one after the other, those that are there already left as they are."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna import Study, TrialPruned
from optuna.trial import Trial, TrialState

from flows import processes
from flows.search import drawing, kept, study
from flows.search.kept import Kept
from flows.search.shown import Shown
from flows.search.space import Space, Way

# More attributes of a trial, beside those of `study`.
SCORES, SPENT, ALONE = "scores", "core_seconds", "core_seconds_alone"
DIVERGED = 5  # a stage's exit code (pipeline.training.optimizer)


class StoppedError(RuntimeError):
    """The search was asked to stop; what it was at is gone on with another time."""


@dataclass(frozen=True)
class Bench:
    """What every trial is made with.

    Attributes:
        values: of params.yaml.
        evaluations: of each rung, evenly spread over its steps.
        stop: set when the search is to stop.
    """

    space: Space
    values: Mapping[str, Any]
    evaluations: int
    shown: Shown
    stop: threading.Event

    def idle(self) -> None:
        """Raises StoppedError when the search is to stop."""
        if self.stop.is_set():
            raise StoppedError


def perform(bench: Bench, asked: Study, trial: Trial, way: Way) -> None:
    """Train the ladder and tell the target's score; or why there is none.

    Raises:
        StoppedError: the trial stays running in the database, and is queued again by the next search here.
        EndedError: a stage failed for a reason that would fail others too; the same holds.
    """
    rungs = kept.chain(drawing.project_values(bench.values, drawing.ladder(bench.space, way)))
    try:
        for rung, before in zip(rungs, _steps_before(bench.space, way), strict=True):
            _bring(bench, asked, trial, rung, before)
    except TrialPruned as hopeless:
        trial.set_user_attr(study.WHY, str(hopeless))
        _account(trial, rungs)
        asked.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
    except processes.EndedError as error:
        if error.exit_code != DIVERGED:
            raise
        trial.set_user_attr(study.WHY, str(error))
        _account(trial, rungs)
        asked.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
    else:
        _account(trial, rungs)
        score = max(kept.scores(rungs[-1]).values(), default=None)
        if score is None:
            trial.set_user_attr(study.WHY, "its score is undefined")
        state = TrialState.FAIL if score is None else TrialState.COMPLETE
        asked.tell(trial, score, state=state, skip_if_finished=True)


def _bring(bench: Bench, asked: Study, trial: Trial, rung: Kept, before: int) -> None:
    """Have the rung trained, by this process or by another; tell what the target's evaluations say."""
    number = trial.number
    tell = _teller(bench, asked, trial, rung)

    def watch(step: int, score: float | None) -> None:
        bench.idle()
        bench.shown.step(number, before + step)
        if score is not None:
            tell(step, score)

    with kept.locked(rung, bench.idle):
        if kept.is_whole(rung):
            bench.shown.line(f"trial {number}: {rung.name} is trained already")
        else:
            trained = trial.user_attrs.get(study.TRAINED, [])
            trial.set_user_attr(study.TRAINED, [*trained, *({rung.name} - {*trained})])
            kept.train(rung, watch)
            bench.shown.line(f"trial {number}: {rung.name} is trained")
        for step, score in kept.scores(rung).items():
            tell(step, score)


def _teller(bench: Bench, asked: Study, trial: Trial, rung: Kept) -> Callable[[int, float], None]:
    """What tells each of the target's evaluations but the last once; nothing of the other rungs."""
    if rung.name != bench.space.target:
        return lambda step, score: None
    num_steps: int = rung.values[rung.stage][rung.name]["duration"]["steps"]
    number_of = {
        round(num_steps * number / bench.evaluations): number for number in range(1, bench.evaluations)
    }

    def tell(step: int, score: float) -> None:
        if (evaluation := number_of.pop(step, None)) is not None:
            study.report(trial, evaluation, score)

    return tell


def _steps_before(space: Space, way: Way) -> list[int]:
    steps = list(drawing.steps_of(space, way).values())
    return [sum(steps[:position]) for position in range(len(steps))]


def _account(trial: Trial, rungs: list[Kept]) -> None:
    """Each rung's score; processor seconds of what this trial trained, and of all its rungs."""
    whole = [rung for rung in rungs if kept.is_whole(rung)]
    trial.set_user_attr(SCORES, {rung.name: max(kept.scores(rung).values(), default=None) for rung in whole})
    trained = trial.user_attrs.get(study.TRAINED, [])
    seconds = {rung.name: kept.spent(rung) for rung in rungs}
    trial.set_user_attr(SPENT, round(sum(seconds[name] for name in trained), 2))
    trial.set_user_attr(ALONE, round(sum(seconds.values()), 2))
