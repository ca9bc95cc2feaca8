"""Stage `general@RUNG`: a low-bit model of no task, distilled on plain text; `models/<rung>`."""

from pipeline.params import Params


def run(params: Params, rung: str) -> None:
    from pipeline.training.fit_general import fit_general

    fit_general(params, rung)
