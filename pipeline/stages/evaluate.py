"""Stage `evaluate`: scores of every delivered rung, from its packed file, and of the teacher; sizes; claims.

Writes `metrics/results.json` (everything), `metrics/table.csv` (a row per model), `metrics/curves.csv`
(every rung's training curve) and `metrics/errors.json` (where each model errs). The validation splits scored
here chose nothing, unless params.yaml asks for the peers' habit (`evaluation.selection`). Means over seeds
are made of these scores and those of `repeat`; `score` is always that of `seed`, whose file is packed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitladder import files
from pipeline import kinds, paths, record
from pipeline.evaluation import agreement, errors, results
from pipeline.evaluation.results import LabelAgreement, ModelResult, Results, difference
from pipeline.evaluation.seeds import over_seeds
from pipeline.ladder.lengths import require_lengths
from pipeline.ladder.words import unusual
from pipeline.params import Params, Task
from pipeline.progress import say
from pipeline.record import Record
from pipeline.rungs import PRETRAINED, TEACHER

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.tasks.scoring import Scored

RESULTS = paths.RESULTS
TABLE, CURVES = (paths.METRICS / name for name in ("table.csv", "curves.csv"))
Splits = Mapping[str, "pd.DataFrame"]  # the validation splits by name, the task's first one first


def run(params: Params, rung: str | None = None) -> None:
    """Score all models, write metrics/.

    Raises:
        IntegrityError: a folder is not what its manifest says.
        OutdatedError: a rung's training is not as long as params.yaml asks for now.
    """
    from pipeline.data.tables import read_split
    from pipeline.evaluation import claims

    require_lengths(params)
    plain = paths.data_dir(params.task.name, "plain")
    files.verify(plain)
    splits = {name: read_split(plain, name) for name in params.task.validation_splits}
    models: dict[str, ModelResult] = {}
    scored: dict[str, Scored] = {}
    for name in (TEACHER, *params.deliver):
        models[name], scored[name] = _evaluate(params, name, splits, models.get(TEACHER))
    models = _with_seeds(params, models)
    found_NK = {name: one.examples_NK for name, one in scored.items()}
    examples = {name: one for name, one in found_NK.items() if one is not None}
    found = Results(
        **_setting(params.task, splits),
        num_seeds=len(params.seeds),
        checkpoint_selected_on=", ".join(sorted({str(model.selected_on) for model in models.values()})),
        models=models,
        claims=claims.judge(params.claims, models, claims.without_each(params, examples)),
    )
    results.write(RESULTS, found)
    files.write_text(TABLE, table_csv(models))
    files.write_text(CURVES, curves_csv(params.deliver))
    errors.write(errors.found(params.task, scored))


def other_seed(task: Task, seed: int) -> dict[str, ModelResult]:
    """Models of another seed than the graph's own, as `repeat` left them.

    Raises:
        IntegrityError: they are not there or of another task.
        OtherFormatError: another version wrote them.
    """
    path = paths.seed_results(seed)
    found = results.read_seed(seed) if path.is_file() else None
    if found is None or found.task != task.name:
        what = "not there" if found is None else f"of task {found.task!r}"
        raise files.IntegrityError(f"{path}: {what}; `dvc repro repeat@{seed}` makes it")
    return found.models


def folder_of(name: str) -> Path:
    """Where the evaluated file is: packed for a rung, as trained for the teacher."""
    return paths.model_dir(TEACHER) if name == TEACHER else paths.packed_dir(name)


def table_csv(models: Mapping[str, ModelResult]) -> str:
    """A row per model: one seed's score and gap, then over how many seeds which mean; undefined is empty."""
    import pandas as pd

    columns = ("parent", "weight_bits", "embedding_bits", "activation_bits", "mib", "ratio", "score", "gap")
    rows = [
        {"rung": name}
        | {column: getattr(model, column) for column in columns}
        | {"mean": model.means.mean, "std": model.means.std}
        | {"num_seeds": model.num_seeds, "selected_on": model.selected_on}
        for name, model in models.items()
    ]
    return str(pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def curves_csv(rungs: Sequence[str]) -> str:
    """Every rung's curve: step, loss, and the score on the selection split where it was measured."""
    import pandas as pd

    curves = {rung: pd.read_csv(paths.model_dir(rung) / paths.CURVE, dtype=str) for rung in rungs}
    every = pd.concat(curves, names=["rung", None]).reset_index("rung")
    columns = ["rung", "step", "loss", "score"]
    return str(every.to_csv(columns=columns, index=False, lineterminator="\n"))


def ladder_to(name: str) -> list[Record]:
    """Records from the teacher, or from the first general rung, down to a delivered rung, its own last; for
    the teacher its own alone.

    Its ancestors' are those of training: what an earlier ladder packed under their names may lie there still.
    """
    ladder = [record.read(folder_of(name))]
    while ladder[0].parent not in (PRETRAINED, None):
        ladder.insert(0, record.read(paths.model_dir(ladder[0].parent)))
    return ladder


def _with_seeds(params: Params, models: Mapping[str, ModelResult]) -> dict[str, ModelResult]:
    """The same with means over seeds, and with what is unusual of each."""
    others = {seed: other_seed(params.task, seed) for seed in params.seeds if seed != params.seed}
    means = over_seeds({params.seed: models, **others})
    words = {TEACHER: [], **{name: unusual(params.rungs[name]) for name in params.deliver}}
    return {
        name: model.model_copy(
            update={"unusual": words[name], **({"seeds": means[name]} if name in means else {})}
        )
        for name, model in models.items()
    }


def _evaluate(
    params: Params, name: str, splits: Splits, teacher: ModelResult | None
) -> tuple[ModelResult, "Scored"]:
    """The model's result, and what it is made of on the first split. `teacher`: None for the teacher."""
    digests = files.verify(folder_of(name))
    ladder, answers = ladder_to(name), _score(params.task, name, splits)
    own, first = ladder[-1], answers[params.task.validation_splits[0]]
    size_bytes = (folder_of(name) / paths.WEIGHTS).stat().st_size
    labels = None
    if teacher:
        [packed] = agreement.read(folder_of(name)).splits.values()
        by_kernels = packed.by_kernels.label_agreement if packed.by_kernels else None
        labels = LabelAgreement(file=packed.label_agreement, kernels=by_kernels)
    say(f"evaluate {name}: score {'undefined' if first.score is None else f'{first.score:.4f}'}")
    found = ModelResult(
        stage=own.stage,
        parent=own.parent,
        weight_bits=own.precision.weights,
        embedding_bits=own.precision.embeddings,
        activation_bits=own.precision.activations,
        score=first.score,
        scores={split: scored.scores for split, scored in answers.items()},
        accuracy=first.right,
        collapsed=first.collapsed,
        no_answer_threshold=None,
        num_examples=len(splits[params.task.validation_splits[0]]),
        bytes=size_bytes,
        mib=size_bytes / 2**20,
        digest=digests[paths.WEIGHTS],
        label_agreement=labels,
        seed=own.seed,
        selected_on=own.selected_on,
        steps=own.steps,
        total_steps=sum(above.steps for above in ladder if above.stage not in (TEACHER, "general")),
        augmented_steps=sum(above.steps for above in ladder if above.data.get("kind") == "augmented"),
        ancestors=[str(above.parent) for above in ladder],
        gap=difference(first.score, teacher.score if teacher else first.score),
        ratio=(teacher.bytes if teacher else size_bytes) / size_bytes,
    )
    if first.chosen is not None:
        found = found.model_copy(update={str(kinds.of(params.task).chosen_as): first.chosen})
    return found, first


def _score(task: Task, name: str, splits: Splits) -> dict[str, "Scored"]:
    """A model's scores by split; with the thresholds it came with, where a kind has any."""
    from bitladder.modeling.checkpoint import load_bert
    from bitladder.transformers_model.model import load
    from pipeline.tasks import scoring
    from pipeline.training.device import device

    model: Any = load_bert(folder_of(name)) if name == TEACHER else load(folder_of(name))
    model.to(device())
    chosen = kinds.of(task).noted(model.config)
    return {
        split: scoring.score(model, scoring.read(frame, task, folder_of(name)), task, chosen=chosen)
        for split, frame in splits.items()
    }


def _setting(task: Task, splits: Splits) -> dict[str, Any]:
    """The fields of Results that say what is scored on what."""
    constants = {name: kinds.of(task).constant(frame, task) for name, frame in splits.items()}
    scored = {name: len(frame) for name, frame in splits.items()}
    summary = files.read_json(paths.data_dir(task.name, "plain") / "summary.json")
    return {
        "format": results.FORMAT,
        "task": task.name,
        "kind": task.kind,
        "metrics": list(task.metrics),
        "split": task.validation_splits[0],
        "rows": scored,
        "rows_read": scored | summary.get("validation_rows_read", {}),
        "majority": {name: share for name, (share, _) in constants.items()},
        "majority_score": constants[task.validation_splits[0]][1],
    }
