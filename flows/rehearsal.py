"""Every kind of training, rehearsed: the real stages, a few steps on a few rows, in a folder of their own.

`python -m flows.rehearsal FOLDER` in the project's root, started by `flows.measure`. FOLDER holds
request.json, {"rungs": [names]}; a JSON line per finished piece goes to standard output, everything else to
FOLDER/log.txt. Pieces, in this order: `rows` (made as `prepare` makes them unless data/ has them),
`pretrained`, `lengths`, `augment`, `teacher`, and each rung, started from that teacher.

Each piece is a fork of this process, which has imported everything and computed nothing: so imports are paid
for and timed once, a piece's peak of memory is its own, and a piece that dies takes no other with it.
"""

import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from flows import environment, memory, processes
from pipeline import files, params, paths
from pipeline.ladder import estimate
from pipeline.params import Duration, Params, Rung

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.evaluation.task import Split
    from pipeline.training.clock import Moment

Answer = dict[str, Any]
Piece = Callable[[], Answer]

REQUEST, LOG, LENGTHS = "request.json", "log.txt", "lengths"
GIVEN_UP = 10  # exit code: a piece failed without which there is nothing to measure
SECONDS_PER_PIECE = 300  # a piece that takes longer is given up
SECONDS_OF_STEPS, SECONDS_OF_SCORING = 2.5, 10.0
FEWEST_STEPS, MOST_STEPS = 3, 24
FLOPS_PER_SECOND = 8e10  # of one core, roughly: decides how many steps are timed, no more
MOST_ROWS_TO_SCORE, FEWEST_ROWS_TO_SCORE, ROWS_FOR_LENGTHS = 64, 16, 2000
NEW_ROWS = (60, 240, 960)
USED_BY_ALL = ("pandas", "pyarrow.parquet")
USED_BY_TRAINING = (
    "scipy.stats",
    "sklearn.metrics",
    "tokenizers",
    "transformers.models.bert.modeling_bert",
    "pipeline.training.fit_rung",
    "pipeline.training.fit_teacher",
    "pipeline.training.pretrain",
    "pipeline.packing.model",
    "pipeline.packing.writing",
)


def main(arguments: list[str]) -> int:
    """Rehearse what FOLDER/request.json asks for."""
    processes.die_with_parent(signal.SIGKILL)
    environment.prepare()
    os.environ.update(environment.OFFLINE)
    folder = Path(arguments[0]).absolute()
    settings = _with_absolute_places(params.load(paths.PARAMS))
    rungs: list[str] = files.read_json(folder / REQUEST)["rungs"]
    _say({"piece": "start", "rows": _imported(USED_BY_ALL), "training": _imported(USED_BY_TRAINING)})

    stages: list[tuple[str, Piece]] = [
        ("rows", lambda: rows(settings, project=Path.cwd(), folder=folder)),
        ("pretrained", _training(settings, "pretrained", folder)),
        ("lengths", lambda: lengths(settings, folder)),
        ("augment", lambda: augmentation(settings, folder)),
        *((name, _training(settings, name, folder)) for name in ("teacher", *rungs)),
    ]
    with (folder / LOG).open("a") as log:
        for name, piece in stages:
            answer = _apart(piece, log.fileno())
            _say({"piece": name, **answer})
            if "error" in answer and name in ("rows", "pretrained", "teacher"):
                return GIVEN_UP  # the others stand on these
    return 0


def rows(settings: Params, *, project: Path, folder: Path) -> Answer:
    """Lay out data/ in `folder` with a few rows of each split, real ones where there are any; count them all.

    Raises:
        DataError, IntegrityError: the rows that `prepare` would read are wrong.
    """
    from pipeline.stages import prepare
    from pipeline.training.clock import now, since

    started, own = now(), project / paths.data_dir(settings.task.name, "plain")
    if is_prepared(settings, own):
        os.chdir(folder)
        shutil.copytree(own.parent / "corpus", paths.data_dir(settings.task.name, "corpus"))
        return {"origin": "prepared", **_sample(settings, own)}
    os.chdir(folder)
    try:
        prepare.run(settings)
    except ConnectionError:  # the rows are on a hub, and rehearsals stay offline
        return {"origin": "assumed", **_assume(settings)}
    seconds = since(started)
    plain = paths.data_dir(settings.task.name, "plain")
    return {"origin": "made", "seconds": seconds, **_sample(settings, plain)}


def is_prepared(settings: Params, plain: Path) -> bool:
    """Whether the project's own data/<task>/plain is what `prepare` would write, as far as it tells."""
    try:
        summary = files.read_json(plain / "summary.json")
        files.verify(plain)
        files.verify(plain.parent / "corpus")
    except (OSError, ValueError, files.IntegrityError):
        return False
    said = (summary.get("source"), summary.get("seed"))
    generator = settings.task.generator
    as_many = generator is None or summary.get("train_rows_read") == generator.train_rows
    return said == (settings.data.source, settings.seed) and as_many


def shortened(settings: Params, name: str) -> Params:
    """The same training of one model, for a few steps from the teacher on plain rows, in one process."""
    few = Duration(steps=steps_to_take(settings, name))
    lengths = dict.fromkeys(("pretraining", "teacher", "rung", "binary_activations"), few)
    changes = {
        "budget": settings.budget.model_copy(update={**lengths, "evaluations": 1}),
        "training": settings.training.model_copy(
            update={"processes": 1, "checkpoint_every": step_with_a_state(settings, name)}
        ),
        "weights": _short_rungs(settings.weights, few),
        "weights_activations": _short_rungs(settings.weights_activations, few),
        "deliver": [name],
    }
    return settings.model_copy(update=changes)


def steps_to_take(settings: Params, name: str) -> int:
    """One step to warm up, and as many as seem to take SECONDS_OF_STEPS."""
    from pipeline.ladder.cost import optimization_of

    shape = estimate.shape_of(settings)
    if shape is None or (name == "pretrained" and settings.model.source != "demo"):
        return 1 + FEWEST_STEPS
    tokens = optimization_of(settings, name).batch_size * settings.task.max_length
    weights = sum(height * width for height, width in shape.matrices())
    # Two per weight and token, for the student forward, twice that backward, and the teacher forward.
    guess = 0.02 + 8 * weights * tokens / FLOPS_PER_SECOND
    return 1 + max(FEWEST_STEPS, min(MOST_STEPS, round(SECONDS_OF_STEPS / guess)))


def step_with_a_state(settings: Params, name: str) -> int:
    """The step after which a rehearsal writes a state to continue from, once."""
    return steps_to_take(settings, name) // 2 + 1


def train(settings: Params, name: str) -> Answer:
    """Run the model's own stage on the rows that lie in the working directory, and time it."""
    import torch

    from pipeline.training.clock import StepClock, now, since

    short, stage = shortened(settings, name), _stage_of(settings, name)
    work = importlib.import_module(f"pipeline.stages.{stage}").run
    started = now()
    with StepClock() as clock:
        work(short, name if name in settings.rungs else None)
    answer: Answer = {
        "seconds": since(started),
        "durations": clock.durations,
        "state_after": short.training.checkpoint_every,
        "steps": len(clock.ends),
        "peak_mib": memory.peak_mib(),
        "gpu_mib": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
    }
    if name == "pretrained":
        return answer
    return {**answer, **_score(short, name), "widths": _widths(short, name, len(clock.ends))}


def lengths(settings: Params, folder: Path) -> Answer:
    """Mean length of a batch, by its size, in shuffled rows; and what tokenizing a row costs."""
    from pipeline.data.tables import read_split
    from pipeline.evaluation import task as tasks
    from pipeline.training.clock import now, since

    os.chdir(folder)
    frame, started = read_split(Path(), LENGTHS), now()
    encoded = tasks.rows(tasks.read(frame, settings.task, paths.model_dir("pretrained")))
    seconds = [part / len(frame) for part in since(started)]
    tokens = {}
    for section in (settings.training.teacher, settings.training.rung, settings.training.binary_activations):
        batches = encoded.shuffled(
            section.batch_size, seed=settings.seed, bucket_batches=settings.training.bucket_batches
        )
        widths = [batches(step)["input_ids"].shape[1] for step in range(1, batches.per_epoch + 1)]
        tokens[str(section.batch_size)] = sum(widths) / len(widths)
    return {"tokens": tokens, "seconds_per_row": seconds}


def augmentation(settings: Params, folder: Path) -> Answer:
    """Seconds of `augment` for a few new rows, the first time and again, and for more while that is quick.

    Neighbours of a word are looked up once, so that few rows cost more than their share.
    """
    os.chdir(folder)
    made, seconds = [], []
    for new_rows in (NEW_ROWS[0], *NEW_ROWS):
        summary, timed = _augmented(settings, new_rows)
        made.append(sum(method["asked"] for method in summary["methods"].values()))
        seconds.append(timed)
        if timed[1] > SECONDS_OF_STEPS and len(made) > 2:
            break
    return {"rows": made, "seconds": seconds, "left_out": list(summary["left_out"])}


def _augmented(settings: Params, new_rows: int) -> tuple[Answer, "Moment"]:
    from pipeline.stages import augment
    from pipeline.training.clock import now, since

    few = settings.augmentation.model_copy(update={"max_rows": new_rows})
    started = now()
    augment.run(settings.model_copy(update={"augmentation": few}))
    timed = since(started)
    made = paths.data_dir(settings.task.name, "augmented")
    summary: Answer = files.read_json(made / "summary.json")
    return summary, timed


def _imported(modules: Sequence[str]) -> "Moment":
    """Import them; return seconds since this process began, on the wall and of the processors."""
    for name in modules:
        importlib.import_module(name)
    return time.time() - memory.started(), time.process_time()


def _training(settings: Params, name: str, folder: Path) -> Piece:
    def piece() -> Answer:
        os.chdir(folder)
        return train(settings, name)

    return piece


def _apart(piece: Piece, log: int) -> Answer:
    """Do a piece in a fork of this process; what went wrong comes back as `error`."""
    read, write = os.pipe()
    files_before = memory.resident_files_mib()
    child = os.fork()
    if child == 0:
        os.close(read)
        _in_child(piece, log, write, files_before)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if told:
        answer: Answer = json.loads(told)
        return answer
    ended = os.waitstatus_to_exitcode(status)
    if ended == -signal.SIGALRM:
        return {"error": f"took longer than {SECONDS_PER_PIECE} s"}
    return {
        "error": "killed, probably for want of memory" if ended == -signal.SIGKILL else f"ended with {ended}"
    }


def _in_child(piece: Piece, log: int, write: int, files_before: float) -> NoReturn:
    try:
        processes.die_with_parent(signal.SIGKILL)
        signal.alarm(SECONDS_PER_PIECE)  # whose default is to end the process
        os.dup2(log, 1)
        os.dup2(log, 2)
        answer = piece()
        if "peak_mib" in answer:
            # A fork begins without its parent's pages of program code; a stage of its own has them.
            answer["peak_mib"] += max(0.0, files_before - memory.resident_files_mib())
    except BaseException as error:
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    with os.fdopen(write, "w") as pipe:
        pipe.write(json.dumps(answer))
    processes.exit_at_once(0)


def rows_to_score(settings: Params) -> int:
    """Of each split that is scored: a whole batch of scoring, for what a batch costs is shared by its rows.

    Fewer where a batch takes long: what is computed per row outweighs that there.
    """
    shape = estimate.shape_of(settings)
    weights = sum(height * width for height, width in shape.matrices()) if shape else 0
    seconds = 2 * weights * MOST_ROWS_TO_SCORE * settings.task.max_length / FLOPS_PER_SECOND
    return FEWEST_ROWS_TO_SCORE if seconds > SECONDS_OF_SCORING else MOST_ROWS_TO_SCORE


def _short_rungs(rungs: Mapping[str, Rung], few: Duration) -> dict[str, Rung]:
    changes = {"init_from": "teacher", "data": "plain", "duration": few}
    return {name: rung.model_copy(update=changes) for name, rung in rungs.items()}


def _stage_of(settings: Params, name: str) -> str:
    if name in settings.rungs:
        return "weights" if name in settings.weights else "weights_activations"
    return name


def _score(short: Params, name: str) -> Answer:
    """Seconds of scoring the model just trained, in its own layers and packed; and of packing it."""
    from pipeline.modeling.checkpoint import load_bert
    from pipeline.packing.model import load
    from pipeline.stages import pack
    from pipeline.training.clock import now, since
    from pipeline.training.split import load as load_data

    data = load_data(short.task, "plain", paths.model_dir(name))
    trained = _seconds_of_scoring(short, load_bert(paths.model_dir(name)), data.selection)
    answer: Answer = {"scored": len(data.selection), "scoring": trained}
    if name not in short.rungs:
        return answer
    started = now()
    pack.run(short, name)
    answer["packing"] = since(started)
    compared = files.read_json(paths.packed_dir(name) / pack.AGREEMENT)["splits"].values()
    answer["packed_on"] = sum(split["rows"] for split in compared)
    answer["packed_scoring"] = _seconds_of_scoring(short, load(paths.packed_dir(name)), data.selection)
    return answer


def _seconds_of_scoring(short: Params, model: Any, data: "Split") -> "Moment":
    """Of the second time: the first one warms up."""
    from pipeline.training.clock import now, since
    from pipeline.training.device import move
    from pipeline.training.split import score_on

    move(model)
    score_on(data, short.task, model)
    started = now()
    score_on(data, short.task, model)
    return since(started)


def _widths(short: Params, name: str, steps: int) -> list[int]:
    """Tokens of the longest sequence in the batch of each timed step."""
    from pipeline.ladder.cost import optimization_of
    from pipeline.training.split import load

    train = load(short.task, "plain", paths.model_dir(name)).train
    batches = train.shuffled(
        optimization_of(short, name).batch_size,
        seed=short.seed,
        bucket_batches=short.training.bucket_batches,
    )
    return [int(batches(step)["input_ids"].shape[1]) for step in range(2, steps + 1)]


def _sample(settings: Params, plain: Path) -> Answer:
    """Publish a few rows of each split of `plain` under the working directory; count the rows of all."""
    from pipeline.data.tables import read_split

    names = ("train", "selection", *settings.task.validation_splits)
    frames = {name: read_split(plain, name) for name in names}
    _publish(settings, frames)
    judged = [len(frames[name]) for name in settings.task.validation_splits]
    counts = {"train": len(frames["train"]), "selection": len(frames["selection"])}
    return {**counts, "validation": judged[0], "judged": sum(judged), **_rehearsed(settings, frames)}


def _assume(settings: Params) -> Answer:
    """Rows nobody has seen yet: each as long as a row may be, their number unknown."""
    import pandas as pd

    task, number = settings.task, range(_rows_to_train_on(settings))
    text = "the " * task.max_length
    columns: dict[str, Any] = {**dict.fromkeys(task.sentence_columns, text), "idx": number}
    if task.answering is None:
        columns["label"] = [n % 5 / 2 if task.kind == "regression" else n % task.num_labels for n in number]
    else:  # one window each, and an answer in it
        columns["context"] = "the " * (task.max_length - task.answering.max_question_length - 3)
        columns |= {"answer_texts": [["the"] for _ in number], "answer_starts": [[0] for _ in number]}
    frame = pd.DataFrame(columns)
    frames = dict.fromkeys(("train", "selection", *task.validation_splits), frame)
    _publish(settings, frames)
    unknown = dict.fromkeys(("train", "selection", "validation", "judged"))
    return {**unknown, **_rehearsed(settings, frames)}


def _publish(settings: Params, frames: "Mapping[str, pd.DataFrame]") -> None:
    from pipeline.data.tables import write_split

    columns = settings.task.sentence_columns
    write_split(Path(), LENGTHS, _some(frames["train"], ROWS_FOR_LENGTHS, longest_of=columns))
    with files.publish(paths.data_dir(settings.task.name, "plain")) as folder:
        for name, frame in frames.items():
            if name == "train":
                some = _some(frame, _rows_to_train_on(settings), longest_of=columns)
            else:  # the longest row would widen the only batch, where it widens one of many
                some = _some(frame, rows_to_score(settings))
            write_split(folder, name, some)


def _rehearsed(settings: Params, frames: "Mapping[str, pd.DataFrame]") -> Answer:
    train = min(len(frames["train"]), _rows_to_train_on(settings))
    return {"rehearsed": [train, min(len(frames["selection"]), rows_to_score(settings))]}


def _rows_to_train_on(settings: Params) -> int:
    """As many as a rehearsal's batches hold, so that each is met once; at least those of a calibration."""
    from pipeline.ladder.cost import optimization_of

    names = ("teacher", *settings.rungs)
    return max(128, *(steps_to_take(settings, n) * optimization_of(settings, n).batch_size for n in names))


def _some(frame: "pd.DataFrame", number: int, *, longest_of: Sequence[str] = ()) -> "pd.DataFrame":
    """So many rows, evenly spread; with `longest_of`, the longest in these columns too, for its memory."""
    if len(frame) <= number:
        return frame
    spread = {position * len(frame) // number for position in range(number)}
    if longest_of:
        lengths = frame[list(longest_of)].apply(lambda texts: texts.str.len()).sum(axis=1)
        spread = {*sorted(spread)[1:], int(lengths.to_numpy().argmax())}
    return frame.iloc[sorted(spread)].reset_index(drop=True)


def _with_absolute_places(settings: Params) -> Params:
    """Folders of the person's, found from wherever a rehearsal runs."""

    def place(written: str | None) -> str | None:
        return None if written is None else str(Path(written).expanduser().absolute())

    model = settings.model
    changes: dict[str, Any] = {"data": settings.data.model_copy(update={"root": place(settings.data.root)})}
    if model.source == "path":
        changes["model"] = model.model_copy(update={"location": place(model.location)})
    return settings.model_copy(update=changes)


def _say(answer: Answer) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
