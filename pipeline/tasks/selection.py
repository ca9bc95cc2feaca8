"""What checkpoints (and SQuAD 2.0's margin for "no answer") are chosen on, and what that does to their score.

Held out: on rows taken out of train, so that the reported split chose nothing. Validation: on the first
reported split itself, as the peers' scripts do; of several checkpoints the one that suits that split wins, so
its score is optimistic, and whatever shows the score says so.
"""

from pipeline.params import Params

HELD_OUT = "selection"  # the split's name, and what a record's `selected_on` says then


def chosen_on(params: Params) -> str:
    """The split that a model's record names as the one its checkpoint was chosen on."""
    return HELD_OUT if params.evaluation.selection == "held_out" else params.task.validation_splits[0]


def is_optimistic(selected_on: str | None) -> bool:
    """Whether a checkpoint was chosen on a split that is reported; `selected_on` is that of a record."""
    return selected_on not in (None, HELD_OUT)


def said(selected_on: str | None, split: str) -> str:
    """How checkpoints were chosen, for under a table of scores on `split`; goes after "Checkpoints were"."""
    if is_optimistic(selected_on):
        return f"chosen on {selected_on} itself: their scores are optimistic"
    return f"chosen on {selected_on}, which is held out of train; {split} chose nothing"
