"""The model card of one rung, in the Hub's form: what it is, where it came from, what it is not."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from bitladder.packed.inspect import summary
from pipeline.record import SUMS_OF_TWO, origins, quantizers
from pipeline.reporting import averaged, table, verdicts
from pipeline.reporting.contents import Contents
from pipeline.reporting.numbers import number

_PAPERS = (
    "two-stage progressive quantization: Le et al., SustaiNLP 2022, aclanthology.org/2022.sustainlp-1.2",
    "partially random initialization: Ardakani, Findings of EMNLP 2022, "
    "aclanthology.org/2022.findings-emnlp.191",
)


_USE_FOR_QUESTIONS = """```
bitladder predict packed/{rung} 'Who carried the letter?' --context 'The farmer carried the letter home.'
```

```python
import bitladder.packed  # tells transformers about packed folders
from bitladder.predict import answer_questions
from transformers import AutoModelForQuestionAnswering

model = AutoModelForQuestionAnswering.from_pretrained("packed/{rung}")
answer_questions(model, "packed/{rung}", questions, contexts)  # long contexts are read in windows
```

transformers 5 has no pipeline for question answering. Without bitladder, transformers refuses the folder."""


def card(rung: str, contents: Contents) -> str:
    """Markdown with the Hub's metadata on top. Text from outside is escaped: Markdown may hold HTML."""
    sections = [
        _metadata(rung, contents),
        f"# {rung}: a BERT for {plain(contents.results['task'])}, packed by bitladder",
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


def _metadata(rung: str, contents: Contents) -> str:
    model, results = contents.results["models"][rung], contents.results
    lines = [
        "library_name: transformers",
        f"pipeline_tag: {_kind(contents)}",
        "tags: [bitladder, quantized, bert]",
    ]
    if contents.params.model.source == "hub":
        lines.append(f"base_model: {json.dumps(contents.params.model.location)}")
    lines += [
        "model-index:",
        f"- name: {json.dumps(rung)}",
        "  results:",
        f"  - task: {{type: {_kind(contents)}}}",
    ]
    dataset = json.dumps(results["task"])
    lines += [f"    dataset: {{name: {dataset}, type: {dataset}, split: {json.dumps(results['split'])}}}"]
    known = {name: value for name, value in model["scores"][results["split"]].items() if value is not None}
    if known:
        lines += [
            "    metrics:",
            *(f"    - {{type: {name}, value: {value:.6g}}}" for name, value in known.items()),
        ]
    return "\n".join(["---", *lines, "---"])


def _what(rung: str, contents: Contents) -> str:
    model = contents.results["models"][rung]
    base = contents.params.model
    where = f" ({plain(base.location)})" if base.location else ""
    names = ("weight_bits", "embedding_bits", "activation_bits")
    weights, embeddings, activations = (model[name] for name in names)
    bits = f"weights {weights}, embeddings {embeddings}, activations {activations}"
    bits += "; each weight is the sum of two 1-bit ones" if SUMS_OF_TWO in model["unusual"] else ""
    whole = "LayerNorms, biases and the head are not quantized"
    return f"Base model: {plain(base.name)}{where}. Bits: {bits}; {whole}."


def _kind(contents: Contents) -> str:
    """The Hub's name of the task."""
    return "text-classification" if contents.params.task.answering is None else "question-answering"


def _use(rung: str, contents: Contents) -> str:
    if contents.params.task.answering is not None:
        return _USE_FOR_QUESTIONS.format(rung=rung)
    return (
        "```python\n"
        "import bitladder.packed  # tells transformers about packed folders\n"
        "import transformers\n\n"
        f'classify = transformers.pipeline("text-classification", model="packed/{rung}")\n'
        "```\n\n"
        "Without bitladder, transformers refuses the folder."
    )


def _by_kernels(found: Mapping[str, Any]) -> str:
    """What `pack` found where kernels ran the model."""
    kernels = found.get("by_kernels")
    if not kernels:
        return ""
    share = kernels["label_agreement"]
    labels = "" if share is None else f", and {share:.2%} of labels are the same"
    return f"; run by the kernels, by at most {kernels['largest_logit_difference']:.3g}{labels}"


def _scores(rung: str, contents: Contents) -> str:
    model, teacher = (contents.results["models"][name] for name in (rung, "teacher"))
    own = contents.records[rung]
    lines = ["| split | metric | this model | teacher |", "| --- | --- | ---: | ---: |"]
    for split, scores in model["scores"].items():
        lines += [
            f"| {split} | {metric.replace('_', ' ')} | {number(value)} | "
            f"{number(teacher['scores'][split][metric])} |"
            for metric, value in scores.items()
        ]
    agreement = [
        f"On {found['rows']} rows of {split} a logit differs from the trained model's by at most "
        f"{found['largest_logit_difference']:g}{_by_kernels(found)}."
        for split, found in contents.agreements[rung]["splits"].items()
    ]
    if model.get("no_answer_threshold") is not None:
        agreement.append(
            "It says that there is no answer when its margin for that (logits of [CLS] less those of the "
            f"best answer) is over {model['no_answer_threshold']:g}, chosen on {own.selected_on}."
        )
    if model["collapsed"]:
        agreement.append(f"It gives one answer to all rows of {contents.results['split']}.")
    over_seeds = _over_seeds(rung, contents)
    return "\n".join([*lines, "", *over_seeds, *table.counted(contents.results)[:2], *agreement])


def _over_seeds(rung: str, contents: Contents) -> list[str]:
    """The table above is of this file; the recipe's own score is a mean."""
    model, teacher = (contents.results["models"][name] for name in (rung, "teacher"))
    if averaged.num_seeds(model) == 1:
        return []
    name = table.score_name(contents.results)
    return [
        f"The table is of this file, seed {model['seed']}. Over {averaged.num_seeds(model)} seeds the recipe "
        f"gets {name} {averaged.score_cell(model)}, its teachers {averaged.score_cell(teacher)}; gap "
        f"{averaged.gap_cell(model)}.",
        *averaged.mark_note([model]),
    ]


def _claims(rung: str, contents: Contents) -> list[str]:
    """What it was compared for, if it was."""
    found = [claim for claim in contents.results["claims"] if rung in claim["rungs"]]
    lines = verdicts.lines({"claims": found}, table.score_name(contents.results))
    return ["## Claims", "\n".join(f"- {plain(line)}" for line in lines)] if lines else []


def _lineage(rung: str, contents: Contents) -> str:
    own = contents.records[rung]
    names = [*contents.results["models"][rung]["ancestors"], rung]
    parts = [f"- {selector}: {origin}" for selector, origin in origins(own.init).items()]
    lines = [" → ".join(names), "", *parts]
    lines += [
        f"- parent: {own.parent}, sha256 {own.parent_digest}",
        f"- taught by: {own.teacher}, sha256 {own.teacher_digest}",
        f"- trained weights: sha256 {own.digest}",
    ]
    return "\n".join([*lines, f"- this file: sha256 {contents.results['models'][rung]['digest']}"])


def _recipe(rung: str, contents: Contents) -> str:
    own = contents.records[rung]
    model = contents.results["models"][rung]
    chosen = f"{own.steps} steps (kept: step {own.best_step}, the best on {own.selected_on}), seed {own.seed}"
    lines = [
        f"- {chosen}; {model['total_steps']} steps from the teacher on",
        f"- data: {own.data.get('kind')}",
    ]
    lines += [f"- {part}: {plain(name)}" for part, name in quantizers(own.precision).items()]
    lines += [f"- {name}: {plain(_short(value))}" for name, value in sorted(own.settings.items())]
    lines += ["", "The method is a reconstruction of what these papers' abstracts fix:", ""]
    return "\n".join([*lines, *(f"- {paper}" for paper in _PAPERS)])


def _limits(rung: str, contents: Contents) -> str:
    results = contents.results
    seeds = "one seed" if results["num_seeds"] == 1 else f"{results['num_seeds']} seeds"
    lines = [
        f"- Trained and scored on {plain(results['task'])} alone, with {seeds}; other text was not tried.",
        f"- Reads at most {contents.params.task.max_length} tokens as it was trained; {_longer(contents)}.",
        "- Small on disk. Weights are unpacked where they are used, so it is not faster than the teacher.",
        "- What the base model and the data have of bias, it has too; none of it was measured.",
    ]
    if results["models"][rung]["activation_bits"] < 8:
        lines.append("- Few levels per activation: rounding on another machine can move an output visibly.")
    return "\n".join(lines)


def _longer(contents: Contents) -> str:
    is_question = contents.params.task.answering is not None
    return "a longer context is read in windows" if is_question else "longer text is cut"


def _licence(contents: Contents) -> str:
    base, task = plain(contents.params.model.name), plain(contents.results["task"])
    return (
        f"bitladder, which made it, is Apache-2.0. The weights descend from the base model ({base}) and were "
        f"trained on the data of {task}: the licences of both apply, and bitladder does not know them."
    )


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(one)}" for name, one in sorted(value.items()))
    return f"{value:g}" if isinstance(value, float) else str(value)
