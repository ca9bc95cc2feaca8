"""`bitladder compress`: check a file, make the ladder of it, deliver the smallest model that is good enough.

The file is checked before anything else. What is made lies in a project of its own, so the same command given
again goes on where it was stopped: DVC knows what is done, and the steps that the minutes came to are kept.
"""

import contextlib
import logging
import os
import shlex
import signal
import sys
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from bitladder import files
from flows import environment, graph, processes
from flows.compress import asked as own
from flows.compress import budget, choosing, lengths, project
from flows.compress.asked import Asked
from flows.compress.budget import Pace
from flows.compress.lengths import Lengths
from flows.compress.shown import Shown
from flows.walk import Outcome, Walk
from pipeline import kinds, params_file, paths
from pipeline.data import tokenizer_files
from pipeline.data.own import labels, loading
from pipeline.data.own.loading import Loaded
from pipeline.data.own.reading import OwnDataError, Rows
from pipeline.data.own.splitting import hold_out_groups_by_class
from pipeline.evaluation import results
from pipeline.kinds.checks import DataError
from pipeline.ladder import lengths as outdated
from pipeline.ladder.sizes import Shape, shape_of
from pipeline.params import Data, Model, Params, Task, Teacher
from pipeline.problems import model_folder
from pipeline.problems.own_files import files_problems
from pipeline.progress import duration, say
from pipeline.reporting import table
from pipeline.rungs import TEACHER
from pipeline.stages.pretrained import locate, locate_teacher
from pipeline.training import live

_LAST_LINES = 15
GRADIENTS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Work:
    """What is to be made.

    Attributes:
        values: of params.yaml, but for steps.
        base: the folder of the pre-trained model.
        rows: of train, selection and validation.
    """

    values: dict[str, Any]
    base: Path
    lengths: Lengths
    rows: dict[str, int]


def main(asked: Asked) -> int:
    """Do all of it; 0 when a model was good enough and is in place, 1 when none was.

    Raises:
        OwnDataError: the files are wrong; nothing has been started. The same holds for FolderError,
            BaseError, ParamsError and TooShortError.
        EndedError: a stage failed, and has said why.
        BusyError: the same command runs in another process.
    """
    environment.require_folder(asked.project)
    project.require_apart(asked.output, asked.project)
    project.require_output(asked.output)
    project.require_usable(asked.project)
    work = _check(asked)
    project.settle(asked.project)
    with contextlib.chdir(asked.project), processes.sole_writer(paths.WORK / "locks" / "compress.lock"):
        environment.prepare()
        _quiet_dvc()
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        try:
            _make(asked, work)
            return _tell(asked)
        except (KeyboardInterrupt, SystemExit) as stop:
            sys.stderr.write("compress: stopped; the same command goes on from here\n")
            return int(stop.code or 0) if isinstance(stop, SystemExit) else 130


def _check(asked: Asked) -> Work:
    """Everything that can be wrong with what was asked, before any work."""
    values = own.choices(asked)
    task, data = Task.model_validate(values["task"]), Data.model_validate(values["data"])
    if problems := [str(problem) for problem in files_problems(data, task)]:
        raise params_file.ParamsError(problems, "bitladder compress")
    found = loading.read(asked.files)
    base = _base(values)
    names = _label_names(asked, found, base)
    values = own.fill_in(
        values, label_names=names, num_rows=max(1, len(found["train"])), max_length=asked.max_length
    )
    if asked.kind in ("regression", "reranking"):
        values["task"]["range"] = labels.range_of(found, asked.label)
    task = Task.model_validate(values["task"])
    loaded = loading.made(found, task, asked.files, values["seed"])
    _require_selection(asked, loaded, task, values["seed"])
    at_most = min(asked.max_length, _shape(values, base).max_position_embeddings)
    told = _lengths(list(loaded.frames.values()), task.sentence_columns, base, at_most)
    values["task"]["max_length"] = at_most if task.answering else told.most
    if task.answering:
        values["task"]["answering"] = own.answering(at_most)
    own.params_of(values)
    _say_what_was_found(asked, loaded, names, task, told)
    return Work(values, base, told, _rows(loaded, values))


def _require_selection(asked: Asked, loaded: Loaded, task: Task, seed: int) -> None:
    """Raises OwnDataError unless rows can be held out to choose checkpoints on, as `prepare` will."""
    how = {"stratify": kinds.of(task).stratified, "keep": 1, "setting": asked.file.name}
    try:
        hold_out_groups_by_class(loaded.frames["train"], fraction=task.selection_fraction, seed=seed, **how)  # type: ignore[arg-type]
    except DataError as error:
        raise OwnDataError([f"{one}, to choose checkpoints on" for one in error.problems]) from None


def _quiet_dvc() -> None:
    """It warns of locks that a killed start has left."""
    import dvc  # noqa: F401 - which sets its own level

    logging.getLogger("dvc").setLevel(logging.ERROR)


def _base(values: dict[str, Any]) -> Path:
    """The folder of the model that everything starts from."""
    teacher = Teacher.model_validate(values["teacher"])
    return locate_teacher(teacher) if teacher.is_given else locate(Model.model_validate(values["model"]))


def _label_names(asked: Asked, found: Mapping[str, Rows], base: Path) -> list[str]:
    """Those of the files; a given teacher's, where the files have numbers or some of its names alone."""
    names = loading.label_names(found, asked.files, asked.kind)
    if asked.teacher is None or not names:
        return names
    given = model_folder.label_names(model_folder.read_config(base))
    places = {str(number) for number in range(len(given))}
    return given if {*names} <= places or {*names} < {*given} else names


def _lengths(frames: list[pd.DataFrame], columns: list[str], base: Path, at_most: int) -> Lengths:
    with TemporaryDirectory() as folder:
        config = model_folder.read_config(base)
        tokenizer_files.take(
            base,
            Path(folder),
            segments=int(config["type_vocab_size"]),
            max_length=int(config["max_position_embeddings"]),
        )
        return lengths.measure(frames, columns, Path(folder), at_most=at_most)


def _say_what_was_found(asked: Asked, loaded: Loaded, names: list[str], task: Task, told: Lengths) -> None:
    rows = ", ".join(f"{count} rows of {split}" for split, count in loaded.rows_read.items())
    if asked.validation is None:
        train, drawn = loaded.rows_read["train"], loaded.rows_read["validation"]
        rows = f"{train} rows, {drawn} of them drawn for validation"
    classes = f", {len(names)} labels ({labels.few(names)})" if names else ""
    if between := task.range:
        classes = f", labels from {between[0]:g} to {between[1]:g}"
    say(f"compress: {asked.file.name}: {rows}{classes}")
    for note in loaded.notes:
        say(f"compress: {note}")
    longer = "read in windows of as many" if asked.kind == "question_answering" else "cut (--max-length)"
    cut = f"{told.num_cut} of them are longer and {longer}" if told.num_cut else "none is longer"
    say(f"compress: texts of up to {told.most} tokens are read, {cut}")


def _rows(loaded: Loaded, values: dict[str, Any]) -> dict[str, int]:
    train, validation = len(loaded.frames["train"]), len(loaded.frames["validation"])
    held_out = round(train * values["task"]["selection_fraction"])
    return {"train": train - held_out, "selection": held_out, "validation": validation}


def _shape(values: dict[str, Any], base: Path) -> Shape:
    """Of the base, wherever it comes from."""
    found = Model(name="base", source="path", location=str(base))
    shape = shape_of(Params.model_validate(values).model_copy(update={"model": found}))
    if shape is None:
        raise own.BaseError(f"--base: {base / 'config.json'} does not say how large a BERT it is")
    return shape


def _make(asked: Asked, work: Work) -> None:
    """Bring the whole graph up to date. Raises EndedError."""
    steps, pace, gradients = _steps(asked, work)
    project.write_params(own.lengthen(work.values, steps, gradients))
    params = params_file.load(paths.PARAMS)
    environment.stay_offline_unless(params)
    os.environ["BITLADDER_FRESH"] = "1"  # what another file or budget has begun is set aside
    os.environ[live.SPOOL] = str((live.HOME / params.task.name).absolute())
    stages = graph.stages()
    shown = Shown(_expected(params, stages, steps, pace), steps, Path(os.environ[live.SPOOL]))
    try:
        _walk(stages, params, shown)
    finally:
        shown.close()


def _steps(asked: Asked, work: Work) -> tuple[dict[str, int], Pace, str]:
    """What the minutes come to: as noted by an earlier start, where it was asked for the same."""
    task = work.values["task"]
    same = {
        "minutes": asked.minutes,
        "base": asked.base,
        "teacher": str(asked.teacher) if asked.teacher else None,
        "kind": asked.kind,
        "max_length": task["max_length"],
        "rungs": list(work.values["weights_activations"]),
    }
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        noted = files.read_json(project.ASKED)
        if noted["asked"] == same:
            return noted["steps"], Pace(**noted["pace"]), noted["gradients"]
    pace, gradients = _measure(work)
    params = own.params_of(work.values)
    steps = budget.steps(params, pace, asked.minutes, work.rows, given_teacher=asked.teacher is not None)
    note = {"asked": same, "steps": steps, "gradients": gradients}
    files.write_json(project.ASKED, {**note, "pace": {"seconds": pace.seconds, "start": pace.start}})
    _say_what_is_planned(params, work, steps, pace)
    return steps, pace, gradients


def _measure(work: Work) -> tuple[Pace, str]:
    """Time steps on rows as long as the files' are in a batch, with the gradients that are faster here."""
    say("compress: times a few training steps")
    params = own.params_of(work.values)
    padded = work.lengths.padded(params.training.rung.batch_size, params.training.bucket_batches)
    params = params.model_copy(update={"task": params.task.model_copy(update={"max_length": padded})})
    shape = _shape(work.values, work.base)
    paces = {name: budget.measure(_with(params, name), shape, [params.deliver[-1]]) for name in GRADIENTS}
    best = min(paces, key=lambda name: sum(paces[name].seconds.values()))
    return replace(budget.measure(_with(params, best), shape), start=paces[GRADIENTS[0]].start), best


def _with(params: Params, gradients: str) -> Params:
    training = params.training.model_copy(update={"gradients": gradients})
    return params.model_copy(update={"training": training})


def _say_what_is_planned(params: Params, work: Work, steps: dict[str, int], pace: Pace) -> None:
    in_all = sum(count * pace.seconds[name] for name, count in steps.items())
    in_all += budget.beside(params, pace, work.rows)
    told = ", ".join(f"{name} {count}" for name, count in steps.items())
    say(f"compress: steps: {told}; about {duration(in_all)} of one core")
    if TEACHER in steps:
        epochs = steps[TEACHER] * params.training.teacher.batch_size / work.rows["train"]
        if epochs < 1:
            say(f"compress: the teacher sees {epochs:.0%} of the rows; with more --minutes it would see all")


def _expected(params: Params, stages: graph.Graph, steps: dict[str, int], pace: Pace) -> dict[str, float]:
    """Seconds of each stage, for the bar."""
    trained = {f"{params.rungs[name].stage}@{name}" if name in params.rungs else name: name for name in steps}
    return {
        stage: pace.start
        + (steps[trained[stage]] * pace.seconds[trained[stage]] if stage in trained else 0.0)
        for stage in stages
    }


def _walk(stages: graph.Graph, params: Params, shown: Shown) -> None:
    """Run every stage that has to; what they say is logged. Raises EndedError with a failed one's words."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with project.LOG.open("a", encoding="utf-8") as log, ThreadPoolExecutor(1) as pool:

        def tell(line: str) -> None:
            log.write(f"{line}\n")
            log.flush()
            last.append(line)

        def do(stage: str) -> Outcome:
            outcome = walk.do(stage)
            if outcome.how != "failed":
                shown.ended(stage, ran=outcome.how == "ran")
            return outcome

        walk = Walk(stages, 1, graph.changed(), forced={*outdated.outdated(params)}, tell=tell)
        walk.go(lambda stage, _: pool.submit(do, stage))
    if walk.exit_code():
        raise processes.EndedError("\n".join([*last, f"compress: {walk.summary()}"]), walk.exit_code())


def _tell(asked: Asked) -> int:
    """Print the results, deliver the model; 1 when none is good enough."""
    table.main(as_json=False)
    found = results.read()
    chosen = choosing.choose(found, asked.max_drop)
    say("")
    for sentence in choosing.sentences(found, chosen, asked.max_drop):
        say(sentence)
    packed = paths.packed_dir(chosen.name)
    if not chosen.is_close:
        say(f"It is in {packed.absolute()}; {asked.output} is left as it was.")
        return 1
    project.deliver(packed, asked.output)
    say(f"It is in {asked.output}: bitladder predict {shlex.quote(str(asked.output))} 'a text'")
    return 0
