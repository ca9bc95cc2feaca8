"""params.yaml as objects: complete, frozen, checked without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.params import Params
from pipeline.params_file import load
from pipeline.rungs import Duration

ROOT = Path(__file__).parent.parent
DEFAULT = ROOT / "params.yaml"


def test_the_committed_file_is_accepted() -> None:
    assert isinstance(load(DEFAULT), Params)


def test_what_is_loaded_cannot_be_changed() -> None:
    params = load(DEFAULT)
    with pytest.raises(ValueError, match="frozen"):
        params.seed = 1


@pytest.mark.parametrize(
    ("duration", "num_rows", "expected"),
    [
        (Duration(steps=7), 1000, 7),
        (Duration(epochs=3), 100, 12),  # four batches of 32, the last one short
        (Duration(epochs=0.5), 100, 2),
        (Duration(epochs=0.01), 100, 1),
    ],
)
def test_a_duration_in_steps_or_epochs(duration: Duration, num_rows: int, expected: int) -> None:
    assert duration.count_steps(num_rows=num_rows, batch_size=32) == expected


def test_checking_a_file_imports_no_torch() -> None:
    code = (
        "import sys, pathlib; from pipeline.params_file import load; load(pathlib.Path('params.yaml')); "
        "print(sorted({'torch', 'transformers', 'mlflow', 'prefect', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
