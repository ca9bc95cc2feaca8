"""The default params.yaml with some fields changed, as in `("weights.w1.bits", 3)`; `...` removes one."""

import copy
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DEFAULT = Path(__file__).parents[2] / "params.yaml"
Values = dict[str, Any]
Change = tuple[str, object]
Refusals = Callable[..., list[str]]

# A task read from files, with a model from a folder.
MRPC = (
    ("task.name", "mrpc"),
    ("task.generator", None),
    ("data", {"source": "path", "root": "somewhere"}),
    ("model", {"name": "mine", "source": "path", "location": "somewhere", "watched": "somewhere"}),
)
HUB = ("data", {"source": "hub", "repository": "nyu-mll/glue", "revision": "b" * 40})


def read_default() -> Values:
    values: Values = YAML(typ="safe").load(DEFAULT.read_text(encoding="utf-8"))
    return values


def changed(values: Values, changes: Sequence[Change]) -> Values:
    values = copy.deepcopy(values)
    for place, value in changes:
        *parents, last = place.split(".")
        section = values
        for name in parents:
            section = section[name]
        if value is ...:
            del section[last]
        else:
            section[last] = copy.deepcopy(value)
    return values


def write(path: Path, values: Values) -> Path:
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.representer.sort_base_mapping_type_on_output = False
    yaml.dump(values, stream)
    path.write_text(stream.getvalue(), encoding="utf-8")
    return path
