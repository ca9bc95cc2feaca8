"""The model card of one rung, in the Hub's form: what it is, where it came from, what it is not.

The text is in card.md.j2. Text from outside passes its filter `plain`: Markdown may hold HTML.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from bitladder.packed.size import summary
from pipeline import kinds
from pipeline.params import Model, Teacher
from pipeline.record import SUMS_OF_TWO, origins, quantizers
from pipeline.reporting import cells, claims, report, table
from pipeline.reporting.report import Contents
from pipeline.rungs import TEACHER


def card(rung: str, contents: Contents) -> str:
    """Markdown with the Hub's metadata on top."""
    results, record = contents.results, contents.records[rung]
    score_name = table.score_name(results)
    environment = report.environment()
    environment.filters |= {"plain": plain, "short": short}
    return environment.get_template("card.md.j2").render(
        rung=rung,
        metadata=metadata(rung, contents).to_yaml(),
        results=results,
        model=results.models[rung],
        teacher=results.models[TEACHER],
        record=record,
        task=contents.params.task,
        auto_class=kinds.of(contents.params.task).head.architecture.replace("BertFor", "AutoModelFor"),
        base=contents.params.model,
        sums_of_two=SUMS_OF_TWO,
        cells=cells,
        score_name=score_name,
        counted=table.counted(results)[:2],
        agreements=contents.agreements[rung].splits,
        claims=claims.lines([claim for claim in results.claims if rung in claim.rungs], score_name),
        size=summary(contents.sizes[rung]),
        origins=origins(record.init),
        quantizers=quantizers(record.precision),
    )


def plain(text: object) -> str:
    """Text that Markdown and HTML take as text, on one line."""
    return escape(" ".join(str(text).split()), quote=False).replace("|", "\\|").replace("`", "'")


def short(value: Any) -> str:
    """A setting as a reader wants it: `0.0003`; of several, `first 1, second 2`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {short(one)}" for name, one in sorted(value.items()))
    return f"{value:g}" if isinstance(value, float) else str(value)


def metadata(rung: str, contents: Contents) -> ModelCardData:
    """What the Hub reads: the task, the base model, the scores on the first validation split."""
    results = contents.results
    places: list[Teacher | Model] = [contents.params.teacher, contents.params.model]
    task = kinds.of(contents.params.task).hub_task
    scores = results.models[rung].scores[results.split]
    return ModelCardData(
        library_name="sentence-transformers" if results.kind == "embeddings" else "transformers",
        pipeline_tag=task,
        tags=["bitladder", "quantized", "bert"],
        base_model=next((one.location for one in places if one.source == "hub"), None),
        model_name=rung,
        eval_results=[
            EvalResult(
                task_type=task,
                dataset_type=results.task,
                dataset_name=results.task,
                dataset_split=results.split,
                metric_type=name,
                metric_value=float(f"{value:.6g}"),
            )
            for name, value in scores.items()
            if value is not None
        ]
        or None,
    )
