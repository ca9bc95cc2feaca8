"""Which trained rungs are no longer as long as another one that they follow (`duration.equal_to`).

DVC trains a rung again when its own settings change, and knows nothing of those of a rung that it follows.
"""

from bitladder import files
from pipeline import paths, record
from pipeline.params import Params
from pipeline.rungs import ancestry


class OutdatedError(RuntimeError):
    """A rung was trained for more or fewer steps than params.yaml asks for now."""

    exit_code = 2


def outdated(params: Params) -> dict[str, str]:
    """Why each such rung is to be trained again, by its stage (`weights@w1_direct`)."""
    ways = (ancestry(params.rungs, name)[:-1] for name in params.deliver)
    found = {}
    for name in dict.fromkeys(one for way in ways for one in way):
        rung = params.rungs[name]
        followed = rung.duration and rung.duration.equal_to
        if not followed or not (paths.model_dir(name) / files.MANIFEST).is_file():
            continue
        own = record.read(paths.model_dir(name))
        rows, batch_size = own.settings.get("rows", 0), own.settings["batch_size"]
        steps = params.duration_of(rung).count_steps(num_rows=rows, batch_size=batch_size)
        if steps != own.steps:
            found[f"{rung.stage}@{name}"] = (
                f"{name} was trained for {own.steps} steps; to be as long as {followed} it needs {steps}"
            )
    return found


def require_lengths(params: Params) -> None:
    """Raises OutdatedError with every such rung and the command that trains them again."""
    if reasons := outdated(params):
        raise OutdatedError(
            f"{'; '.join(reasons.values())}: `bitladder run` trains again what follows another rung's "
            f"length, or `dvc repro --single-item --force {' '.join(reasons)}` and then `dvc repro`"
        )
