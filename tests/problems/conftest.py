"""The default params.yaml changed: as a file, and as the problems found in it."""

from collections.abc import Callable
from pathlib import Path

import changed_params
import pytest
from changed_params import Change, Refusals, Values

from pipeline.params_file import ParamsError, load


@pytest.fixture(scope="session")
def default() -> Values:
    return changed_params.read_default()


@pytest.fixture
def params_file(tmp_path: Path, default: Values) -> Callable[..., Path]:
    """Write the default with some fields changed."""

    def write(*changes: Change) -> Path:
        return changed_params.write(tmp_path / "params.yaml", changed_params.changed(default, changes))

    return write


@pytest.fixture
def refusals(params_file: Callable[..., Path]) -> Refusals:
    """The problems of the default with some fields changed; empty when it is accepted."""

    def problems(*changes: Change) -> list[str]:
        try:
            load(params_file(*changes))
        except ParamsError as error:
            return error.problems
        return []

    return problems
