"""Which trained rungs are no longer as long as another one that they follow (`duration.equal_to`).

DVC trains a rung again when its own settings change, and knows nothing of those of a rung that it follows.
"""

from contextlib import suppress

from pipeline import paths, record
from pipeline.params import Params
from pipeline.record import OtherFormatError
from pipeline.rungs import ancestry


class OutdatedError(RuntimeError):
    """A rung was trained for more or fewer steps than params.yaml asks for now."""

    exit_code = 2


def outdated(params: Params) -> dict[str, str]:
    """Why each such rung is to be trained again, by its stage (`weights@w1_direct`)."""
    needed = {name for one in params.deliver for name in ancestry(params.rungs, one)}
    found = {}
    for name, rung in params.rungs.items():
        other = rung.duration and rung.duration.equal_to
        if name not in needed or not other:
            continue
        with suppress(FileNotFoundError, OtherFormatError):  # DVC itself trains what is not there or older
            own = record.read(paths.model_dir(name))
            rows, batch_size = own.settings.get("rows", 0), own.settings["batch_size"]
            steps = params.duration_of(rung).count_steps(num_rows=rows, batch_size=batch_size)
            if steps != own.steps:
                said = f"{name} was trained for {own.steps} steps; to be as long as {other} it needs {steps}"
                found[f"{rung.stage}@{name}"] = said
    return found


def require_lengths(params: Params) -> None:
    """Raises OutdatedError with every such rung and the command that trains them again."""
    if reasons := outdated(params):
        raise OutdatedError(
            f"{'; '.join(reasons.values())}: `bitladder run` trains again what follows another rung's "
            f"length, or `dvc repro --single-item --force {' '.join(reasons)}` and then `dvc repro`"
        )
