"""`bitladder results`: metrics/results.json as a table, and under it what was counted."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bitladder import files
from pipeline import paths
from pipeline.evaluation import selection
from pipeline.evaluation.results import check
from pipeline.record import SUMS_OF_TWO
from pipeline.reporting import averaged, verdicts

RESULTS = paths.RESULTS
HEADINGS = ("rung", "W", "E", "A", "from", "score", "gap", "MiB", "ratio", "seconds")
UNUSUAL = "besides"
_LEFT = ("rung", "from", UNUSUAL)
_MIN_WIDTH = 120
_UNBOUNDED = 1000


class NoResultsError(RuntimeError):
    """Nothing has been evaluated here yet."""


def main(as_json: bool) -> int:
    """Print the results.

    Raises:
        NoResultsError: there are none; it says which command makes them.
        OtherFormatError: another version wrote them.
    """
    results = read_results()
    if as_json:
        sys.stdout.write(json.dumps(results, indent=2, sort_keys=True, allow_nan=False) + "\n")
        return 0
    console = Console(highlight=False)
    table = results_table(results, read_seconds(results))
    if not console.is_terminal:  # rich assumes 80 columns there, which would cut names short
        widest = Console(width=_UNBOUNDED).measure(table).maximum
        console.width = max(console.width, _MIN_WIDTH, widest)
    console.print(table)
    for line in counted(results):
        console.print(Text(line))
    console.print(Text("Seconds: training, where it was timed here."))
    claimed = verdicts.lines(results, score_name(results))
    for line in ["", *claimed] if claimed else []:
        console.print(Text(line))
    return 0


def read_results() -> dict[str, Any]:
    if not RESULTS.is_file():
        raise NoResultsError(f"{RESULTS}: not there; `dvc repro evaluate` makes it")
    found: dict[str, Any] = files.read_json(RESULTS)
    check(found, RESULTS)
    return found


def read_seconds(results: Mapping[str, Any]) -> dict[str, float]:
    """How long each model's training took here, where it was timed."""
    found = {}
    for name, model in results["models"].items():
        address = name if model["stage"] == name else f"{model['stage']}@{name}"
        path = paths.WORK / "timings" / f"{address}.json"
        if path.is_file():
            found[name] = float(files.read_json(path)["seconds"])
    return found


def results_table(results: Mapping[str, Any], seconds: Mapping[str, float] | None = None) -> Table:
    """A row per model, as `rows` orders them."""
    table = Table(title=Text(title(results)), title_justify="left", box=None, pad_edge=False)
    for heading in headings(results):
        justify: Literal["left", "right"] = "left" if heading in _LEFT else "right"
        table.add_column(heading, justify=justify, no_wrap=heading != UNUSUAL)
    for row in rows(results, seconds or {}):
        table.add_row(*map(Text, row))
    return table


def headings(results: Mapping[str, Any]) -> tuple[str, ...]:
    """HEADINGS; for questions with exact match after the score, their F1; what is unusual, if anything is."""
    before = HEADINGS.index("score")
    besides = (UNUSUAL,) if _has_unusual(results) else ()
    exact = ("EM",) if _has_questions(results) else ()
    return (*HEADINGS[:before], *besides, HEADINGS[before], *exact, *HEADINGS[before + 1 :])


def rows(results: Mapping[str, Any], seconds: Mapping[str, float]) -> list[list[str]]:
    """The cells under the headings: the teacher, then each rung after the one it starts from."""
    models = results["models"]
    return [
        [
            name,
            *(str(models[name][key]) for key in ("weight_bits", "embedding_bits", "activation_bits")),
            models[name]["parent"] or "-",
            *([", ".join(models[name]["unusual"])] if _has_unusual(results) else []),
            averaged.score_cell(models[name]),
            *([_exact_match(models[name], results)] if _has_questions(results) else []),
            "-" if name == "teacher" else averaged.gap_cell(models[name]),
            f"{models[name]['mib']:.3f}",
            f"{models[name]['ratio']:.1f}",
            f"{seconds[name]:.0f}" if name in seconds else "-",
        ]
        for name in in_order(models)
    ]


def in_order(models: Mapping[str, Any]) -> list[str]:
    """Roots first, then what starts from each, depth first; among siblings the widest first."""

    def below(parent: str) -> list[str]:
        children = [name for name, model in models.items() if model["parent"] == parent]
        ranked = sorted(children, key=lambda name: (*_narrowness(models[name]), name))
        return [one for child in ranked for one in (child, *below(child))]

    roots = [name for name, model in models.items() if model["parent"] not in models]
    ranked = sorted(roots, key=lambda name: (*_narrowness(models[name]), name))
    return [one for root in ranked for one in (root, *below(root))]


def title(results: Mapping[str, Any]) -> str:
    return f"{results['task']}: {score_name(results)} on {results['split']}"


def score_name(results: Mapping[str, Any]) -> str:
    if _has_questions(results):
        return "F1"
    metrics = [metric.replace("_", " ") for metric in results["metrics"]]
    return metrics[0] if len(metrics) == 1 else f"mean of {' and '.join(metrics)}"


def counted(results: Mapping[str, Any]) -> list[str]:
    """What the numbers of the table are, a sentence each."""
    split, constant = results["split"], results["majority_score"]
    chance = "" if constant is None else f" {constant_answer(results)} scores {constant:.4f}."
    what = f"{score_name(results)} on {counted_rows(results)} of {split}"
    return [
        f"Score: {what}, {averaged.said(results)}.{chance}",
        "Rungs are scored from their packed file. Checkpoints were "
        f"{selection.said(results['checkpoint_selected_on'], split)}. Gap: score less the teacher's.",
        "W, E, A: bits of weights, embeddings, activations. MiB: the written model.safetensors, all of it; "
        "ratio: the teacher's against it.",
        *_of_agreement(results),
        *_of_seeds(results),
        *averaged.mark_note(results["models"].values()),
        *([f"{UNUSUAL.capitalize()}: what is not usual at these bits."] * _has_unusual(results)),
        *of_split(model["unusual"] for model in results["models"].values()),
        *_of_questions(results),
    ]


def of_split(unusual: Iterable[Iterable[str]]) -> list[str]:
    """What 1 bit means of a split rung, where there is one. `unusual`: of every model shown."""
    note = f"{SUMS_OF_TWO.capitalize()}: split, two 1-bit codes per weight, of which W and E count one."
    return [note] if any(SUMS_OF_TWO in words for words in unusual) else []


def counted_rows(results: Mapping[str, Any]) -> str:
    """How much of the first validation split was scored: all of it, or a part that was drawn."""
    scored, read = (results.get(key, {}).get(results["split"]) for key in ("rows", "rows_read"))
    if read is None or read == scored:
        return f"all {scored} rows"
    return f"{scored} of the {read} rows (data.max_validation_rows)"


def constant_answer(results: Mapping[str, Any]) -> str:
    """What a model could say whatever it is asked."""
    return "Never giving an answer" if _has_questions(results) else "Always the most frequent label"


def _has_questions(results: Mapping[str, Any]) -> bool:
    return results.get("kind") == "question_answering"


def _has_unusual(results: Mapping[str, Any]) -> bool:
    return any(model["unusual"] for model in results["models"].values())


def _exact_match(model: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    return averaged.metric_cell(model, results["split"], "exact_match")


def _of_agreement(results: Mapping[str, Any]) -> list[str]:
    """How many labels are those of the trained rungs, where they were compared."""
    shares = {name: model.get("label_agreement") or {} for name, model in results["models"].items()}
    ways = {"file": "Packed rungs give the trained ones' labels on", "kernels": "run by the kernels, on"}
    said = [
        _at_least(what, {name: own.get(way) for name, own in shares.items()}) for way, what in ways.items()
    ]
    return ["; ".join(part for part in said if part) + "."] if any(said) else []


def _at_least(what: str, shares: Mapping[str, float | None]) -> str:
    """The least of the shares and whose it is; "" where there is none."""
    known = {name: share for name, share in shares.items() if share is not None}
    if not known:
        return ""
    least = min(known, key=lambda name: known[name])
    return (
        f"{what} all rows" if known[least] == 1 else f"{what} at least {known[least]:.2%} of rows ({least})"
    )


def _of_seeds(results: Mapping[str, Any]) -> list[str]:
    if results["num_seeds"] == 1:
        return []
    published = results["models"]["teacher"]["seed"]
    return [f"Files and sizes are those of seed {published}; the gap is to the teacher of the same seed."]


def _of_questions(results: Mapping[str, Any]) -> list[str]:
    if not _has_questions(results):
        return []
    lines = ["EM: exact match. Both as SQuAD's own script defines them, from 0 to 1."]
    if any(model.get("no_answer_threshold") is not None for model in results["models"].values()):
        lines.append(
            "A question has no answer when the model's margin for that is over its threshold, which was "
            f"{selection.said(results['checkpoint_selected_on'], results['split'])} (results --json has it)."
        )
    return lines


def _narrowness(model: Mapping[str, Any]) -> tuple[int, int]:
    return -model["weight_bits"], -model["activation_bits"]
