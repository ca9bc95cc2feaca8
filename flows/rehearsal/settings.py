"""The person's settings made small: as few steps and rows as tell what the whole of a training takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.ladder import sizes
from pipeline.ladder.cost import optimization_of, terms_of
from pipeline.params import Params
from pipeline.rungs import Duration, Rung

SECONDS_OF_STEPS, SECONDS_OF_SCORING = 2.5, 10.0
FEWEST_STEPS, MOST_STEPS = 3, 24
FLOPS_PER_SECOND = 8e10  # of one core, roughly: decides how many steps are timed, no more
MOST_ROWS_TO_SCORE, FEWEST_ROWS_TO_SCORE = 64, 16


def with_absolute_places(settings: Params) -> Params:
    """Folders of the person's, found from wherever a rehearsal runs."""

    def place(written: str | None) -> str | None:
        return None if written is None else str(Path(written).expanduser().absolute())

    model = settings.model
    changes: dict[str, Any] = {"data": settings.data.model_copy(update={"root": place(settings.data.root)})}
    if model.source == "path":
        changes["model"] = model.model_copy(update={"location": place(model.location)})
    return settings.model_copy(update=changes)


def shortened(settings: Params, name: str, *, steps: int | None = None, stands_in: bool = False) -> Params:
    """The same training of one model, for a few steps from the teacher on plain rows, in one process.

    Phases are one training with the terms of all of them: each of its steps costs at least what theirs do.

    Args:
        steps: as many as `steps_to_take` unless said.
        stands_in: it is to teach another model, and is taught by the teacher whoever teaches it in earnest.
    """
    few = Duration(steps=steps or steps_to_take(settings, name))
    own = "" if stands_in else name
    lengths = dict.fromkeys(("pretraining", "teacher", "rung", "binary_activations"), few)
    changes = {
        "budget": settings.budget.model_copy(update={**lengths, "evaluations": 1}),
        "training": settings.training.model_copy(
            update={"processes": 1, "checkpoint_every": step_with_a_state(settings, name)}
        ),
        "weights": _short_rungs(settings, settings.weights, few, own),
        "weights_activations": _short_rungs(settings, settings.weights_activations, few, own),
        "deliver": [name],
    }
    return settings.model_copy(update=changes)


def _short_rungs(settings: Params, rungs: Mapping[str, Rung], few: Duration, own: str) -> dict[str, Rung]:
    """`own` keeps its teacher, which `flows.rehearsal.training` makes."""
    changes = {"init_from": "teacher", "data": "plain", "duration": few, "phases": []}
    return {
        name: rung.model_copy(
            update={
                **changes,
                "distillation": terms_of(settings, rung),
                "taught_by": rung.taught_by if name == own else "teacher",
            }
        )
        for name, rung in rungs.items()
    }


def steps_to_take(settings: Params, name: str) -> int:
    """One step to warm up, and as many as seem to take SECONDS_OF_STEPS."""
    weights = _weights(settings)
    if not weights or (name == "pretrained" and settings.model.source != "demo"):
        return 1 + FEWEST_STEPS
    tokens = optimization_of(settings, name).batch_size * settings.task.max_length
    # Two per weight and token, for the student forward, twice that backward, and the teacher forward.
    guess = 0.02 + 8 * weights * tokens / FLOPS_PER_SECOND
    return 1 + max(FEWEST_STEPS, min(MOST_STEPS, round(SECONDS_OF_STEPS / guess)))


def step_with_a_state(settings: Params, name: str) -> int:
    """The step after which a rehearsal writes a state to continue from, once."""
    return steps_to_take(settings, name) // 2 + 1


def rows_to_train_on(settings: Params) -> int:
    """As many as a rehearsal's batches hold, so that each is met once; at least those of a calibration."""
    names = ("teacher", *settings.rungs)
    return max(128, *(steps_to_take(settings, n) * optimization_of(settings, n).batch_size for n in names))


def rows_to_score(settings: Params) -> int:
    """Of each split that is scored: a whole batch of scoring, for what a batch costs is shared by its rows.

    Fewer where a batch takes long: what is computed per row outweighs that there.
    """
    seconds = 2 * _weights(settings) * MOST_ROWS_TO_SCORE * settings.task.max_length / FLOPS_PER_SECOND
    return FEWEST_ROWS_TO_SCORE if seconds > SECONDS_OF_SCORING else MOST_ROWS_TO_SCORE


def _weights(settings: Params) -> int:
    """Numbers in the model's matrices; 0 while its shape is not known."""
    shape = sizes.shape_of(settings)
    return sum(height * width for height, width in shape.matrices()) if shape else 0
