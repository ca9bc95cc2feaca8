"""What a person asked `bitladder compress` for, and params.yaml's values of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bitladder import files
from flows import repeat
from flows.compose import compose
from pipeline.data.own.reading import ENDINGS
from pipeline.params import NO_FILE, Files, KindName, Params
from pipeline.params_file import ParamsError, contradictions
from pipeline.rungs import TEACHER

METRICS: dict[KindName, list[str]] = {
    "classification": ["accuracy"],
    "multi_label": ["micro_f1", "macro_f1"],
    "regression": ["pearson", "spearman"],
    "reranking": ["average_precision", "mrr_at_10"],
    "token_classification": ["entity_f1"],
    "question_answering": ["exact_match", "f1"],
}
# The task's columns of each kind that wants two texts.
PAIRS: dict[KindName, list[str]] = {
    "question_answering": ["question", "context"],
    "reranking": ["query", "passage"],
}
LONGEST, LONGEST_CONTEXT = 128, 384  # tokens, unless a person asks for more
KNOWN_BASES = ("minilm", "bert-base")
BUCKET_BATCHES = 8
# Learning rates of the choice in conf/model whose features a token are as many, for a base in a folder.
_RATES = ((512, "bert-base"), (256, "minilm"), (0, "demo"))
_MOST_SELECTION, _MOST_VALIDATION = 2000, 5000  # rows that are drawn out of a large file
_SHARE_OF_SELECTION, _SHARE_OF_VALIDATION = 0.1, 0.2


class BaseError(ValueError):
    """There is no such pre-trained model."""

    exit_code = 2


@dataclass(frozen=True)
class Asked:
    """The command's own arguments, paths absolute.

    Attributes:
        file, validation, test: the files.
        text, text_pair, label, group: their columns. Of embeddings, text is that of `file` too where it is a
            table, and the others are columns of the files to judge by.
        base: minilm, bert-base or a folder.
        teacher: a fine-tuned model's folder, that is taken as it is.
        minutes: of one processor core.
        max_drop: points.
        longest: tokens that are read, at most.
        output: where the model is put.
        project: where everything else lies.
    """

    file: Path
    text: str | None
    label: str | None
    output: Path
    project: Path
    text_pair: str | None = None
    group: str | None = None
    validation: Path | None = None
    test: Path | None = None
    kind: KindName = "classification"
    base: str = "minilm"
    teacher: Path | None = None
    minutes: float = 20.0
    max_drop: float = 1.0
    longest: int | None = None

    @property
    def max_length(self) -> int:
        usual = LONGEST_CONTEXT if self.kind == "question_answering" else LONGEST
        return self.longest or usual

    @property
    def has_teacher(self) -> bool:
        """Whether none is fine-tuned: a sentence encoder is its own."""
        return self.teacher is not None or self.kind == "embeddings"

    @property
    def judging(self) -> dict[str, Path]:
        """The files beside the first, by split."""
        given = {"validation": self.validation, "test": self.test}
        return {split: path for split, path in given.items() if path is not None}

    @property
    def files(self) -> Files:
        columns = {"text": self.text, "text_pair": self.text_pair, "label": self.label, "group": self.group}
        given = {split: str(self.judging.get(split, NO_FILE)) for split in ("validation", "test")}
        return Files(train=str(self.file), **given, **columns)  # type: ignore[arg-type]


def choices(asked: Asked) -> dict[str, Any]:
    """params.yaml's values by what was chosen, as far as they do not depend on what is in the files."""
    task = "embeddings" if asked.kind == "embeddings" else "custom"
    chosen = (f"task={task}", f"model={_choice(asked)}", "ladder=short", "budget=quick")
    values = dict(YAML(typ="safe").load(compose(chosen, repeat.ROOT / "conf")))
    values["training"] = {**values["training"], "bucket_batches": BUCKET_BATCHES}
    values["budget"] = {**values["budget"], "name": "minutes"}
    if asked.teacher is None and asked.base not in KNOWN_BASES:
        place = {"location": asked.base, "watched": asked.base}
        values["model"] = {"name": Path(asked.base).name, "source": "path", **place}
    if asked.teacher is not None:
        place = {"location": str(asked.teacher), "watched": str(asked.teacher)}
        values["teacher"] = {**values["teacher"], "source": "path", **place}
    return _of_text(values, asked) if asked.kind == "embeddings" else _of_rows(values, asked)


def _of_text(values: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """The text to learn from; by what it is judged depends on what is in the files."""
    is_table = asked.file.suffix.lower() in ENDINGS
    columns = [asked.text] if is_table and asked.text else []
    return {**values, "data": {**values["data"], "corpus": [{"file": str(asked.file), "columns": columns}]}}


def _of_rows(values: dict[str, Any], asked: Asked) -> dict[str, Any]:
    columns = PAIRS.get(asked.kind, ["text", "text_pair"] if asked.text_pair else ["text"])
    own: dict[str, Any] = {"kind": asked.kind, "sentence_columns": columns, "metrics": METRICS[asked.kind]}
    if asked.kind == "question_answering":
        own["answering"] = answering(LONGEST_CONTEXT)
    splits = ["validation", "test"] if asked.test else ["validation"]
    data = {**values["data"], "files": asked.files.model_dump()}
    return {**values, "data": data, "task": {**values["task"], **own, "validation_splits": splits}}


def answering(max_length: int) -> dict[str, Any]:
    """How contexts are cut: as BERT did on SQuAD where so many tokens are read, in proportion where fewer."""
    shares = {"doc_stride": (128, 3), "max_question_length": (64, 6), "max_answer_length": (30, 8)}
    return {name: min(most, max_length // part) for name, (most, part) in shares.items()} | {
        "unanswerable": True
    }


def fill_in(
    values: dict[str, Any], *, label_names: list[str], num_rows: int, max_length: int
) -> dict[str, Any]:
    """The same with what the files say. `num_rows`: of the training file."""
    drawn = min(_SHARE_OF_VALIDATION, _MOST_VALIDATION / num_rows)
    held_out = min(_SHARE_OF_SELECTION, _MOST_SELECTION / num_rows)
    own = {"label_names": label_names, "max_length": max_length, "selection_fraction": round(held_out, 6)}
    files = {**values["data"]["files"], "validation_fraction": round(drawn, 6)}
    data = {**values["data"], "files": files}
    return {**values, "task": {**values["task"], **own}, "data": data}


def lengthen(values: dict[str, Any], steps: Mapping[str, int], gradients: str) -> dict[str, Any]:
    """The same with so many steps of each model."""
    rungs = {
        name: {**rung, "duration": {"steps": steps[name]}}
        for name, rung in values["weights_activations"].items()
    }
    budget = (
        {**values["budget"], "teacher": {"steps": steps[TEACHER]}} if TEACHER in steps else values["budget"]
    )
    training = {**values["training"], "gradients": gradients}
    return {**values, "weights_activations": rungs, "budget": budget, "training": training}


def params_of(values: Mapping[str, Any]) -> Params:
    """Checked. Raises ParamsError."""
    params = Params.model_validate(values)
    if problems := [str(problem) for problem in contradictions(params)]:
        raise ParamsError(problems)
    return params


def _choice(asked: Asked) -> str:
    if asked.teacher is not None:
        return "own"
    if asked.base in KNOWN_BASES:
        return asked.base
    try:
        size = int(files.read_json(Path(asked.base) / "config.json")["hidden_size"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BaseError(
            f"--base: {asked.base} is neither {' nor '.join(KNOWN_BASES)} nor a folder with a BERT's "
            f"config.json ({type(error).__name__})"
        ) from None
    return next(choice for least, choice in _RATES if size >= least)
