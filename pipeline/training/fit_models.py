"""Train the teacher, on the task's labels, and each rung: from its parent, quantized, by a frozen teacher.

The full-precision teacher gives config and tokenizer whoever teaches.
"""

from pathlib import Path

from torch import Tensor, nn
from transformers.models.bert.configuration_bert import BertConfig

from bitladder import files
from bitladder.modeling import checkpoint, routines
from bitladder.modeling.bert import build_bert, quantize
from bitladder.modeling.traces import logits_of
from bitladder.quantizers.precision import Precision
from pipeline import kinds, paths
from pipeline.distillation.objective import Portion, label_loss, labelled
from pipeline.initialization.first_weights import Source, teacher_start
from pipeline.kinds.kind import Loss
from pipeline.params import Params, Task
from pipeline.record import Record, Stage
from pipeline.rungs import TEACHER, Rung
from pipeline.tasks.batches import Batch, inputs_of
from pipeline.training import fingerprint, parallel, rows
from pipeline.training.device import choose_threads, move, seed_everything, spend_less
from pipeline.training.gradually import growth
from pipeline.training.loop import LossTerms, Phase, fit
from pipeline.training.outcome import described, publish, sign_flips_since
from pipeline.training.resume import open_states
from pipeline.training.student import reconstructed, start
from pipeline.training.teaching import as_settings, course, lessons, load_teacher


def fit_teacher(params: Params) -> Record:
    """Train and publish `models/teacher`.

    Raises:
        ValueError: the pre-trained model does not fit.
        OtherTrainingError: a stopped training of the teacher was another one.
    """
    world = parallel.join(params.training.processes)
    pretrained = paths.model_dir("pretrained")
    digest = files.verify(pretrained)[checkpoint.WEIGHTS]
    source = Source("pretrained", checkpoint.load_state(pretrained), digest)
    room = len(source.state["bert.embeddings.position_embeddings.weight"])
    if room < params.task.max_length:
        raise ValueError(f"task.max_length: {params.task.max_length}; the model has room for {room} tokens")
    optimization = params.training.teacher
    config = task_config(pretrained, params.task, dropout=optimization.dropout)
    choose_threads(config.hidden_size)
    spend_less(config.hidden_size)
    digests = {**rows.digests(params.task, "plain"), "pretrained": digest}
    facts = fingerprint.of_teacher(params, digests, processes=world.size)
    states = open_states(TEACHER, facts, every=params.training.checkpoint_every, world=world)
    data = rows.load(params.task, "plain", pretrained)

    seed_everything(params.seed)
    model = build_bert(config)
    state, init = teacher_start(model.state_dict(), source, std=config.initializer_range, seed=params.seed)
    checkpoint.load_strictly(model, state, source="models/pretrained")
    if params.training.gradients != "float32":  # there transformers' own layers compute
        quantize(model, Precision())
        routines.use(model, routines.choose(params.training.gradients))
    move(model)
    num_steps = params.budget.teacher.count_steps(
        num_rows=len(data.train), batch_size=optimization.batch_size
    )
    fitted = fit(
        model,
        name=TEACHER,
        course=[Phase(against_labels(kinds.of(params.task).loss), num_steps, optimization.learning_rate)],
        batches=data.train.shuffled(
            optimization.batch_size, seed=params.seed, bucket_batches=params.training.bucket_batches
        ),
        score=lambda trained: data.score(trained).score,
        num_evaluations=params.budget.evaluations,
        optimization=optimization,
        states=states,
    )
    routines.use(model, routines.PLAIN)  # as whoever loads it computes
    draft = Record(
        name=TEACHER,
        stage=TEACHER,
        task=params.task.name,
        digest="",
        parent="pretrained",
        parent_digest=digest,
        init=init,
        settings=optimization.model_dump(),
    )
    draft = described(draft, params, data, model, config, fitted)
    record = publish(model, config, draft, fitted.curve, tokenizer_from=pretrained)
    states.clear()
    return record


def task_config(pretrained: Path, task: Task, *, dropout: float) -> BertConfig:
    """The pre-trained model's config with the task's head and labels, and this dropout."""
    config = checkpoint.load_config(pretrained)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    config.num_labels = task.num_labels
    kind = kinds.of(task)
    if names := kind.label_names(task):
        config.id2label = dict(enumerate(names))
        config.label2id = {label: i for i, label in enumerate(names)}
    config.architectures, config.problem_type = [kind.head.architecture], kind.problem_type
    for key, value in kind.settings(task).items():
        setattr(config, key, value)
    return config


def against_labels(loss: Loss) -> LossTerms:
    """The loss against the labels of a batch's rows."""

    def terms(model: nn.Module, batch: Batch, portion: Portion) -> dict[str, Tensor]:
        logits = logits_of(model(**inputs_of(batch)), batch["attention_mask"])
        return {"labels": labelled(portion, loss) * label_loss(logits, batch["labels"], loss)}

    return terms


def fit_rung(params: Params, name: str, *, stage: Stage) -> Record:
    """Train and publish `models/<name>`.

    Raises:
        ValueError: no such rung in the stage, or the parent's weights do not fit.
        OtherTrainingError: a stopped training of this rung was another one.
    """
    if name not in (known := [one for one in params.rungs if params.rungs[one].stage == stage]):
        raise ValueError(f"{stage}: no rung {name!r}; known: {known}")
    world = parallel.join(params.training.processes)
    rung, full_precision = params.rungs[name], paths.model_dir(TEACHER)
    digests, optimization = _digests(rung), params.optimization_of(rung)
    hidden_size = checkpoint.load_config(full_precision).hidden_size
    choose_threads(hidden_size)
    spend_less(hidden_size)
    everything = {**rows.digests(params.task, rung.data), **digests}
    facts = fingerprint.of_rung(params, name, everything, processes=world.size)
    states = open_states(name, facts, every=params.training.checkpoint_every, world=world)
    data = rows.load(params.task, rung.data, full_precision)

    seed_everything(params.seed)
    chosen = routines.choose(params.training.gradients)
    teacher = load_teacher(rung.taught_by, chosen)
    data = data.judged_by(teacher)
    student = start(params, rung, data)
    routines.use(student.model, chosen)
    num_steps = params.duration_of(rung).count_steps(
        num_rows=len(data.train), batch_size=optimization.batch_size
    )
    taken = lessons(params, rung, num_steps)
    batches = data.train.shuffled(
        optimization.batch_size, seed=params.seed, bucket_batches=params.training.bucket_batches
    )
    student = reconstructed(student, rung, teacher, batches, optimization)
    sign_flips = sign_flips_since(student.first)
    fitted = fit(
        student.model,
        name=name,
        course=course(taken, teacher, loss=kinds.of(params.task).loss, batches=batches),
        batches=batches,
        score=lambda trained: data.score(trained).score,
        num_evaluations=params.budget.evaluations,
        optimization=optimization,
        states=states,
        sign_flips=sign_flips,
        before_step=growth(student.model, num_steps=round(rung.gradual * num_steps), chosen=chosen),
    )
    checkpoint.round_side_parameters(student.model)
    config = student.model.config
    draft = Record(
        name=name,
        stage=stage,
        task=params.task.name,
        digest="",
        parent=rung.init_from,
        parent_digest=student.parent_digest,
        teacher=rung.taught_by,
        teacher_digest=digests["teacher"],
        precision=rung.precision,
        init=student.init,
        sign_flips=sign_flips(student.model),
        settings={
            **optimization.model_dump(),
            "bucket_batches": params.training.bucket_batches,
            **as_settings(taken),
            "hidden_act": config.hidden_act,
            **({"width": rung.width} if rung.width != 1 else {}),
            **({"gradual": rung.gradual} if rung.gradual else {}),
        },
    )
    draft = described(draft, params, data, student.model, config, fitted)
    record = publish(student.model, config, draft, fitted.curve, tokenizer_from=full_precision)
    states.clear()
    return record


def _digests(rung: Rung) -> dict[str, str]:
    """sha256 of the weights that go into a rung, by what they are to it."""
    roles = {"parent": rung.init_from, "teacher": rung.taught_by}
    if rung.taught_by != TEACHER:  # its config and tokenizer are used, and what `copy_from` says
        roles["full-precision teacher"] = TEACHER
    return {role: files.verify(paths.model_dir(name))[checkpoint.WEIGHTS] for role, name in roles.items()}
