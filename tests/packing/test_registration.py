"""`import pipeline.packing` teaches transformers our model type, before or after it, and imports no torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.packing.after_import import after_import

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "mlflow", "pandas", "numba")


def run(code: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_imports_nothing_heavy() -> None:
    code = f"import sys, pipeline.packing; print([name for name in {HEAVY} if name in sys.modules])"
    assert run(code) == "[]\n"


@pytest.mark.parametrize(
    "imports",
    [
        "from transformers import {}; import pipeline.packing",
        "import transformers, pipeline.packing; from transformers import {}",
    ],
    ids=["after", "between"],
)
def test_auto_classes_know_a_packed_folder(packed: Path, imports: str) -> None:
    name = "AutoModelForSequenceClassification"
    code = f"{imports.format(name)}; print(type({name}.from_pretrained({str(packed)!r})).__name__)"
    assert run(code) == "PackedBertForSequenceClassification\n"


def test_a_tokenizer_alone_is_found_and_then_the_model(packed: Path) -> None:
    name = "AutoModelForSequenceClassification"
    code = (
        "import pipeline.packing; from transformers import AutoTokenizer;"
        f"print(AutoTokenizer.from_pretrained({str(packed)!r})('dog').input_ids);"
        f"from transformers import {name}; print(type({name}.from_pretrained({str(packed)!r})).__name__)"
    )
    assert run(code) == "[2, 9, 3]\nPackedBertForSequenceClassification\n"


def test_an_import_that_fails_is_watched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "watched_module.py").write_text("1 / 0\n")
    seen: list[str] = []
    after_import("watched_module", lambda: seen.append("loaded"))
    with pytest.raises(ZeroDivisionError):
        __import__("watched_module")
    assert seen == []
    (tmp_path / "watched_module.py").write_text("value = 12345\n")
    assert __import__("watched_module").value == 12345
    assert seen == ["loaded"]
    after_import("watched_module", lambda: seen.append("at once"))
    assert seen == ["loaded", "at once"]
    assert type(sys.modules["watched_module"].__loader__).__module__ != after_import.__module__
