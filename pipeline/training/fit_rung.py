"""Train one rung: start from its parent, quantize, and distil from the frozen full-precision teacher."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline import files, paths
from pipeline.data.encode import Batch
from pipeline.distillation.objective import Objective
from pipeline.initialization.assemble import Source, assemble, is_activation
from pipeline.initialization.step_sizes import calibrate
from pipeline.modeling import checkpoint
from pipeline.modeling.bert import build_classifier
from pipeline.modeling.traces import trace
from pipeline.params import Params, Rung
from pipeline.quantizers.choose import Precision, activation_quantizer_name, weight_quantizer_name
from pipeline.record import Record, Stage
from pipeline.training import split
from pipeline.training.device import choose_threads, device, move, seed_everything
from pipeline.training.loop import count_steps, fit
from pipeline.training.outcome import publish

CALIBRATION_ROWS = 128


def fit_rung(params: Params, name: str, *, stage: Stage) -> Record:
    """Train and publish `models/<name>`. Raises ValueError when the parent's weights do not fit."""
    rung = params.rungs[name]
    parent, teacher_folder = paths.model_dir(rung.init_from), paths.model_dir("teacher")
    parent_digest = files.verify(parent)[checkpoint.WEIGHTS]
    teacher_digest = files.verify(teacher_folder)[checkpoint.WEIGHTS]
    data = split.load(params.task, rung.data, teacher_folder)
    optimization, duration = params.optimization_of(rung), params.duration_of(rung)
    learning_rate = rung.learning_rate or optimization.learning_rate

    seed_everything(params.seed)
    teacher = checkpoint.load_classifier(teacher_folder).requires_grad_(False)
    move(teacher)
    precision = precision_of(rung)
    config = checkpoint.load_config(teacher_folder)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = optimization.dropout
    choose_threads(config.hidden_size)
    model = build_classifier(config, precision)
    state, init = assemble(
        model.state_dict(),
        Source(checkpoint.load_state(parent), parent_digest),
        rung.init.model_dump(),
        std=config.initializer_range,
        seed=params.seed,
    )
    model.load_state_dict(state)
    move(model)
    calibration = data.train.batch(calibration_rows(len(data.train), seed=params.seed))
    calibrate(model, {key: tensor.to(device()) for key, tensor in calibration.items()})

    fitted = fit(
        model,
        name=name,
        batches=data.train.shuffled(optimization.batch_size, seed=params.seed),
        loss_terms=_against_teacher(teacher, objective(params, rung)),
        score=lambda trained: split.score_on(data.selection, params.task, trained).score,
        num_steps=count_steps(duration, num_rows=len(data.train), batch_size=optimization.batch_size),
        num_evaluations=params.budget.evaluations,
        optimization=optimization,
        learning_rate=learning_rate,
    )
    checkpoint.round_side_parameters(model)
    draft = Record(
        name=name,
        stage=stage,
        task=params.task.name,
        digest="",
        parent=rung.init_from,
        parent_digest=parent_digest,
        teacher="teacher",
        teacher_digest=teacher_digest,
        bits={
            "weights": precision.weights,
            "embeddings": precision.embeddings,
            "activations": precision.activations,
        },
        quantizers={
            "weights": weight_quantizer_name(precision.weights),
            "embeddings": weight_quantizer_name(precision.embeddings),
            "activations": activation_quantizer_name(precision.activations),
            "granularity": precision.granularity,
        },
        init=init,
        data=data.digests,
        seed=params.seed,
        steps=fitted.num_steps,
        best_step=fitted.best_step,
        selected_on="selection",
        scores={"selection": split.score_on(data.selection, params.task, model).scores},
        sign_flips=sign_flips(state, model.state_dict()),
        settings={
            **optimization.model_dump(),
            "learning_rate": learning_rate,
            "distillation": (rung.distillation or params.distillation).model_dump(),
            "rows": len(data.train),
            "truncated": data.train.num_truncated,
        },
    )
    return publish(model, model.config, draft, fitted.curve, tokenizer_from=teacher_folder)


def precision_of(rung: Rung) -> Precision:
    return Precision(
        rung.bits, rung.embedding_bits or rung.bits, rung.activation_bits_or_32, granularity=rung.granularity
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


def sign_flips(first: dict[str, Tensor], last: dict[str, Tensor]) -> dict[str, float]:
    """Share of latent weights whose sign changed since initialization, by matrix or table."""
    return {
        name: round(float(((first[name] < 0) != (last[name].cpu() < 0)).float().mean()), 6)
        for name in sorted(first)
        if first[name].dim() == 2 and not is_activation(name) and not name.startswith(checkpoint.HEAD)
    }


def _against_teacher(teacher: nn.Module, goal: Objective) -> Callable[[nn.Module, Batch], dict[str, Tensor]]:
    def terms(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            taught = trace(teacher, batch)  # type: ignore[arg-type]
        return goal.terms(trace(model, batch), taught, batch)  # type: ignore[arg-type]

    return terms
