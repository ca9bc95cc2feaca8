"""Stage `teacher`: the fine-tuned full-precision model, `models/teacher`, trained here or given."""

from pipeline import kinds
from pipeline.params import Params


def run(params: Params, rung: str | None = None) -> None:
    if params.teacher.is_given or not kinds.of(params.task).has_labels:
        from pipeline.training.given_teacher import take_teacher

        take_teacher(params)
        return
    from pipeline.training.fit_models import fit_teacher

    fit_teacher(params)
