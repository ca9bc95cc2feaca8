"""Train a general rung: the pre-trained BERT's hidden states, attention and sentence vectors, on text.

A small task has too few rows to teach a low-bit model what language is. Plain text is without end, and what
is learned from it serves every task: a task's rungs start from here, with pooler and head of their teacher.

The head belongs to no task: it is neither trained nor published.
"""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from bitladder import files
from bitladder.modeling import checkpoint, routines
from bitladder.modeling.bert import BODY, Bert, build_bert, freeze
from bitladder.modeling.sentence_bert import mean_of_tokens
from bitladder.modeling.traces import trace
from bitladder.text.tokens import tokenize
from pipeline import paths
from pipeline.data import corpus
from pipeline.initialization.first_weights import Source, teacher_start
from pipeline.params import Params
from pipeline.record import Record
from pipeline.rungs import PRETRAINED
from pipeline.tasks.batches import Encoded
from pipeline.training import fingerprint, parallel
from pipeline.training.device import choose_threads, copied, device, move, seed_everything, spend_less
from pipeline.training.gradually import growth
from pipeline.training.loop import fit
from pipeline.training.outcome import publish, sign_flips_since
from pipeline.training.resume import open_states
from pipeline.training.student import reconstructed, start_general
from pipeline.training.teaching import as_settings, course, lessons

MOST_TOKENS = 256  # what sentence encoders read
HELD_OUT_ROWS = 512  # at most, and at most a tenth
HELD_OUT = "corpus_held_out"


def fit_general(params: Params, name: str) -> Record:
    """Train and publish `models/<name>`.

    Raises:
        ValueError: there is no such rung, or the pre-trained model does not fit.
        DataError: the text cannot be read.
        OtherTrainingError: a stopped training of this rung was another one.
    """
    if name not in params.general:
        raise ValueError(f"general: no rung {name!r}; known: {list(params.general)}")
    world, rung = parallel.join(params.training.processes), params.general[name]
    optimization, pretrained = params.optimization_of(rung), paths.model_dir(PRETRAINED)
    roles = {"parent": rung.init_from, "teacher": PRETRAINED}
    digests = {role: files.verify(paths.model_dir(own))[checkpoint.WEIGHTS] for role, own in roles.items()}
    config = checkpoint.load_config(pretrained)
    choose_threads(config.hidden_size)
    spend_less(config.hidden_size)
    pieces = corpus.read(params.data, params.task, params.seed)
    digest = files.digest(pieces)
    facts = fingerprint.of_general(params, name, {"corpus": digest, **digests}, processes=world.size)
    states = open_states(name, facts, every=params.training.checkpoint_every, world=world)
    train, held_out = split(encoded(pieces, pretrained, room=config.max_position_embeddings), params.seed)

    seed_everything(params.seed)
    chosen = routines.choose(params.training.gradients)
    teacher = load_pretrained()
    student = start_general(params, rung, train, teacher)
    freeze(teacher, chosen)
    routines.use(student.model, chosen)
    num_steps = rung.duration.count_steps(num_rows=len(train), batch_size=optimization.batch_size)
    taken = lessons(params, rung, num_steps)
    score = partial(similarity, teacher=teacher, rows=held_out)
    batches = train.shuffled(
        optimization.batch_size, seed=params.seed, bucket_batches=params.training.bucket_batches
    )
    student = reconstructed(student, rung, teacher, batches, optimization)
    sign_flips = sign_flips_since(student.first)
    fitted = fit(
        student.model,
        name=name,
        course=course(taken, teacher, loss="cross_entropy", batches=batches),
        batches=batches,
        score=score,
        num_evaluations=params.budget.evaluations,
        optimization=optimization,
        states=states,
        sign_flips=sign_flips,
        before_step=growth(student.model, num_steps=round(rung.gradual * num_steps), chosen=chosen),
    )
    checkpoint.round_side_parameters(student.model)
    draft = Record(
        name=name,
        stage="general",
        task="general",
        digest="",
        parent=rung.init_from,
        parent_digest=digests["parent"],
        teacher=PRETRAINED,
        teacher_digest=digests["teacher"],
        precision=rung.precision,
        init=[part for part in student.init if part.part != "head"],
        data={"kind": "corpus", "train": digest},
        seed=params.seed,
        steps=fitted.num_steps,
        best_step=fitted.best_step,
        selected_on=HELD_OUT,
        scores={HELD_OUT: {"sentence_cosine": score(student.model)}},
        sign_flips=sign_flips(student.model),
        settings={
            **optimization.model_dump(),
            "bucket_batches": params.training.bucket_batches,
            **as_settings(taken),
            **({"gradual": rung.gradual} if rung.gradual else {}),
            "processes": params.training.processes,
            "gradients": params.training.gradients,
            "rows": len(train),
            "truncated": train.num_truncated,
        },
    )
    body = nn.ModuleDict({BODY.rstrip("."): student.model.bert})  # without the head
    record = publish(body, student.model.config, draft, fitted.curve, tokenizer_from=pretrained)
    states.clear()
    return record


def load_pretrained() -> Bert:
    """`models/pretrained` on the device, not to be trained; its head is drawn and says nothing."""
    folder = paths.model_dir(PRETRAINED)
    config = checkpoint.load_config(folder)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model, source = build_bert(config), Source(PRETRAINED, checkpoint.load_state(folder), "")
    state, _ = teacher_start(model.state_dict(), source, std=config.initializer_range, seed=0)
    checkpoint.load_strictly(model, state, source=str(folder))
    model.eval().requires_grad_(False)  # type: ignore[no-untyped-call]
    move(model)
    return model


def encoded(pieces: list[str], tokenizer_folder: Path, *, room: int) -> Encoded:
    """The pieces as token ids. No row has a label: they are 0."""
    found = tokenize(pieces, None, tokenizer_folder, max_length=min(MOST_TOKENS, room))
    labels = torch.zeros(len(found))
    return Encoded(found.input_ids, found.token_type_ids, labels, found.num_truncated, found.padding)


def split(rows: Encoded, seed: int) -> tuple[Encoded, Encoded]:
    """Rows to learn from, and up to HELD_OUT_ROWS to choose the checkpoint on."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    count = min(HELD_OUT_ROWS, len(rows) // 10)
    return rows.pick(order[count:]), rows.pick(order[:count])


@torch.no_grad()
def similarity(model: nn.Module, *, teacher: nn.Module, rows: Encoded, batch_size: int = 64) -> float:
    """Mean cosine between both models' sentence vectors."""
    was_training = model.training
    model.eval()
    found = []
    for batch in (copied(each, device()) for each in rows.batches(batch_size)):
        own_BE, its_BE = _vectors(model, batch), _vectors(teacher, batch)
        found.append(functional.cosine_similarity(own_BE, its_BE))
    model.train(was_training)
    return float(torch.cat(found).double().mean())


def _vectors(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return mean_of_tokens(trace(model, batch).hidden_states[-1], batch["attention_mask"])
