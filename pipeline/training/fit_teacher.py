"""Fine-tune the full-precision teacher on the task's labels."""

from pathlib import Path

from torch import Tensor, nn
from transformers.models.bert.configuration_bert import BertConfig

from bitladder import files
from bitladder.modeling import checkpoint, routines
from bitladder.modeling.bert import ANSWERER, ANSWERING_KEY, CLASSIFIER, build_bert, quantize
from bitladder.modeling.traces import logits_of
from bitladder.quantizers.precision import Precision
from pipeline import paths
from pipeline.distillation.objective import Portion, label_loss
from pipeline.initialization.first_weights import Source, teacher_start
from pipeline.params import Params, Task
from pipeline.record import Record
from pipeline.rungs import TEACHER
from pipeline.tasks.batches import Batch, inputs_of
from pipeline.training import fingerprint, parallel, rows
from pipeline.training.device import choose_threads, move, seed_everything
from pipeline.training.loop import LossTerms, Phase, fit
from pipeline.training.outcome import described, publish
from pipeline.training.resume import open_states


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
        batches=data.train.shuffled(
            optimization.batch_size, seed=params.seed, bucket_batches=params.training.bucket_batches
        ),
        course=[
            Phase(against_labels(params.task.kind == "regression"), num_steps, optimization.learning_rate)
        ],
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
    if task.label_names:
        config.id2label = dict(enumerate(task.label_names))
        config.label2id = {label: i for i, label in enumerate(task.label_names)}
    if task.answering is not None:
        config.architectures, config.problem_type = [ANSWERER], None
        config.id2label, config.label2id = {0: "start", 1: "end"}, {"start": 0, "end": 1}
        lengths = {"max_length": task.max_length, **task.answering.model_dump()}
        setattr(config, ANSWERING_KEY, {**lengths, "no_answer_threshold": None})
        return config
    config.architectures = [CLASSIFIER]
    config.problem_type = "regression" if task.kind == "regression" else "single_label_classification"
    return config


def against_labels(regression: bool) -> LossTerms:
    """The loss against the labels of a batch's rows."""

    def terms(model: nn.Module, batch: Batch, portion: Portion) -> dict[str, Tensor]:
        logits = logits_of(model(**inputs_of(batch)), batch["attention_mask"])
        return {"labels": portion.rows * label_loss(logits, batch["labels"], regression)}

    return terms
