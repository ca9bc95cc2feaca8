"""Stage `teacher`: the fine-tuned full-precision model, `models/teacher`."""

from pipeline.params import Params


def run(params: Params, rung: str | None = None) -> None:
    from pipeline.training.fit_models import fit_teacher

    fit_teacher(params)
