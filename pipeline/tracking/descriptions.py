"""What MLflow's pages say of an experiment, a run, a model: Markdown of a few sentences, with links.

Links begin with `#`, so they hold on whatever port MLflow's server answers.
"""

from collections.abc import Mapping
from pathlib import Path

from pipeline.params import Params
from pipeline.record import bits
from pipeline.rungs import PRETRAINED, TEACHER
from pipeline.tracking.execution import Execution, Model

NOTE = "mlflow.note.content"  # tag of an experiment or run that its page shows as description
# Without it MLflow asks what the experiment is for, in a dialog, and shows the pages of chat programs.
KIND = {"mlflow.experimentKind": "custom_model_development"}
MACHINE_LEARNING = "workflowType=machine_learning"  # the pages' other half


def runs_page(experiment_id: str) -> str:
    return f"#/experiments/{experiment_id}/runs?{MACHINE_LEARNING}"


def model_page(name: str) -> str:
    return f"#/models/{name}?{MACHINE_LEARNING}"


def report_page(experiment_id: str, run_id: str, page: Path) -> str:
    """The report among the files of an execution's run."""
    return f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{page.name}?{MACHINE_LEARNING}"


def of_experiment(task: str) -> str:
    return (
        f"BERTs with few bits per number on the task {task}. Each *execution* is the state of a ladder: its "
        "settings, the score of every model, the papers' claims, and the report as an HTML page. Below it is "
        "a run for each model, with its training curve and with the model that it starts from."
    )


def of_execution(found: Execution, params: Params, report: str | None) -> str:
    """`report`: where the page is."""
    rungs = [model.name for model in found.models if model.name not in (PRETRAINED, TEACHER)]
    return (
        f"One ladder on the task {found.task} (model {params.model.name}, budget {params.budget.name}, "
        f"seed {params.seed}): {', '.join(rungs) or 'no rung'} beside their teacher. Here are its settings, "
        f"the score of each model and the verdict on each claim; below, a run for each model.{_see(report)}"
    )


def of_model(model: Model, report: str | None) -> str:
    """Of a model's run and its registered version: what it is, what it comes from, what it is worth."""
    own, said = model.record, []
    if model.name == PRETRAINED:
        said.append("The pre-trained BERT that all others descend from.")
    elif model.name == TEACHER:
        said.append(
            "The teacher: the full-precision model, fine-tuned for the task, that all others learn from."
        )
    else:
        said.append(
            f"A rung with {_bits(bits(own))}. It starts from {own.parent}"
            + (f" and is taught by {own.teacher}." if own.teacher else ".")
        )
    if (result := model.result) is not None:
        score = "undefined" if result.score is None else f"{result.score:.4f}"
        gap = "" if result.gap is None or model.name == TEACHER else f", {result.gap:+.4f} to its teacher"
        said.append(
            f"Score {score}{gap}; its file has {result.mib:.3f} MiB, {result.ratio:.1f} times smaller."
        )
    if model.packed is not None:
        said.append(f"Delivered in packed/{model.name}.")
    return " ".join(said) + _see(report)


def of_registered(task: str, report: str | None) -> str:
    return (
        f"The delivered rungs of the ladder on the task {task}, a version for each. The alias champion is on "
        f"the best one within the limits that `bitladder best` was given.{_see(report)}"
    )


def _bits(of: Mapping[str, int]) -> str:
    return ", ".join(f"{number}-bit {part}" for part, number in of.items())


def _see(report: str | None) -> str:
    return f" [Report]({report})" if report else ""
