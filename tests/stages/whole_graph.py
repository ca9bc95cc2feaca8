"""Every stage up to the report, in the order of the graph, without DVC."""

from pipeline.params import Params
from pipeline.stages import (
    augment,
    evaluate,
    pack,
    prepare,
    pretrained,
    report,
    teacher,
    weights,
    weights_activations,
)


def run(params: Params) -> None:
    """In the working directory. Trained are the rungs that are delivered, which start from each other."""
    for stage in (prepare, pretrained, augment, teacher):
        stage.run(params)
    for rung in params.deliver:
        (weights if rung in params.weights else weights_activations).run(params, rung)
    for rung in params.deliver:
        pack.run(params, rung)
    evaluate.run(params)
    report.run(params)
