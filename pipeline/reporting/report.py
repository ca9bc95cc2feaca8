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
from pipeline.evaluation.agreement import Agreement, ByKernels, OnSplit
from pipeline.evaluation.results import ModelResult, Results
from pipeline.record import Record, origins
from pipeline.reporting import cells, claims, figures, table
from pipeline.reporting.contents import Contents
from pipeline.rungs import TEACHER
from pipeline.tasks import selection

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
    results = contents.results
    return environment.get_template(TEMPLATE).render(
        results=results,
        headline=headline(results),
        headings=table.headings(results)[:-1],
        rows=[row[:-1] for row in table.rows(results, {})],
        counted=table.counted(results),
        chosen=selection.said(results.checkpoint_selected_on, results.split),
        score_name=table.score_name(results),
        say=claims,
        lineage=lineage(results.models, contents.records),
        rules=list(dict.fromkeys(claim.rule for claim in results.claims if claim.measure)),
        agreements=agreement_rows(contents.agreements),
        parts=sizes_table(contents.sizes),
        size_lines={rung: summary(sizes) for rung, sizes in contents.sizes.items()},
        origins={rung: origins(found.init) for rung, found in contents.records.items()},
        data=data_rows(contents.data),
        **{name: Markup(svg) for name, svg in plots(contents).items()},  # noqa: S704
    )


def plots(contents: Contents) -> dict[str, str]:
    """Made by us from numbers and checked names; names are escaped where they are drawn."""
    results, curves, flips = contents.results, contents.curves, contents.sign_flips
    score = f"{table.score_name(results)} on {results.split}"
    return {
        "size_plot": figures.score_against_size(results.models, score=score, constant=results.majority_score),
        "curves": figures.training_curves(curves) if len(curves) else "",
        "sign_flips": figures.sign_flips(flips) if len(flips) else "",
    }


def headline(results: Results) -> str:
    """The smallest rung within a point of the teacher; the best one when none is. None that has collapsed."""
    known = [
        (model.means.mean, model.means.gap_mean, name)
        for name, model in results.models.items()
        if name != TEACHER and not model.collapsed_seeds
    ]
    scores = {name: (score, gap) for score, gap, name in known if score is not None and gap is not None}
    if not scores:
        return "No rung has a defined score and gives more than one answer."
    best = max(score for score, _ in scores.values())
    close = {n: score for n, (score, gap) in scores.items() if gap >= -_CLOSE} or {
        n: score for n, (score, _) in scores.items() if score == best
    }
    name = min(close, key=lambda name: (results.models[name].bytes, -close[name], name))
    model, teacher = results.models[name], results.models[TEACHER]
    own = (
        f"{name} ({model.weight_bits}-bit weights, {model.activation_bits}-bit activations): "
        f"{table.score_name(results)} {close[name]:.4f} in {model.mib:.3f} MiB"
    )
    of_teacher = f"{teacher.means.mean:.4f} in {teacher.mib:.3f} MiB, {model.ratio:.1f} times as much"
    return f"{own}; the teacher's is {of_teacher}."


def lineage(
    models: Mapping[str, ModelResult], records: Mapping[str, Record]
) -> list[tuple[int, str, list[str]]]:
    """Each model after the one it starts from: at which depth, its name, and what it is in words."""
    depths: dict[str | None, int] = {}
    found = []
    for name, model in table.in_order(models).items():
        depths[name] = depths.get(model.parent, -1) + 1
        bits = " ".join(f"{part}{bits}" for part, bits in zip("WEA", model.bits, strict=True))
        words = [bits, cells.score(model), f"{model.mib:.3g} MiB"]
        if own := records.get(name):
            drawn = [part for part, origin in origins(own.init).items() if origin.source == "drawn"]
            words += [f"drawn at random: {', '.join(drawn)}"] * bool(drawn)
            words += [f"taught by {own.teacher}"] * (own.teacher not in (TEACHER, None))
        found.append((depths[name], name, words))
    return found


def sizes_table(sizes: Mapping[str, Sizes]) -> dict[str, Any]:
    """Bytes of every part of every packed file: `parts` names the columns, `rows` holds (rung, cells)."""
    names = list(dict.fromkeys(part.part for found in sizes.values() for part in found.parts))
    rows = []
    for rung, found in sizes.items():
        stored = {part.part: part.stored_bytes for part in found.parts}
        cells = [f"{stored[name]:,}" if name in stored else "-" for name in names]
        rows.append((rung, [*cells, f"{found.file_bytes:,}", f"{found.file_bytes / MIB:.3f}"]))
    return {"parts": [*names, "file", "MiB"], "rows": rows}


def agreement_rows(agreements: Mapping[str, Agreement]) -> list[tuple[str, str, int, list[str]]]:
    """Rung, split, rows; largest difference of a logit and share of equal labels, twice: then by kernels."""
    return [
        (rung, split, found.rows, [*_agreed(found), *_agreed(found.by_kernels)])
        for rung, agreement in agreements.items()
        for split, found in agreement.splits.items()
    ]


def _agreed(found: OnSplit | ByKernels | None) -> list[str]:
    if found is None:
        return ["-", "-"]
    share = found.label_agreement
    return [f"{found.largest_logit_difference:.3g}", "-" if share is None else f"{share:.2%}"]


def data_rows(data: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    """Split, rows, labels, duplicates, rows that are in train too."""
    return [
        (
            split,
            f"{found['rows']:,}",
            ", ".join(f"{label}: {count:,}" for label, count in found["labels"].items()),
            *(
                "-" if found.get(key) is None else f"{found[key]:,}"
                for key in ("duplicates", "rows_also_in_train")
            ),
        )
        for split, found in (data or {"splits": {}})["splits"].items()
    ]
