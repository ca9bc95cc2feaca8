"""The teacher that somebody else has fine-tuned: taken as it is, its labels in the task's order, and scored.

`models/pretrained` holds it, a BERT by now whatever it was. Nothing is trained: what is done here is to put
the head's outputs in the order of the task's labels, and to score it on the rows that checkpoints are chosen
on, so that it stands beside the rungs in every table. A sentence encoder is its own teacher: it has no head.
"""

from dataclasses import replace

import torch
from torch import Tensor

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import build_bert
from pipeline import kinds, paths
from pipeline.params import Params
from pipeline.problems import model_folder
from pipeline.problems.model_folder import ModelFolderError
from pipeline.progress import say
from pipeline.record import Part, Record
from pipeline.rungs import PRETRAINED, TEACHER
from pipeline.training import rows
from pipeline.training.device import choose_threads, move
from pipeline.training.fit_models import task_config
from pipeline.training.loop import Fitted
from pipeline.training.outcome import described, publish

_TOLD = (
    "given",
    "labels_given",
    "no_answer_threshold",
    "thresholds",
    "truncated",
)  # of a record's settings, where nothing was trained


def take_teacher(params: Params) -> Record:
    """Publish `models/teacher`.

    Raises:
        ModelFolderError: its head, its labels or its length do not fit the task, or a weight is no number.
    """
    folder = paths.model_dir(PRETRAINED)
    digest = files.verify(folder)[checkpoint.WEIGHTS]
    has_labels = kinds.of(params.task).has_labels
    fits = params.task if has_labels else None
    if wrong := list(model_folder.problems(folder, fits, field="teacher.location")):
        raise ModelFolderError("; ".join(wrong))
    config = task_config(folder, params.task, dropout=0.0)
    choose_threads(config.hidden_size)
    data = rows.load(params.task, "plain", folder)

    model = build_bert(config)
    given = model_folder.label_names(model_folder.read_config(folder)) if has_labels else []
    wanted = model_folder.label_names({"id2label": config.id2label})
    order = model_folder.label_order(given, wanted) or list(range(len(given)))
    state = ordered(checkpoint.load_state(folder), order)
    own = {name: state[name] for name in model.state_dict() if name in state}
    checkpoint.load_strictly(model, own, source=str(folder / checkpoint.WEIGHTS))
    if broken := [name for name, tensor in own.items() if not bool(tensor.isfinite().all())]:
        raise ModelFolderError(f"teacher.location: its {broken[0]} holds NaN or infinity; save it anew")
    model.eval()  # type: ignore[no-untyped-call]
    move(model)
    data = data.judged_by(model)
    source = params.teacher.source if has_labels else params.model.source
    draft = Record(
        name=TEACHER,
        stage=TEACHER,
        task=params.task.name,
        digest="",
        parent=PRETRAINED,
        parent_digest=digest,
        init=[Part("whole model", "copied", model=PRETRAINED, digest=digest)],
        settings={"given": source, "labels_given": given},
    )
    draft = described(draft, params, data, model, config, Fitted([], 0, 0))
    nothing_seen = {"selection": data.digests["selection"]}
    kept = {key: draft.settings[key] for key in draft.settings if key in _TOLD}
    record = publish(
        model, config, replace(draft, data=nothing_seen, settings=kept), [], tokenizer_from=folder
    )
    for split, scores in record.scores.items():
        told = ", ".join(
            f"{name} {value if value is None else round(value, 4)}" for name, value in scores.items()
        )
        say(f"teacher: given, not trained; on {split}: {told}")
    return record


def ordered(state: dict[str, Tensor], order: list[int]) -> dict[str, Tensor]:
    """The same tensors with the head's outputs in this order; the rest as it is."""
    places = torch.tensor(order)
    heads = {name: tensor for name, tensor in state.items() if not name.startswith(("bert.", "cls."))}
    return {**state, **{name: tensor[places] for name, tensor in heads.items() if len(tensor) == len(order)}}
