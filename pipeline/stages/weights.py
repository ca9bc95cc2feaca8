"""Stage `weights@RUNG`: weights and embeddings quantized, activations at 32 bits; `models/<rung>`."""

from pipeline.params import Params


def run(params: Params, rung: str | None = None) -> None:
    from pipeline.training.fit_models import fit_rung

    if rung not in params.weights:
        raise ValueError(f"weights: no rung {rung!r}; known: {sorted(params.weights)}")
    fit_rung(params, rung, stage="weights")
