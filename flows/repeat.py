"""Stage `repeat@SEED`: the whole ladder once more from another seed, for the spread that one cannot have.

    .bitladder/seeds/<seed>/     a project of its own: params.yaml with that seed, models/, packed/, metrics/
    metrics/seeds/<seed>.json    what DVC keeps of it: its models, in the shape that results.json has them

Teacher, rungs, packed files and scores are made there by the stages that dvc.yaml names, each in a process of
its own, so that all that holds for a stage holds here: locks, several processes, going on after a stop.
Nobody is shown its curves and nothing of it is registered. A model is kept while all that dvc.yaml says it is
made from is as it was: a changed rung is trained again with its descendants, and no other.

Data, pre-trained model and general rungs are those of the graph: the rows drawn, held out and augmented stay
the same, and what differs between two seeds is the task's training alone. So students of different seeds are
compared on equal terms, and the spread says nothing of what another draw of rows would do.
"""

import io
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bitladder import files
from flows import environment, graph, processes
from flows.graph import Definition
from pipeline import paths
from pipeline.evaluation import results
from pipeline.params import Data, Params, Task, Watched
from pipeline.problems.reading import read_mapping
from pipeline.rungs import PRETRAINED, TEACHER, Duration

STAGE = "repeat"
MODELS = ("teacher", "weights", "weights_activations", "pack")
SCORES = "evaluate"
ROOT = Path(__file__).parents[1]
OWN = (paths.DATA, paths.MODELS, paths.PACKED)
FINISHED = paths.WORK / "finished"


def run(settings: Params, seed: str | None) -> None:
    """Bring the ladder of one seed up to date and publish its results.

    Raises:
        ValueError: the seed is not among `seeds`.
        EndedError: a stage failed and has said why; what was finished before it is kept.
    """
    number = _seed(settings, seed)
    if number == settings.seed:  # its models are the graph's own, which evaluate scores itself
        own = {"seed": number, "models": {}, "see": str(paths.RESULTS)}
        files.write_json(paths.seed_results(number), own)
        return
    folder = paths.seed_dir(number)
    settle(folder, settings, number)
    definitions = graph.definitions()
    # Other rungs may decide how long one trains.
    lengths = {f"{one.stage}@{name}": settings.duration_of(one) for name, one in settings.rungs.items()}
    for stage in chain(definitions):
        key = key_of(definitions[stage], folder, length=lengths.get(stage))
        if is_finished(folder, stage, definitions[stage], key):
            _say(number, f"{stage} is up to date")
        else:
            _say(number, stage)
            for output in definitions[stage].outputs:
                shutil.rmtree(folder / output, ignore_errors=True)
            # What the outputs that appear next are made from. They appear whole, so this is noted before.
            files.write_json(folder / FINISHED / f"{stage}.json", {"key": key})
            work(folder, stage)
    _say(number, SCORES)
    work(folder, SCORES)  # minutes beside the hours of the others: done whatever has changed
    results.write(paths.seed_results(number), results.of_seed(results.read(folder / paths.RESULTS), number))


def settle(folder: Path, settings: Params, seed: int) -> None:
    """Make `folder` a project whose ladder is that of `settings` from another seed."""
    values = in_place({**read_mapping(paths.PARAMS), "seed": seed, "seeds": [seed]})
    files.write_text(folder / paths.PARAMS, as_text(values))
    for shared in (paths.DATA, *map(paths.model_dir, (PRETRAINED, *settings.general))):
        link(folder / shared, shared)
    kept = {paths.MODELS: (PRETRAINED, TEACHER, *settings.rungs), paths.PACKED: settings.deliver}
    for place, names in kept.items():
        for left in (folder / place).glob("[!.]*"):
            if left.name not in names:  # a rung that is no longer there
                shutil.rmtree(left)


def chain(definitions: Mapping[str, Definition]) -> list[str]:
    """The stages that make the models, each after those it needs."""
    return [name for name in definitions if name.partition("@")[0] in MODELS]


def key_of(definition: Definition, folder: Path, *, length: Duration | None = None) -> str:
    """Digest of everything that dvc.yaml says a stage is made from, as it is for the seed of `folder`.

    Args:
        length: how long the stage trains, where settings of other rungs decide that.
    """
    values = read_mapping(folder / paths.PARAMS)
    return files.digest(
        {
            "params": {name: value_of(values, name) for name in definition.params},
            "inputs": {path: content_of(_place(path, folder)) for path in definition.inputs},
            "length": length and length.model_dump(),
        }
    )


def is_finished(folder: Path, stage: str, definition: Definition, key: str) -> bool:
    """Whether the stage's outputs are whole and were made from what `key` is the digest of."""
    note = folder / FINISHED / f"{stage}.json"
    if not note.is_file() or files.read_json(note)["key"] != key:
        return False
    try:
        for output in definition.outputs:
            files.verify(folder / output)
    except files.IntegrityError:
        return False
    return True


def work(folder: Path, stage: str) -> None:
    """Run a stage in the seed's folder. Whatever ends this function ends the stage."""
    name, _, rung = stage.partition("@")
    command = [sys.executable, "-m", "flows.stage", name, *([rung] if rung else [])]
    exit_code = processes.attend(command, environment=variables(), folder=folder)
    if exit_code != 0:
        code = exit_code if exit_code > 0 else 128 - exit_code
        raise processes.EndedError(f"{stage} ended with exit code {code} in {folder}", code)


def variables() -> dict[str, str]:
    """Those of this process, less who watches: the work is not the graph's own."""
    inherited = {name: value for name, value in os.environ.items() if name not in environment.WATCHERS}
    found = (str(ROOT), inherited.get("PYTHONPATH", ""))
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, found)), "PYTHONUNBUFFERED": "1"}


def in_place(values: Mapping[str, Any]) -> dict[str, Any]:
    """params.yaml's values for another folder: those that they name stay where they are."""
    found = dict(values)
    for section, key in (("data", "root"), ("model", "location"), ("teacher", "location")):
        if found.get(section, {}).get("source") == "path":
            place = str(Path(found[section][key]).expanduser().absolute())
            watched = {"watched": place} if "watched" in found[section] else {}
            found[section] = {**found[section], key: place, **watched}
    if "watched" in found:  # files are looked for from data.root on
        data, task = Data.model_validate(found["data"]), Task.model_validate(found["task"])
        found["watched"] = Watched.wanted(data, task).model_dump()
    return found


def as_text(values: Mapping[str, Any]) -> str:
    """YAML."""
    from ruamel.yaml import YAML

    text, writer = io.StringIO(), YAML()
    writer.width = 120
    writer.dump(dict(values), text)
    return text.getvalue()


def link(place: Path, target: Path) -> None:
    """Make `place` lead to `target`, whatever it led to before."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(os.path.relpath(target, place.parent))


def _place(path: str, folder: Path) -> Path:
    """Models and data of the seed, code of the project."""
    return folder / path if any(Path(path).is_relative_to(own) for own in OWN) else Path(path)


def content_of(path: Path) -> Any:
    """A digest that changes with the content; of a published folder, its manifest's."""
    if path.is_file():
        return files.sha256(path)
    manifest = path / files.MANIFEST
    return files.sha256(manifest) if manifest.is_file() else files.code([path.name], path.parent)


def value_of(values: Any, dotted: str) -> Any:
    """What stands in params.yaml under a dotted name; None where nothing does."""
    for key in dotted.split("."):
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _seed(settings: Params, text: str | None) -> int:
    known = {str(seed): seed for seed in settings.seeds}
    if text not in known:
        raise ValueError(f"seeds: {text!r} is none of them; known: {', '.join(known)}")
    return known[text]


def _say(seed: int, text: str) -> None:
    sys.stdout.write(f"{STAGE}@{seed}: {text}\n")
    sys.stdout.flush()
