"""The model card of one rung, in the Hub's form: what it is, where it came from, what it is not."""

from collections.abc import Mapping
from html import escape
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from bitladder.packed.inspect import summary
from pipeline.evaluation.agreement import OnSplit
from pipeline.evaluation.results import ModelResult
from pipeline.record import SUMS_OF_TWO, origins, quantizers
from pipeline.reporting import cells, claims, table
from pipeline.reporting.cells import number
from pipeline.reporting.contents import Contents
from pipeline.rungs import TEACHER

PAPERS = """The recipe follows what the abstracts of these papers say; everything else in it is our choice:

- two-stage progressive quantization: Le et al., SustaiNLP 2022, aclanthology.org/2022.sustainlp-1.2
- partially random initialization: Ardakani, EMNLP Findings 2022, aclanthology.org/2022.findings-emnlp.191"""

USE = """```python
import bitladder

model = bitladder.load("packed/{rung}")
{call}
```

After `bitladder.register()`, transformers' `{auto}.from_pretrained` loads the folder too. Without bitladder
installed, transformers refuses it."""


def card(rung: str, contents: Contents) -> str:
    """Markdown with the Hub's metadata on top. Text from outside is escaped: Markdown may hold HTML."""
    sections = [
        f"---\n{metadata(rung, contents).to_yaml()}\n---",
        f"# {rung}: a BERT for {plain(contents.results.task)}, packed by bitladder",
        _what(rung, contents),
        "## Use",
        _use(rung, contents),
        "## Scores",
        _scores(rung, contents),
        *_claims(rung, contents),
        "## Size",
        "\n".join(f"- {line}" for line in summary(contents.sizes[rung])),
        "## Lineage",
        _lineage(rung, contents),
        "## Recipe",
        _recipe(rung, contents),
        "## Limits",
        _limits(rung, contents),
        "## Licence",
        _licence(contents),
    ]
    return "\n\n".join(sections) + "\n"


def plain(text: object) -> str:
    """Text that Markdown and HTML take as text, on one line."""
    return escape(" ".join(str(text).split()), quote=False).replace("|", "\\|").replace("`", "'")


def metadata(rung: str, contents: Contents) -> ModelCardData:
    """What the Hub reads: the task, the base model, the scores on the first validation split."""
    results, base = contents.results, contents.params.model
    task = "text-classification" if contents.params.task.answering is None else "question-answering"
    known = [(name, v) for name, v in _model(rung, contents).scores[results.split].items() if v is not None]
    return ModelCardData(
        library_name="transformers",
        pipeline_tag=task,
        tags=["bitladder", "quantized", "bert"],
        base_model=base.location if base.source == "hub" else None,
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
            for name, value in known
        ]
        or None,
    )


def _model(rung: str, contents: Contents) -> ModelResult:
    return contents.results.models[rung]


def _what(rung: str, contents: Contents) -> str:
    model, base = _model(rung, contents), contents.params.model
    where = f" ({plain(base.location)})" if base.location else ""
    weights, embeddings, activations = model.bits
    bits = f"weights {weights}, embeddings {embeddings}, activations {activations}"
    bits += "; each weight is the sum of two 1-bit ones" if SUMS_OF_TWO in model.unusual else ""
    return (
        "A BERT with few bits per number, trained to answer as its teacher does, a full-precision BERT "
        f"fine-tuned on {plain(contents.results.task)}. Base model: {plain(base.name)}{where}. Bits: {bits}; "
        "32 is full precision. LayerNorms, biases and the head are not quantized."
    )


def _use(rung: str, contents: Contents) -> str:
    answering = contents.params.task.answering is not None
    pair = answering or len(contents.params.task.sentence_columns) == 2
    texts = '"Who carried the letter?", "The farmer carried the letter home."' if pair else '"a sentence"'
    if pair and not answering:
        texts = '"a sentence", "another"'
    shown = "  # long contexts are read in windows" if answering else ""
    auto = "AutoModelForQuestionAnswering" if answering else "AutoModelForSequenceClassification"
    return USE.format(rung=rung, call=f"model({texts}){shown}", auto=auto)


def _scores(rung: str, contents: Contents) -> str:
    model, teacher = (_model(name, contents) for name in (rung, TEACHER))
    lines = ["| split | metric | this model | teacher |", "| --- | --- | ---: | ---: |"]
    for split, scores in model.scores.items():
        lines += [
            f"| {split} | {metric.replace('_', ' ')} | {number(value)} | "
            f"{number(teacher.scores[split][metric])} |"
            for metric, value in scores.items()
        ]
    said = [
        *_over_seeds(model, teacher, table.score_name(contents.results)),
        *table.counted(contents.results)[:2],
        *(agreement(split, found) for split, found in contents.agreements[rung].splits.items()),
    ]
    if model.no_answer_threshold is not None:
        said.append(
            "It says that there is no answer when its margin for that (logits of [CLS] less those of the "
            f"best answer) is over {model.no_answer_threshold:g}, chosen on {model.selected_on}."
        )
    if model.collapsed:
        said.append(f"It gives one answer to all rows of {contents.results.split}.")
    return "\n".join([*lines, "", *said])


def agreement(split: str, found: OnSplit) -> str:
    """How far the packed file's logits are from the trained model's, and those of our kernels, if any ran."""
    said = (
        f"On {found.rows} rows of {split} a logit differs from the trained model's by at most "
        f"{found.largest_logit_difference:g}"
    )
    if kernels := found.by_kernels:
        share = kernels.label_agreement
        said += f"; run by our kernels, by at most {kernels.largest_logit_difference:.3g}"
        said += "" if share is None else f", and {share:.2%} of labels are the same"
    return f"{said}."


def _over_seeds(model: ModelResult, teacher: ModelResult, score_name: str) -> list[str]:
    """The table above is of this file; the recipe's own score is a mean."""
    if model.num_seeds == 1:
        return []
    return [
        f"The table is of this file, seed {model.seed}. Over {model.num_seeds} seeds the recipe gets "
        f"{score_name} {cells.score(model)}, its teachers {cells.score(teacher)}; gap {cells.gap(model)}.",
        *cells.mark_notes([model]),
    ]


def _claims(rung: str, contents: Contents) -> list[str]:
    """What it was compared for, if it was."""
    found = [claim for claim in contents.results.claims if rung in claim.rungs]
    lines = claims.lines(found, table.score_name(contents.results))
    return ["## Claims", "\n".join(f"- {plain(line)}" for line in lines)] if lines else []


def _lineage(rung: str, contents: Contents) -> str:
    own, model = contents.records[rung], _model(rung, contents)
    return "\n".join(
        [
            " → ".join([*model.ancestors, rung]),
            "",
            *(f"- first weights of {part}: {origin}" for part, origin in origins(own.init).items()),
            f"- parent: {own.parent}, sha256 {own.parent_digest}",
            f"- taught by: {own.teacher}, sha256 {own.teacher_digest}",
            f"- trained weights: sha256 {own.digest}",
            f"- this file: sha256 {model.digest}",
        ]
    )


def _recipe(rung: str, contents: Contents) -> str:
    own, total = contents.records[rung], _model(rung, contents).total_steps
    settings = {name: _short(value) for name, value in sorted(own.settings.items())}
    lines = [
        f"- {own.steps} steps (kept: step {own.best_step}, the best on {own.selected_on}), seed {own.seed}; "
        f"{total} steps from the teacher on",
        f"- data: {own.data.get('kind')}",
        f"- quantizers: {', '.join(f'{part} {n}' for part, n in quantizers(own.precision).items())}",
        *(f"- {name}: {plain(value)}" for name, value in settings.items()),
    ]
    return "\n".join([*lines, "", PAPERS])


def _limits(rung: str, contents: Contents) -> str:
    results, task = contents.results, contents.params.task
    seeds = "one seed" if results.num_seeds == 1 else f"{results.num_seeds} seeds"
    longer = "longer text is cut" if task.answering is None else "a longer context is read in windows"
    lines = [
        f"- Trained and scored on {plain(results.task)} alone, with {seeds}; other text was not tried.",
        f"- Reads at most {task.max_length} tokens as it was trained; {longer}.",
        "- Its speed depends on the processor and was not measured here; docs/benchmarks.md of bitladder has "
        "figures and says how to measure.",
        "- What the base model and the data have of bias, it has too; none of it was measured.",
    ]
    if _model(rung, contents).activation_bits < 8:
        lines.append("- Few levels per activation: rounding on another machine can move an output visibly.")
    return "\n".join(lines)


def _licence(contents: Contents) -> str:
    base, task = plain(contents.params.model.name), plain(contents.results.task)
    return (
        f"bitladder, which made it, is Apache-2.0. The weights descend from the base model ({base}) and were "
        f"trained on the data of {task}: the licences of both apply, and bitladder does not know them."
    )


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(one)}" for name, one in sorted(value.items()))
    return f"{value:g}" if isinstance(value, float) else str(value)
