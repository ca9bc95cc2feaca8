"""A project in the working directory, as the stages before `pack` leave it: data and a ladder of tiny
random models."""

from pathlib import Path

import pandas as pd
from made_up import params
from tiny_rung import NOUNS, VERBS, save_rung

from bitladder import files
from bitladder.quantizers.precision import Precision
from pipeline import paths, record
from pipeline.data.tables import write_split
from pipeline.params import Params
from pipeline.record import Part, Record
from pipeline.rungs import Rung

STEPS = 40


def make(task: str = "demo", **sizes: int) -> Params:
    """The default ladder of BERTs of these sizes, on 48 rows of each split; returns its parameters."""
    found = params(Path(), f"task={task}", *([] if task == "demo" else ["model=minilm"]))
    write_data(found)
    sizes = {"max_position_embeddings": found.task.max_length, **sizes}
    train("teacher", None, found, **sizes)
    for name, rung in found.rungs.items():
        train(name, rung, found, **sizes)
    return found


def write_data(found: Params) -> None:
    """Rows of every split; two of three have the label 1."""
    task = found.task
    number = range(48)
    texts = [f"The {NOUNS[n % 4]} {VERBS[n // 4 % 4]} the {NOUNS[n // 16]}." for n in number]
    labels = [n % 5 / 2 if task.kind == "regression" else int(n % 3 > 0) for n in number]
    columns = dict.fromkeys(task.sentence_columns, texts)
    frame = pd.DataFrame({**columns, "label": labels, "idx": number})
    with files.publish(paths.data_dir(task.name, "plain")) as folder:
        for split in ("train", "selection", *task.validation_splits):
            write_split(folder, split, frame)
        numbers = {"rows": 48, "labels": {"no": 16, "yes": 32}, "duplicates": 0, "rows_also_in_train": 48}
        splits = dict.fromkeys(("selection", *task.validation_splits), numbers)
        splits["train"] = {**numbers, "rows_also_in_train": None}
        files.write_json(folder / "summary.json", {"task": task.name, "source": "demo", "splits": splits})


def train(name: str, rung: Rung | None, found: Params, **sizes: int) -> None:
    """Publish models/<name>/ with random weights and the record that training would have written."""
    precision = None
    if rung is not None:
        precision = rung.precision
    parent = "pretrained" if rung is None else rung.init_from
    with files.publish(paths.model_dir(name)) as folder:
        save_rung(folder, precision, seed=sum(map(ord, name)), num_labels=found.task.num_labels, **sizes)
        (folder / "curve.csv").write_text(f"step,loss,score\n20,0.9,\n{STEPS},0.5,0.8\n")
        record.write(folder, _record(name, parent, precision or Precision(), folder, found))


def _record(name: str, parent: str, precision: Precision, folder: Path, found: Params) -> Record:
    is_random = name.endswith("_random")
    drawn = Part("encoder", "drawn", distribution="normal(0, 0.02)", seed=0)
    copied = Part("encoder", "copied", digest="0" * 64)
    return Record(
        name=name,
        stage="teacher"
        if name == "teacher"
        else "weights"
        if name in found.weights
        else "weights_activations",
        task=found.task.name,
        digest=files.sha256(folder / "model.safetensors"),
        parent=parent,
        parent_digest="0" * 64,
        precision=precision,
        init=[drawn if is_random else copied],
        data={"kind": "plain", "train": "1" * 64},
        steps=_num_steps(name, found),
        best_step=STEPS,
        selected_on="selection",
        settings={"learning_rate": 3e-4, "batch_size": 32},
    )


def _num_steps(name: str, found: Params) -> int:
    """Of a rung that follows another one's length, those that it has to have."""
    rung = found.rungs.get(name)
    follows = rung is not None and rung.duration is not None and rung.duration.equal_to is not None
    return found.duration_of(rung).steps or STEPS if follows else STEPS
