"""One search's trials, in a database that several processes or machines may share.

Which ladder is next is Optuna's to say (TPE, Bergstra et al., NeurIPS 2011), and which one is hopeless too:
at each evaluation of the target a trial ends that is below the median of those before it (the median rule of
Golovin et al., Google Vizier, KDD 2017). A process that ends, however it ends, leaves its trial running in
the database; it is queued again by whoever sees first that nobody is at it: by its lock where the working
copy is the same, elsewhere by its heartbeat. Its rungs are kept, so it goes on where it stopped.
"""

import random
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, Trial, TrialState

from bitladder import files
from flows.search import drawing, kept
from flows.search.space import Space

DATABASE = f"sqlite:///{kept.HOME / 'studies.sqlite3'}"
HEARTBEAT_S, GRACE_S = 20, 120
STARTUP_TRIALS = 5  # drawn at random before the sampler learns, and trained to the end before any is stopped
PATIENCE = 2  # the sampler's draws of known ladders in a row before a new one is drawn at random
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
# Attributes of a trial: the working copy at it, the trial it goes on with, the one it would only repeat.
PLACE, GOES_ON, SAME = "place", "goes_on_with", "same_as"
NAME, WAY, TRAINED, WHY = "name", "way", "trained", "why"


class StorageError(ValueError):
    """The database cannot be used."""

    exit_code = 2


def open_study(name: str, url: str) -> optuna.Study:
    """The study of this name, made where it is not there yet.

    Raises:
        StorageError: no database of this URL can be used; what the URL holds is not repeated.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Heartbeat of storage")  # `_beating` is in its place
    patient = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    try:
        with _alone():  # two that make the tables at once fail
            storage = optuna.storages.RDBStorage(
                url,
                engine_kwargs=patient,
                heartbeat_interval=HEARTBEAT_S,
                grace_period=GRACE_S,
                heartbeat_stale_trial_callback=queue_again,
            )
    except Exception as error:
        cause = type(error.__cause__ or error).__name__
        raise StorageError(
            f"--storage: no study can be kept there ({cause}); expected a database's URL, as in "
            "sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
        ) from None
    return optuna.create_study(
        study_name=name,
        storage=storage,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )


def plan_first(study: optuna.Study, space: Space) -> None:
    """Queue the ladders that the space names, unless that has been done."""
    with _alone():
        known = {trial.user_attrs.get(NAME) for trial in study.get_trials(deepcopy=False)}
        for name in space.first:
            if name not in known:
                study.enqueue_trial(drawing.named(space, name), user_attrs={NAME: name})


def count_done(study: optuna.Study) -> int:
    """Different ladders that were trained to the end, or as far as it made sense."""
    return sum(map(is_done, study.get_trials(deepcopy=False)))


def is_done(trial: FrozenTrial) -> bool:
    """Whether nothing more will come of it, and it is no repetition and goes on in no other trial."""
    return trial.state in DONE or (trial.state == TrialState.FAIL and WHY in trial.user_attrs)


def count_alive(study: optuna.Study) -> int:
    """Trials that some process is at."""
    return sum(_counts(trial) and not is_done(trial) for trial in study.get_trials(deepcopy=False))


@contextmanager
def next_trial(
    study: optuna.Study, space: Space, number: int, seed: int
) -> Iterator[tuple[Trial, Any] | None]:
    """A trial of a ladder that no other trial has, and the ladder; None where `number` are done or running.

    While the block runs the trial is locked and its heart beats.
    """
    with ExitStack() as stack:
        found = None
        with _alone():
            free_dead(study)
            repeated = 0
            while found is None and count_done(study) + count_alive(study) < min(number, space.count()):
                if repeated >= PATIENCE:
                    study.enqueue_trial(_untried(study, space, seed))
                trial, way = _ask(study, space, seed)
                same = _same(study, trial)
                if same is None:
                    stack.enter_context(FileLock(_lock(study, trial.number)))
                    trial.set_user_attr(WAY, way)
                    trial.set_user_attr(PLACE, _place())
                    stack.enter_context(_beating(study, trial))
                    found = trial, way
                else:
                    trial.set_user_attr(SAME, same)
                    study.tell(trial, state=TrialState.FAIL)
                    repeated += 1
        yield found


def free_dead(study: optuna.Study) -> None:
    """Queue again what ended processes were at."""
    optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.user_attrs.get(PLACE) != _place():
            continue
        with suppress(Timeout), FileLock(_lock(study, trial.number), blocking=False):
            study.tell(trial.number, state=TrialState.FAIL)
            queue_again(study, trial)


def queue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """The same ladder as a new trial, which knows what this one has trained."""
    told = {name: trial.user_attrs[name] for name in (NAME, TRAINED) if name in trial.user_attrs}
    study.enqueue_trial(trial.params, user_attrs={**told, GOES_ON: trial.number})


def report(trial: Trial, evaluation: int, score: float) -> None:
    """Tell the target's score at one of its evaluations, counted from 1.

    Raises:
        TrialPruned: trials before it were better there by the median.
    """
    trial.report(score, evaluation)
    if trial.should_prune():
        raise optuna.TrialPruned(f"below the median at evaluation {evaluation}")


def _ask(study: optuna.Study, space: Space, seed: int) -> tuple[Trial, Any]:
    """Each trial has random numbers of its own, so that processes that share a study differ."""
    own = seed + len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=own, n_startup_trials=STARTUP_TRIALS)
    trial = study.ask()
    return trial, drawing.draw(space, lambda name, options: trial.suggest_categorical(name, options))


def _untried(study: optuna.Study, space: Space, seed: int) -> dict[str, Any]:
    """Choices at random that no other trial has; there are some left."""
    trials = study.get_trials(deepcopy=False)
    tried, drawn = [one.params for one in trials if _counts(one)], random.Random(seed + len(trials))  # noqa: S311
    while True:
        found: dict[str, Any] = {}
        drawing.draw(space, lambda name, options: found.setdefault(name, drawn.choice(options)))  # noqa: B023
        if found not in tried:
            return found


def _same(study: optuna.Study, trial: Trial) -> int | None:
    """The number of another trial of the same ladder, done or running."""
    for other in study.get_trials(deepcopy=False):
        if _counts(other) and other.number != trial.number and other.params == trial.params:
            return other.number
    return None


def _counts(trial: FrozenTrial) -> bool:
    return is_done(trial) or (trial.state == TrialState.RUNNING and PLACE in trial.user_attrs)


@contextmanager
def _beating(study: optuna.Study, trial: Trial) -> Iterator[None]:
    """Say in the database, now and then, that somebody is at the trial."""
    storage, ended = study._storage, threading.Event()
    beat: Callable[[int], None] = getattr(storage, "record_heartbeat", lambda _: None)

    def go_on() -> None:
        while not ended.wait(HEARTBEAT_S):
            with suppress(Exception):  # a database that is away for a minute stops no training
                beat(trial._trial_id)

    beat(trial._trial_id)
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _alone() -> FileLock:
    """One process of this working copy at a time asks for trials."""
    kept.HOME.mkdir(parents=True, exist_ok=True)
    return FileLock(kept.HOME / "asking.lock")


def _lock(study: optuna.Study, number: int) -> Path:
    folder = kept.HOME / "running"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{study.study_name}-{number}.lock"


def _place() -> str:
    """A name for this working copy, which says nothing about it. Called by one process at a time at first."""
    path = kept.HOME / "place"
    if not path.exists():
        files.write_text(path, uuid.uuid4().hex)
    return path.read_text(encoding="ascii").strip()
