"""Train one rung: start from its parent, quantize, and distil from a frozen teacher.

The full-precision teacher gives config and tokenizer whoever teaches.
"""

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from bitladder import files
from bitladder.modeling import checkpoint, routines
from bitladder.modeling.bert import Bert, build_bert
from pipeline import paths
from pipeline.evaluation.selection import chosen_on
from pipeline.initialization.assemble import assemble
from pipeline.initialization.by_part import origins
from pipeline.initialization.step_sizes import calibrate
from pipeline.params import Params
from pipeline.record import Part, Record, Stage
from pipeline.rungs import TEACHER, Rung
from pipeline.training import fingerprint, parallel, parents, split
from pipeline.training.device import choose_threads, device, move, seed_everything
from pipeline.training.fit_teacher import note_threshold
from pipeline.training.loop import Fitted, fit
from pipeline.training.outcome import publish
from pipeline.training.resume import States, open_states
from pipeline.training.sign_flips import since
from pipeline.training.teaching import Lesson, course, lessons, load_teacher

CALIBRATION_ROWS = 128


@dataclass(frozen=True)
class Student:
    """A rung before its first step.

    Attributes:
        model: quantized, on the device, its steps calibrated.
        first: the latent weights it starts from, on the CPU.
        init: where each part of them came from.
        parent_digest: sha256 of the parent's weights.
    """

    model: Bert
    first: dict[str, Tensor]
    init: list[Part]
    parent_digest: str


def fit_rung(params: Params, name: str, *, stage: Stage) -> Record:
    """Train and publish `models/<name>`. Raises ValueError when the parent's weights do not fit."""
    world = parallel.join(params.training.processes)
    rung, full_precision = params.rungs[name], paths.model_dir(TEACHER)
    digests = _digests(rung)
    choose_threads(checkpoint.load_config(full_precision).hidden_size)
    states = _states(params, name, digests, world)
    data = split.load(params.task, rung.data, full_precision)

    seed_everything(params.seed)
    chosen = routines.choose(params.training.gradients)
    teacher = load_teacher(rung.taught_by, chosen)
    student = start(params, rung, data)
    routines.use(student.model, chosen)
    taken = lessons(params, rung, _num_steps(params, rung, data))
    fitted = _train(params, name, student, taken, teacher, data, states)
    checkpoint.round_side_parameters(student.model)
    draft = replace(
        _describe(params, rung, student, taken, data),
        name=name,
        stage=stage,
        teacher_digest=digests["teacher"],
        steps=fitted.num_steps,
        best_step=fitted.best_step,
    )
    record = publish(student.model, student.model.config, draft, fitted.curve, tokenizer_from=full_precision)
    states.clear()
    return record


def start(params: Params, rung: Rung, data: split.TaskData) -> Student:
    """Build the quantized model, give it its first weights and calibrate its activations on training rows."""
    rows = data.train.batch(calibration_rows(len(data.train), seed=params.seed))
    config = checkpoint.load_config(paths.model_dir(TEACHER))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = params.optimization_of(rung).dropout
    config.hidden_act = rung.hidden_act or config.hidden_act
    parent = parents.shaped(rung, rows, config, regression=params.task.kind == "regression")
    model = build_bert(config, rung.precision)
    chosen = origins(
        rung.init,
        config.num_hidden_layers,
        parent=parent,
        teacher=cache(partial(parents.source, TEACHER)),
        std=config.initializer_range,
        seed=params.seed,
    )
    first, init = assemble(model.state_dict(), chosen)
    model.load_state_dict(first)
    move(model)
    calibrate(model, {key: tensor.to(device()) for key, tensor in rows.items()})
    return Student(model, first, init, parent.digest)


def _digests(rung: Rung) -> dict[str, str]:
    """sha256 of the weights that go into a rung, by what they are to it."""
    roles = {"parent": rung.init_from, "teacher": rung.taught_by}
    if rung.taught_by != TEACHER:  # its config and tokenizer are used, and what `copy_from` says
        roles["full-precision teacher"] = TEACHER
    return {role: files.verify(paths.model_dir(name))[checkpoint.WEIGHTS] for role, name in roles.items()}


def _states(params: Params, name: str, digests: dict[str, str], world: parallel.World) -> States:
    """Raises OtherTrainingError where a stopped training of this rung was another one."""
    everything = {**split.digests(params.task, params.rungs[name].data), **digests}
    facts = fingerprint.of_rung(params, name, everything, processes=world.size)
    return open_states(name, facts, every=params.training.checkpoint_every, world=world)


def _num_steps(params: Params, rung: Rung, data: split.TaskData) -> int:
    batch_size = params.optimization_of(rung).batch_size
    return params.duration_of(rung).count_steps(num_rows=len(data.train), batch_size=batch_size)


def _train(
    params: Params,
    name: str,
    student: Student,
    taken: list[Lesson],
    teacher: nn.Module,
    data: split.TaskData,
    states: States,
) -> Fitted:
    rung = params.rungs[name]
    optimization = params.optimization_of(rung)
    return fit(
        student.model,
        name=name,
        batches=data.train.shuffled(
            optimization.batch_size, seed=params.seed, bucket_batches=params.training.bucket_batches
        ),
        course=course(taken, teacher, regression=params.task.kind == "regression"),
        score=lambda trained: split.score_on(data.selection, params.task, trained).score,
        num_evaluations=params.budget.evaluations,
        optimization=optimization,
        states=states,
        sign_flips=since(student.first),
    )


def _describe(
    params: Params, rung: Rung, student: Student, taken: list[Lesson], data: split.TaskData
) -> Record:
    """The record of a trained student, less its name and what only training and publishing know."""
    scored = split.score_on(data.selection, params.task, student.model)
    note_threshold(student.model.config, scored.threshold)
    precision, optimization = rung.precision, params.optimization_of(rung)
    return Record(
        name="",
        stage="weights",
        task=params.task.name,
        digest="",
        parent=rung.init_from,
        parent_digest=student.parent_digest,
        teacher=rung.taught_by,
        precision=precision,
        init=student.init,
        data=data.digests,
        seed=params.seed,
        selected_on=chosen_on(params),
        scores={chosen_on(params): scored.scores},
        sign_flips=since(student.first)(student.model),
        settings={
            **optimization.model_dump(),
            "processes": params.training.processes,
            "gradients": params.training.gradients,
            "bucket_batches": params.training.bucket_batches,
            "learning_rate": rung.learning_rate or optimization.learning_rate,
            **_said(taken),
            "hidden_act": student.model.config.hidden_act,
            **({"width": rung.width} if rung.width != 1 else {}),
            "rows": len(data.train),
            "truncated": data.train.num_truncated,
            **split.chosen(scored),
        },
    )


def _said(taken: list[Lesson]) -> dict[str, Any]:
    """The loss, or each phase with its own, for the record."""
    if len(taken) == 1:
        return {"distillation": taken[0].distillation.model_dump()}
    return {"phases": [lesson.as_dict() for lesson in taken]}


def calibration_rows(num_rows: int, *, seed: int) -> list[int]:
    """Up to CALIBRATION_ROWS row numbers of train, drawn without replacement."""
    generator = torch.Generator().manual_seed(seed)
    rows: list[int] = torch.randperm(num_rows, generator=generator)[:CALIBRATION_ROWS].tolist()
    return rows
