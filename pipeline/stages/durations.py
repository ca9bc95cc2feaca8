"""Stage `durations`: how long each rung trains, a small file for each: `data/<task>/durations/<rung>.json`.

A rung may be as long as the way of another one (`duration.equal_to`), whose rungs it has no edge to. Every
rung depends on its file here instead, which changes only when its own number does.
"""

from bitladder import files
from pipeline import paths
from pipeline.params import Params


def run(params: Params, rung: str | None = None) -> None:
    with files.publish(paths.data_dir(params.task.name, "durations")) as folder:
        for name, found in params.rungs.items():
            duration = params.duration_of(found).model_dump(exclude_none=True)
            files.write_json(folder / f"{name}.json", duration)
