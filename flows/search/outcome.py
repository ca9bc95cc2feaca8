"""What a search leaves: its record in metrics/search/, a ladder in conf/ladder/, its page."""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from bitladder import files
from flows import repeat
from flows.search import drawing, kept, study, trial
from flows.search.space import CONF as SPACES
from flows.search.space import Space, Way
from pipeline import paths
from pipeline.params import Params
from pipeline.problems.problem import Problem
from pipeline.problems.task import NAME_RULE, is_name
from pipeline.reporting import search
from pipeline.reporting.search import Search, Tried, TriedRung

LADDERS = Path("conf/ladder")
MARK = "# @package _global_\n# Found by `bitladder search`"
ENOUGH = 8  # ladders trained to their end, for shares of variance
HOW = {
    TrialState.COMPLETE: search.TRAINED,
    TrialState.PRUNED: search.STOPPED,
    TrialState.FAIL: search.FAILED,
}


def name_problems(name: str, folder: Path = LADDERS) -> list[str]:
    """Why a ladder may not be called so; a file that no search wrote is not replaced."""
    file = folder / f"{name}.yaml"
    if not is_name(name):
        return [str(Problem("--name", f"{name!r} cannot be a ladder's name; {NAME_RULE}"))]
    if file.is_file() and not file.read_text(encoding="utf-8").startswith(MARK):
        return [str(Problem("--name", f"{file} was not found by a search; choose another name"))]
    return []


def summary(asked: optuna.Study, space_name: str, space: Space, params: Params) -> Search:
    """Everything that is done of the study, by number."""
    done = [one for one in asked.get_trials(deepcopy=False) if study.is_done(one)]
    return Search(
        study=asked.study_name,
        space=space_name,
        ladders=space.count(),
        task=params.task.name,
        model=params.model.name,
        metrics=list(params.task.metrics),
        selection_rows=_selection_rows(params),
        target=space.target,
        steps=space.steps,
        seed=params.seed,
        trials=[_tried(space, one) for one in done],
        importance=importance(space, done),
    )


def write(name: str, found: Search, space: Space, way: Way | None) -> None:
    """The record, the page, and the best ladder if there is one."""
    files.write_text(search.path(name), json.dumps(found.model_dump(mode="json"), indent=1) + "\n")
    files.write_text(kept.HOME / f"{name}.html", search.page(name, found))
    if way is not None:
        files.write_text(LADDERS / f"{name}.yaml", ladder_text(found, space, way))


def ladder_text(found: Search, space: Space, way: Way) -> str:
    """conf/ladder/<name>.yaml; it says of which study it is the best, and by what."""
    best = found.best
    assert best is not None
    rows = f", {found.selection_rows:,} rows held out of train" if found.selection_rows else ""
    head, said = MARK.splitlines()
    text = (
        f"{said.removeprefix('# ')} (study {found.study}): trial {best.number}, the best of "
        f"{len(found.trials)} ladders to {found.target} in {found.steps:,} steps, by its score on the "
        f"selection split, {best.score:.4f} (mean of {', '.join(found.metrics)}{rows}). Space "
        f"{SPACES}/{found.space}.yaml, task {found.task}, model {found.model}, seed {found.seed}. "
        "The best of many is optimistic on the rows that chose it."
    )
    comment = textwrap.fill(text, 120, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    return f"{head}\n{comment}\n{repeat.as_text(drawing.ladder(space, way))}"


def best_way(asked: optuna.Study, found: Search) -> Way | None:
    """The choices of the best ladder."""
    if found.best is None:
        return None
    number = found.best.number
    way: Way = next(one.user_attrs[study.WAY] for one in asked.get_trials() if one.number == number)
    return way


def importance(space: Space, done: list[FrozenTrial]) -> dict[str, float]:
    """The share of variance of each choice, the largest first: fANOVA over ladders trained to their end.

    A choice that a ladder does not have, because the rung is not in it, is an option of its own.
    """
    trained = [one for one in done if one.state == TrialState.COMPLETE]
    if len(trained) < ENOUGH or len({one.value for one in trained}) == 1:
        return {}
    options = {
        f"{name}.{field}": [search.ABSENT, *map(str, known)]
        for name, rung in space.rungs.items()
        for field, known in rung.choices.items()
    }
    rows = [_all_choices(options, one.user_attrs[study.WAY]) for one in trained]
    varied = [choice for choice in options if len({row[choice] for row in rows}) > 1]
    kinds: dict[str, BaseDistribution] = {name: CategoricalDistribution(options[name]) for name in varied}
    again = optuna.create_study(direction="maximize")
    for one, row in zip(trained, rows, strict=True):
        params = {choice: row[choice] for choice in varied}
        again.add_trial(optuna.create_trial(params=params, distributions=kinds, value=one.value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(again, evaluator=evaluator)
    return {choice: round(share, 4) for choice, share in found.items()}


def _all_choices(options: Mapping[str, list[str]], way: Way) -> dict[str, str]:
    """Every choice of the space, whether or not the ladder has it."""
    parts = ((name, *name.split(".")) for name in options)
    return {name: str(way.get(rung, {}).get(field, search.ABSENT)) for name, rung, field in parts}


def _tried(space: Space, one: FrozenTrial) -> Tried:
    told = one.user_attrs
    way, scores = told[study.WAY], told.get(trial.SCORES, {})
    steps = drawing.steps_of(space, way)
    return Tried.model_validate(
        {
            "number": one.number,
            "name": told.get(study.NAME),
            "how": HOW[one.state],
            "why": told.get(study.WHY),
            "rungs": {
                name: TriedRung(steps=steps[name], chosen=choice, score=scores.get(name))
                for name, choice in way.items()
            },
            "score": one.value,
            "core_seconds": told.get(trial.SPENT, 0.0),
            "core_seconds_alone": told.get(trial.ALONE, 0.0),
        }
    )


def _selection_rows(params: Params) -> int | None:
    try:
        split = files.read_json(paths.data_dir(params.task.name, "plain") / "summary.json")["splits"]
        return int(split["selection"]["rows"])
    except (OSError, ValueError, LookupError):
        return None
