"""Train one rung: start from its parent, quantize, and distil from a frozen teacher.

The full-precision teacher gives config and tokenizer whoever teaches.
"""

from bitladder import files
from bitladder.modeling import checkpoint, routines
from pipeline import paths
from pipeline.params import Params
from pipeline.record import Record, Stage
from pipeline.rungs import TEACHER, Rung
from pipeline.training import fingerprint, parallel, rows
from pipeline.training.device import choose_threads, seed_everything
from pipeline.training.loop import fit
from pipeline.training.outcome import described, publish, sign_flips_since
from pipeline.training.resume import open_states
from pipeline.training.student import start
from pipeline.training.teaching import course, lessons, load_teacher


def fit_rung(params: Params, name: str, *, stage: Stage) -> Record:
    """Train and publish `models/<name>`.

    Raises:
        ValueError: the parent's weights do not fit.
        OtherTrainingError: a stopped training of this rung was another one.
    """
    world = parallel.join(params.training.processes)
    rung, full_precision = params.rungs[name], paths.model_dir(TEACHER)
    digests, optimization = _digests(rung), params.optimization_of(rung)
    choose_threads(checkpoint.load_config(full_precision).hidden_size)
    everything = {**rows.digests(params.task, rung.data), **digests}
    facts = fingerprint.of_rung(params, name, everything, processes=world.size)
    states = open_states(name, facts, every=params.training.checkpoint_every, world=world)
    data = rows.load(params.task, rung.data, full_precision)

    seed_everything(params.seed)
    chosen = routines.choose(params.training.gradients)
    teacher = load_teacher(rung.taught_by, chosen)
    student = start(params, rung, data)
    routines.use(student.model, chosen)
    num_steps = params.duration_of(rung).count_steps(
        num_rows=len(data.train), batch_size=optimization.batch_size
    )
    taken = lessons(params, rung, num_steps)
    sign_flips = sign_flips_since(student.first)
    fitted = fit(
        student.model,
        name=name,
        batches=data.train.shuffled(
            optimization.batch_size, seed=params.seed, bucket_batches=params.training.bucket_batches
        ),
        course=course(taken, teacher, regression=params.task.kind == "regression"),
        score=lambda trained: data.score(trained).score,
        num_evaluations=params.budget.evaluations,
        optimization=optimization,
        states=states,
        sign_flips=sign_flips,
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
            "learning_rate": rung.learning_rate or optimization.learning_rate,
            **(
                {"distillation": taken[0].distillation.model_dump()}
                if len(taken) == 1
                else {"phases": [lesson.as_dict() for lesson in taken]}
            ),
            "hidden_act": config.hidden_act,
            **({"width": rung.width} if rung.width != 1 else {}),
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
