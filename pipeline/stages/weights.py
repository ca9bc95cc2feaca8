"""Stage `weights@RUNG`: weights and embeddings quantized, activations at 32 bits; `models/<rung>`."""

from pipeline.params import Params


def run(params: Params, rung: str) -> None:
    from pipeline.training.fit_models import fit_rung

    fit_rung(params, rung, stage="weights")
