"""A person's model folder, as params.yaml names it: which one it is, and what in it does not fit.

Read are config.json and the header of model.safetensors, in milliseconds and without torch: parts that do not
fit each other, and a head that does not fit the task, are refused before anything is trained.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from bitladder import files, heads
from bitladder.heads import Head
from bitladder.modeling import architectures
from bitladder.modeling.architectures import ArchitectureError
from bitladder.packed import schema
from bitladder.packed.format import PackedConfig
from bitladder.packed.tensors import FormatError, read_contents
from bitladder.quantizers.precision import Precision
from pipeline.params import Task
from pipeline.problems.problem import from_here, listed

Values = Mapping[str, Any]
_SHOWN = 3  # tensors or folders of a long list
_NO_NAMES = re.compile(r"LABEL_\d+")  # transformers', where nobody gave names
_WITHOUT_HEAD = ("Model", "ForPreTraining", "ForMaskedLM")


class ModelFolderError(ValueError):
    """A model folder that cannot be used; `str()` says where, what is wrong and what would be right."""

    exit_code = 2


def find(root: Path, *, field: str) -> Path:
    """The folder that holds the model: `root` itself, or the only one below it.

    Raises:
        ModelFolderError: there is none, or there are several, as a Trainer's checkpoints; it lists them.
    """
    if is_model(root):
        return root
    if not root.is_dir():
        raise ModelFolderError(f"{field}: {root} is not a folder{from_here(root)}")
    found = [config.parent for config in root.rglob(files.CONFIG) if is_model(config.parent)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelFolderError(f"{field}: {_nothing_in(root)}")
    names = sorted((str(folder.relative_to(root)) for folder in found), key=_by_number)
    raise ModelFolderError(f"{field}: {root} holds {len(found)} models, {listed(names)}; name one of them")


def is_model(folder: Path) -> bool:
    return (folder / files.CONFIG).is_file() and (folder / files.WEIGHTS).is_file()


def problems(folder: Path, task: Task | None, *, field: str) -> Iterator[str]:
    """What in a model's folder does not fit: its parts each other, or, with a task, its head and size that.

    One sentence each, which begins with the field of params.yaml that is to be changed.
    """
    try:
        values = read_config(folder)
        own, shapes = _whole(values), _shapes(folder)
    except (ArchitectureError, FormatError) as error:
        yield f"{field}: {folder}: {error}"
        return
    except (KeyError, TypeError, ValueError) as error:
        what = f"cannot be read as a model's: {type(error).__name__}: {error}"
        yield f"{field}: {folder / files.CONFIG}: {what}"
        return
    if (act := values.get("hidden_act", "gelu")) not in (
        known := get_args(PackedConfig.model_fields["hidden_act"].annotation)
    ):
        yield f"{field}: {folder}: hidden_act {act!r} cannot be taken; {listed(known)} can"
    yield from (f"{field}: {folder}: {one}" for one in _parts(own, shapes, with_head=task is not None))
    if task is not None:
        yield from _of_task(values, task, folder, field)


def pooling_problems(folder: Path, *, field: str) -> Iterator[str]:
    """Where sentence-transformers says how a folder's model makes vectors: whether it is by their mean."""
    path = folder / "1_Pooling" / files.CONFIG
    if not path.is_file():
        return
    values = json.loads(path.read_text(encoding="utf-8"))
    named = str(values.get("pooling_mode") or "mean")
    modes = [key for key, value in values.items() if key.startswith("pooling_mode_") and value is True]
    wrong = [mode for mode in (named, *modes) if mode not in ("mean", "pooling_mode_mean_tokens")]
    if wrong:
        yield f"{field}: {path} has {listed(wrong)}; only the mean of the tokens is made here"


def read_config(folder: Path) -> dict[str, Any]:
    """config.json in a BERT's words. Raises ArchitectureError, ValueError."""
    values = json.loads((folder / files.CONFIG).read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{files.CONFIG} holds no mapping")
    return {**architectures.DEFAULTS, **architectures.bert_config(values)}


def label_names(values: Values) -> list[str]:
    """Of the head's outputs, in their order; transformers has two where config.json says nothing."""
    named = values.get("id2label")
    if not named:
        return [f"LABEL_{number}" for number in range(int(values.get("num_labels") or 2))]
    return [str(named[key]) for key in sorted(named, key=int)]


def label_order(given: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Of each wanted label, the number of the output that has its name; None where names do not match.

    Capitals count for nothing. Names like LABEL_0 say nothing, and outputs stay in their order.
    """
    if len(given) != len(wanted):
        return None
    if say_nothing(given) or list(given) == list(wanted):
        return list(range(len(given)))
    places = {name.casefold().strip(): number for number, name in enumerate(given)}
    order = [places.get(name.casefold().strip()) for name in wanted]
    if len(places) < len(given) or None in order or len(set(order)) < len(order):
        return None
    return [number for number in order if number is not None]


def say_nothing(given: Sequence[str]) -> bool:
    """Whether labels have transformers' names, which it gives where nobody gave any."""
    return all(_NO_NAMES.fullmatch(name) for name in given)


def head_of(task: Task) -> Head:
    """The head that a task's model has."""
    others = {
        "question_answering": heads.SPAN,
        "token_classification": heads.TOKENS,
        "embeddings": heads.VECTOR,
    }
    return others.get(task.kind, heads.SEQUENCE)


def _nothing_in(root: Path) -> str:
    if (root / files.CONFIG).is_file():
        others = sorted(path.name for path in (*root.glob("*.bin"), *root.glob("*.safetensors*")))
        remedy = f"{others[0]} is there; " if others else ""
        return (
            f"{root} has no {files.WEIGHTS}; {remedy}save the model whole, with "
            f"model.save_pretrained(DIR, max_shard_size='100GB')"
        )
    return f"no {files.CONFIG} beside a {files.WEIGHTS} in {root}"


def _by_number(name: str) -> list[object]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def _whole(values: Values) -> PackedConfig:
    """The model in full precision, as far as its tensors go by it."""
    sizes: dict[str, Any] = {key: int(values[key]) for key in architectures.DEFAULTS}
    return PackedConfig.model_construct(
        **sizes,
        precision=Precision(),
        architectures=[heads.of(values.get("architectures")).architecture],
        hidden_act="gelu",
        id2label=dict.fromkeys(map(str, range(len(label_names(values)))), ""),
        width=None,
    )


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Of the tensors, under a BERT's names."""
    contents = read_contents(folder / files.WEIGHTS)
    values = json.loads((folder / files.CONFIG).read_text(encoding="utf-8"))
    return architectures.bert_shapes({name: one.shape for name, one in contents.entries.items()}, values)


def _parts(own: PackedConfig, shapes: Mapping[str, tuple[int, ...]], *, with_head: bool) -> Iterator[str]:
    """Tensors that config.json promises and that are not there, or of another shape; and others."""
    stored = schema.tensors(own)  # which calls a bias after its codes, and here there are none
    wanted = {name.replace(".weight.bias", ".bias"): one.entry.shape for name, one in stored.items()}
    if not with_head:  # of what is only pre-trained neither is read, or one of them is drawn
        beside = (f"{own.head.layer}.", f"{schema.POOLER}.")
        wanted = {name: shape for name, shape in wanted.items() if not name.startswith(beside)}
    if missing := [name for name in wanted if name not in shapes]:
        yield f"{files.WEIGHTS} lacks {_some(missing)}, which {files.CONFIG} makes part of the model"
    for name in [name for name in wanted if shapes.get(name, wanted[name]) != wanted[name]][:_SHOWN]:
        yield f"{name} is {list(shapes[name])}; by {files.CONFIG} it would be {list(wanted[name])}"
    extra = [name for name in shapes if name not in wanted and name.startswith("bert.encoder.")]
    if extra:
        yield f"{files.WEIGHTS} has {_some(extra)}, of which {files.CONFIG} does not know"


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{listed(names[:_SHOWN])}{rest}"


def _of_task(values: Values, task: Task, folder: Path, field: str) -> Iterator[str]:
    """What in a fine-tuned model does not fit the task."""
    named = (values.get("architectures") or [""])[0]
    head, wanted = heads.of(values.get("architectures")), head_of(task)
    if not named or named.endswith(_WITHOUT_HEAD) or named not in [one.architecture for one in heads.HEADS]:
        what = f"is a {named}" if named else "names no class in its architectures"
        yield (
            f"{field}: {folder} {what}, which has no head for task.kind: {task.kind}; a fine-tuned "
            f"{wanted.architecture} is needed"
        )
    elif head != wanted:
        yield f"{field}: {folder} is a {named}; task.kind: {task.kind} needs a {wanted.architecture}"
    else:
        yield from _labels(values, task, folder)
    if (room := int(values["max_position_embeddings"])) < task.max_length:
        yield f"task.max_length: {task.max_length} tokens; the model in {folder} has room for {room}"


def _labels(values: Values, task: Task, folder: Path) -> Iterator[str]:
    given, problem = label_names(values), values.get("problem_type")
    kinds = {"regression": "regression", "multi_label_classification": "multi_label"}
    if problem in kinds and task.kind not in (kinds[problem], "reranking"):
        yield f"task.kind: {task.kind}, but {folder} was trained for {problem}; write {kinds[problem]}"
    elif problem == "single_label_classification" and task.kind in ("multi_label", "regression"):
        yield f"task.kind: {task.kind}, but {folder} was trained for {problem}; write classification"
    if len(given) != task.num_labels:
        yield (
            f"task.label_names: {task.num_labels} outputs ({listed(task.label_names) or task.kind}); "
            f"the model in {folder} has {len(given)}: {listed(given[:20])}"
        )
    elif task.label_names and label_order(given, task.label_names) is None:
        yield (
            f"task.label_names: [{listed(task.label_names)}]; the model in {folder} has [{listed(given)}]; "
            "write its names, in the order of the labels' numbers in your data"
        )
