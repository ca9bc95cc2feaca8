"""metrics/search/<name>.json, what `bitladder search` found, and its page of the report.

The search writes the file, no stage does: what is tried depends on what was tried before, and several
processes may take part. There is no clock and no machine in it but the processor time that each trial took.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline import paths
from pipeline.record import read_as
from pipeline.reporting.report import environment

HOME = paths.METRICS / "search"
FORMAT: Literal[1] = 1
TRAINED, STOPPED, FAILED = "trained", "stopped", "failed"
ABSENT = "left out"
FIELDS = {"init_from": "starts from", "data": "rows", "share": "share of the steps", "learning_rate": "rate"}
Option = str | float


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TriedRung(_Written):
    """A rung of a ladder that was tried.

    Attributes:
        steps: of its training.
        chosen: what the search chose of it, by field.
        score: on the selection split; None where it was not trained to its end.
    """

    steps: int
    chosen: dict[str, Option]
    score: float | None


class Tried(_Written):
    """One ladder.

    Attributes:
        name: in the space, where it has one.
        how: trained to its end, stopped because it was hopeless, or failed.
        rungs: from the teacher on.
        score: of the last rung on the selection split; of a stopped one the last that was measured.
        core_seconds: processor time spent on it, without that of rungs that were trained for another ladder.
        core_seconds_alone: with that.
    """

    number: int
    name: str | None
    how: Literal["trained", "stopped", "failed"]
    why: str | None
    rungs: dict[str, TriedRung]
    score: float | None
    core_seconds: float
    core_seconds_alone: float


class Search(_Written):
    """Everything a search tried so far.

    Attributes:
        space: file of conf/search/; `ladders` is how many it holds.
        selection_rows: of the split that decides.
        importance: of each choice, its share of the variance of the scores (fANOVA); empty where too few
            ladders were trained to tell.
    """

    format: Literal[1] = FORMAT
    study: str
    space: str
    ladders: int
    task: str
    model: str
    metrics: list[str]
    selection_rows: int | None
    target: str
    steps: int
    seed: int
    trials: list[Tried]
    importance: dict[str, float]

    @property
    def best(self) -> Tried | None:
        """The best that was trained to its end; of equal ones the first."""
        trained = [trial for trial in self.trials if trial.how == TRAINED and trial.score is not None]
        return max(trained, key=lambda trial: (trial.score or 0.0, -trial.number), default=None)


class Worth(_Written):
    """What choosing one option of a field came to, over the ladders trained to their end.

    Attributes:
        trials: how many had it; `stopped` how many more were stopped.
        mean, best: of their scores.
    """

    rung: str
    field: str
    option: str
    trials: int
    stopped: int
    mean: float | None
    best: float | None


def path(name: str) -> Path:
    return HOME / f"{name}.json"


def read(file: Path) -> Search:
    """Raises OtherFormatError when it is not as this version writes it."""
    return read_as(Search, file, remedy="bitladder search")


def found() -> dict[str, Search]:
    """Every search of the project, by name."""
    return {file.stem: read(file) for file in sorted(HOME.glob("*.json"))}


def choices(search: Search, trial: Tried) -> dict[tuple[str, str], str]:
    """What every rung of the space is in a ladder, by rung and field; `left out` where it is not in it.

    That a rung is left out is said by `init_from` alone.
    """
    rungs = dict.fromkeys(rung for tried in search.trials for rung in tried.rungs)
    said: dict[tuple[str, str], str] = {}
    for rung in rungs:
        own = trial.rungs[rung].chosen if rung in trial.rungs else {"init_from": ABSENT}
        said |= {(rung, field): str(option) for field, option in own.items()}
    return said


def worth(search: Search) -> Iterator[Worth]:
    """Every option that was tried, of those fields that were tried with several."""
    all_choices = [(trial, choices(search, trial)) for trial in search.trials]
    options: dict[tuple[str, str], dict[str, None]] = {}
    for _, said in all_choices:
        for place, option in said.items():
            options.setdefault(place, {})[option] = None
    for (rung, field), known in options.items():
        for option in sorted(known) if len(known) > 1 else ():
            own = [trial for trial, said in all_choices if said.get((rung, field)) == option]
            scores = [trial.score for trial in own if trial.how == TRAINED and trial.score is not None]
            yield Worth(
                rung=rung,
                field=FIELDS.get(field, field),
                option=option,
                trials=len(scores),
                stopped=sum(trial.how == STOPPED for trial in own),
                mean=mean(scores) if scores else None,
                best=max(scores, default=None),
            )


def in_words(trial: Tried) -> str:
    """`teacher, w2 (plain, 100 steps, rate 0.0005), w1a8 (...)`."""
    start = next(iter(trial.rungs.values())).chosen["init_from"]
    return ", ".join([str(start), *(f"{name} ({_rung(rung)})" for name, rung in trial.rungs.items())])


def _rung(rung: TriedRung) -> str:
    words = [str(rung.chosen["data"]), f"{rung.steps} steps"]
    rate = rung.chosen.get("learning_rate")
    return ", ".join([*words, f"rate {rate:g}"] if isinstance(rate, float) else words)


def headline(search: Search) -> str:
    if search.best is None or search.best.score is None:
        return f"No ladder to {search.target} has been trained to its end yet."
    others = [
        f"{trial.name}: {trial.score:.4f}"
        for trial in search.trials
        if trial.name and trial.how == TRAINED and trial.score is not None
    ]
    known = f" Ladders that were known before: {', '.join(others)}." if others else ""
    return (
        f"The best of {len(search.trials)} ladders to {search.target} in {search.steps:,} steps, by its "
        f"score on the selection split: {search.best.score:.4f}.{known}"
    )


def page(name: str, search: Search) -> str:
    """The whole of reports/search-<name>.html."""
    ranked = sorted(
        search.trials,
        key=lambda trial: (trial.how != TRAINED, trial.score is None, -(trial.score or 0.0), trial.number),
    )
    total = sum(trial.core_seconds for trial in search.trials)
    alone = sum(trial.core_seconds_alone for trial in search.trials)
    template = environment().get_template("search.html.j2")
    return template.render(
        name=name,
        search=search,
        headline=headline(search),
        ranked=ranked,
        in_words=in_words,
        worth=list(worth(search)),
        importance=search.importance,
        fields=FIELDS,
        minutes=total / 60,
        saved=(alone - total) / 60,
        counts={how: sum(trial.how == how for trial in search.trials) for how in (TRAINED, STOPPED, FAILED)},
    )
