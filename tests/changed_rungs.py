"""A composed params.yaml with some rungs' fields changed, and what is refused of it."""

from pathlib import Path
from typing import Any

from made_up import CONF
from ruamel.yaml import YAML

from flows.compose import compose
from pipeline.params_file import ParamsError, load


def problems(folder: Path, *overrides: str, **changes: dict[str, Any]) -> list[str]:
    """Of the file composed with `overrides`; None leaves a field out. A section may be named like a rung."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(compose(list(overrides), CONF))
    for name, fields in changes.items():
        if name in values:
            values[name] |= fields
            continue
        section = "weights" if name in values["weights"] else "weights_activations"
        rung = {**values[section][name], **fields}
        values[section][name] = {key: value for key, value in rung.items() if value is not None}
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(values, file)
    try:
        load(folder / "params.yaml")
    except ParamsError as error:
        return error.problems
    return []
