"""Train one rung: start from its parent, quantize, and distil from the frozen full-precision teacher."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pipeline import files, paths
from pipeline.data.encode import Batch
from pipeline.distillation.objective import Objective, Portion
from pipeline.evaluation.selection import chosen_on
from pipeline.initialization.assemble import assemble
from pipeline.initialization.by_part import origins
from pipeline.initialization.step_sizes import calibrate
from pipeline.modeling import checkpoint, frozen, kernels
from pipeline.modeling.bert import Bert, build_bert
from pipeline.modeling.traces import of_heads, trace
from pipeline.modeling.width import heads_of
from pipeline.params import Params, Rung
from pipeline.quantizers.choose import Precision, activation_quantizer_name, weight_quantizer_name
from pipeline.record import Part, Record, Stage
from pipeline.training import fingerprint, parallel, parents, split
from pipeline.training.device import choose_threads, device, move, seed_everything
from pipeline.training.fit_teacher import note_threshold
from pipeline.training.loop import Fitted, LossTerms, fit
from pipeline.training.outcome import publish
from pipeline.training.resume import States, open_states
from pipeline.training.sign_flips import since

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
    rung, teacher_folder = params.rungs[name], paths.model_dir("teacher")
    teacher_digest = files.verify(teacher_folder)[checkpoint.WEIGHTS]
    choose_threads(checkpoint.load_config(teacher_folder).hidden_size)
    states = _states(params, name, teacher_digest, world)
    data = split.load(params.task, rung.data, teacher_folder)

    seed_everything(params.seed)
    teacher = checkpoint.load_bert(teacher_folder).requires_grad_(False)
    move(teacher)
    student = start(params, rung, data)
    chosen = kernels.choose(params.training.gradients)
    kernels.use(student.model, chosen)
    frozen.convert(teacher, chosen)
    fitted = _train(params, name, student, teacher, data, states)
    checkpoint.round_side_parameters(student.model)
    draft = replace(
        _describe(params, rung, student, data),
        name=name,
        stage=stage,
        teacher_digest=teacher_digest,
        steps=fitted.num_steps,
        best_step=fitted.best_step,
    )
    record = publish(student.model, student.model.config, draft, fitted.curve, tokenizer_from=teacher_folder)
    states.clear()
    return record


def start(params: Params, rung: Rung, data: split.TaskData) -> Student:
    """Build the quantized model, give it its first weights and calibrate its activations on training rows."""
    rows = data.train.batch(calibration_rows(len(data.train), seed=params.seed))
    config = checkpoint.load_config(paths.model_dir("teacher"))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = params.optimization_of(rung).dropout
    parent = parents.shaped(rung, rows, config, regression=params.task.kind == "regression")
    model = build_bert(config, precision_of(rung))
    chosen = origins(
        rung.init,
        config.num_hidden_layers,
        parent=parent,
        teacher=parents.source("teacher"),
        std=config.initializer_range,
        seed=params.seed,
    )
    first, init = assemble(model.state_dict(), chosen)
    model.load_state_dict(first)
    move(model)
    calibrate(model, {key: tensor.to(device()) for key, tensor in rows.items()})
    return Student(model, first, init, parent.digest)


def _states(params: Params, name: str, teacher_digest: str, world: parallel.World) -> States:
    """Raises OtherTrainingError where a stopped training of this rung was another one."""
    rung = params.rungs[name]
    digests = {
        **split.digests(params.task, rung.data),
        "parent": files.verify(paths.model_dir(rung.init_from))[checkpoint.WEIGHTS],
        "teacher": teacher_digest,
    }
    facts = fingerprint.of_rung(params, name, digests, processes=world.size)
    return open_states(name, facts, every=params.training.checkpoint_every, world=world)


def _train(
    params: Params, name: str, student: Student, teacher: nn.Module, data: split.TaskData, states: States
) -> Fitted:
    rung = params.rungs[name]
    optimization = params.optimization_of(rung)
    return fit(
        student.model,
        name=name,
        batches=data.train.shuffled(
            optimization.batch_size, seed=params.seed, bucket_batches=params.training.bucket_batches
        ),
        loss_terms=against_teacher(teacher, objective(params, rung)),
        score=lambda trained: split.score_on(data.selection, params.task, trained).score,
        num_steps=params.duration_of(rung).count_steps(
            num_rows=len(data.train), batch_size=optimization.batch_size
        ),
        num_evaluations=params.budget.evaluations,
        optimization=optimization,
        learning_rate=rung.learning_rate or optimization.learning_rate,
        states=states,
        sign_flips=since(student.first),
    )


def _describe(params: Params, rung: Rung, student: Student, data: split.TaskData) -> Record:
    """The record of a trained student, less its name and what only training and publishing know."""
    scored = split.score_on(data.selection, params.task, student.model)
    note_threshold(student.model.config, scored.threshold)
    precision, optimization = precision_of(rung), params.optimization_of(rung)
    bits = precision.as_dict()
    granularity, split_in_two = bits.pop("granularity"), bits.pop("split", False)
    return Record(
        name="",
        stage="weights",
        task=params.task.name,
        digest="",
        parent=rung.init_from,
        parent_digest=student.parent_digest,
        teacher="teacher",
        bits=bits,
        quantizers={
            "weights": weight_quantizer_name(precision.weights),
            "embeddings": weight_quantizer_name(precision.embeddings),
            "activations": activation_quantizer_name(precision.activations),
            "granularity": granularity,
            **({"matrices": "sums of two"} if split_in_two else {}),
        },
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
            "distillation": (rung.distillation or params.distillation).model_dump(),
            **({"width": rung.width} if rung.width != 1 else {}),
            "rows": len(data.train),
            "truncated": data.train.num_truncated,
            **split.chosen(scored),
        },
    )


def precision_of(rung: Rung) -> Precision:
    return Precision(
        rung.bits,
        rung.embedding_bits or rung.bits,
        rung.activation_bits_or_32,
        granularity=rung.granularity,
        split=rung.split,
        group_size=rung.group_size,
        weight_quantizer=rung.weight_quantizer,
        activation_quantizer=getattr(rung, "activation_quantizer", None),
        attention=getattr(rung, "attention", "softmax"),
    )


def objective(params: Params, rung: Rung) -> Objective:
    """The rung's own distillation weights, or those of the whole ladder."""
    weights = rung.distillation or params.distillation
    return Objective(**weights.model_dump(), regression=params.task.kind == "regression")


def calibration_rows(num_rows: int, *, seed: int) -> list[int]:
    """Up to CALIBRATION_ROWS row numbers of train, drawn without replacement."""
    generator = torch.Generator().manual_seed(seed)
    rows: list[int] = torch.randperm(num_rows, generator=generator)[:CALIBRATION_ROWS].tolist()
    return rows


def against_teacher(teacher: nn.Module, goal: Objective) -> LossTerms:
    """The terms of a student's loss, the teacher's forward pass included."""

    def terms(model: nn.Module, batch: Batch, portion: Portion) -> dict[str, Tensor]:
        with torch.no_grad():
            taught = of_heads(trace(teacher, batch), heads_of(model))  # type: ignore[arg-type]
        return goal.terms(trace(model, batch), taught, batch, portion)  # type: ignore[arg-type]

    return terms
