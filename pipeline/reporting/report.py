"""The report: one HTML file that needs nothing else, no script, no clock, nothing of the machine it was
made on.

The page is report.html.j2. Every text in it is escaped by Jinja; only the plots made here are put in as
they are.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bitladder.packed.inspect import summary
from bitladder.packed.size import MIB, Sizes
from pipeline.evaluation import selection
from pipeline.evaluation.seeds import collapsed
from pipeline.record import origins
from pipeline.reporting import averaged, figures, lineage, table, verdicts
from pipeline.reporting.contents import Contents

TEMPLATE = "report.html.j2"
_CLOSE = 0.01  # of the teacher's score


def page(contents: Contents) -> str:
    """The whole of report.html."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    results, models = contents.results, contents.results["models"]
    name, shown = table.score_name(results), averaged.over_seeds(models)
    constant = results["majority_score"]
    score = f"{name} on {results['split']}"
    return environment.get_template(TEMPLATE).render(
        task=results["task"],
        headline=headline(results),
        headings=table.headings(results)[:-1],
        rows=[row[:-1] for row in table.rows(results, {})],
        counted=table.counted(results),
        selected_on=results["checkpoint_selected_on"],
        chosen=selection.said(results["checkpoint_selected_on"], results["split"]),
        # Made by us from numbers and checked names; names are escaped where they are drawn.
        size_plot=Markup(figures.score_against_size(shown, score=score, constant=constant)),  # noqa: S704
        lineage=Markup(lineage.svg(models, contents.records)),  # noqa: S704
        curves=Markup(figures.training_curves(contents.curves)) if contents.curves else "",  # noqa: S704
        sign_flips=Markup(figures.sign_flips(contents.sign_flips)) if contents.sign_flips else "",  # noqa: S704
        claims=[_claim(claim, name) for claim in results["claims"]],
        rules=list(dict.fromkeys(claim["rule"] for claim in results["claims"] if claim["measure"])),
        agreements=agreement_rows(contents.agreements),
        parts=sizes_table(contents.sizes),
        size_lines={rung: summary(sizes) for rung, sizes in contents.sizes.items()},
        origins={rung: origins(found.init) for rung, found in contents.records.items()},
        data=data_rows(contents.data),
    )


def headline(results: Mapping[str, Any]) -> str:
    """The smallest rung within a point of the teacher; the best one when none is. None that has collapsed."""
    models = averaged.over_seeds(results["models"])
    rungs = {
        name: m
        for name, m in models.items()
        if name != "teacher" and m["gap"] is not None and not collapsed(m)
    }
    if not rungs:
        return "No rung has a defined score and gives more than one answer."
    close = {name: model for name, model in rungs.items() if model["gap"] >= -_CLOSE} or {
        name: model
        for name, model in rungs.items()
        if model["score"] == max(m["score"] for m in rungs.values())
    }
    name = min(close, key=lambda name: (close[name]["bytes"], -close[name]["score"], name))
    model, teacher = rungs[name], models["teacher"]
    bits = f"{_bits(model['weight_bits'])} weights, {_bits(model['activation_bits'])} activations"
    own = f"{name} ({bits}): {table.score_name(results)} {model['score']:.4f} in {model['mib']:.3f} MiB"
    of_teacher = f"{teacher['score']:.4f} in {teacher['mib']:.3f} MiB, {model['ratio']:.1f} times as much"
    return f"{own}; the teacher's is {of_teacher}."


def sizes_table(sizes: Mapping[str, Sizes]) -> dict[str, Any]:
    """Bytes of every part of every packed file: `parts` names the columns, `rows` holds (rung, cells)."""
    names = list(dict.fromkeys(part.part for found in sizes.values() for part in found.parts))
    rows = []
    for rung, found in sizes.items():
        stored = {part.part: part.stored_bytes for part in found.parts}
        cells = [f"{stored[name]:,}" if name in stored else "-" for name in names]
        rows.append((rung, [*cells, f"{found.file_bytes:,}", f"{found.file_bytes / MIB:.3f}"]))
    return {"parts": [*names, "file", "MiB"], "rows": rows}


def agreement_rows(agreements: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, int, list[str]]]:
    """Rung, split, rows; largest difference of a logit and share of equal labels, twice: then by kernels."""
    return [
        (rung, split, found["rows"], [*_agreed(found), *_agreed(found.get("by_kernels"))])
        for rung, agreement in agreements.items()
        for split, found in agreement["splits"].items()
    ]


def _agreed(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return ["-", "-"]
    return [f"{found['largest_logit_difference']:.3g}", _share(found["label_agreement"])]


def data_rows(data: Mapping[str, Any] | None) -> list[tuple[str, str, str, str, str]]:
    """Split, rows, labels, duplicates, rows that are in train too."""
    if data is None:
        return []
    return [
        (
            split,
            f"{found['rows']:,}",
            ", ".join(f"{label}: {count:,}" for label, count in found["labels"].items()),
            _known(found.get("duplicates")),
            _known(found.get("rows_also_in_train")),
        )
        for split, found in data["splits"].items()
    ]


def _claim(claim: Mapping[str, Any], score_name: str) -> dict[str, str]:
    return {
        "statement": claim["statement"],
        "verdict": verdicts.verdict(claim),
        "figures": verdicts.figures(claim, score_name),
        "rests_on": verdicts.rests_on(claim),
        "steps": verdicts.steps(claim),
    }


def _bits(bits: int) -> str:
    return f"{bits}-bit"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _known(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"
