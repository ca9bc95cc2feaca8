"""Stage `weights_activations@RUNG`: activations quantized too; `models/<rung>`."""

from pipeline.params import Params


def run(params: Params, rung: str | None = None) -> None:
    from pipeline.training.fit_models import fit_rung

    if rung not in params.weights_activations:
        raise ValueError(
            f"weights_activations: no rung {rung!r}; known: {sorted(params.weights_activations)}"
        )
    fit_rung(params, rung, stage="weights_activations")
