"""What determines a training: every file of code that it runs, every parameter under its own name."""

from pathlib import Path

import grimp
import pytest
from made_up import params

from pipeline.training import fingerprint
from pipeline.training.fingerprint import CLASSIFIER, LOOP, code, differences, digest

# They carry parameters, names and bytes from one place to another; what they carry is a fact itself.
CARRIERS = {"pipeline", "pipeline.data", "pipeline.data.tables", "pipeline.evaluation", "pipeline.problems"}
CARRIERS |= {f"pipeline.{name}" for name in ("files", "params", "parts", "paths", "record")}


@pytest.mark.parametrize(
    ("module", "parts"), [("pretrain", LOOP), ("fit_teacher", CLASSIFIER), ("fit_rung", CLASSIFIER)]
)
def test_every_module_that_a_training_imports_is_among_its_facts(module: str, parts: tuple[str, ...]) -> None:
    graph = grimp.build_graph("pipeline")
    imported = graph.find_upstream_modules(f"pipeline.training.{module}")
    carried = {name for name in imported if name in CARRIERS or name.startswith("pipeline.problems.")}
    known = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in code(parts)
        if path.endswith(".py")
    }
    assert imported - carried <= known, sorted(imported - carried - known)


def test_every_part_named_exists() -> None:
    assert all((fingerprint.ROOT / part).exists() for part in CLASSIFIER)


def test_one_changed_letter_of_code_is_another_digest(tmp_path: Path) -> None:
    (tmp_path / "part" / "inner").mkdir(parents=True)
    (tmp_path / "part" / "one.py").write_text("x = 1\n")
    (tmp_path / "part" / "inner" / "two.py").write_text("y = 1\n")
    (tmp_path / "part" / "notes.txt").write_text("no code")
    before = code(("part",), tmp_path)
    (tmp_path / "part" / "inner" / "two.py").write_text("y = 2\n")
    after = code(("part",), tmp_path)
    assert list(before) == ["part/inner/two.py", "part/one.py"]
    assert [name for name in before if before[name] != after[name]] == ["part/inner/two.py"]
    assert digest(before) != digest(after)


def test_the_order_of_facts_is_none_of_them() -> None:
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"}) != digest({"a": "2", "b": "1"})


def test_the_same_facts_have_no_differences() -> None:
    assert differences({"a": "1"}, {"a": "1"}) == []
    assert differences({"a": "1"}, {"a": "2", "b": "3"}) == ["a: 1 then, 2 now", "b: nothing then, 3 now"]


def test_other_kernels_and_buckets_are_other_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They add in another order, or other batches: what begins with one cannot end with the other."""
    settings = params(tmp_path)
    before = fingerprint.of_rung(settings, "w1", {}, processes=1)
    bucketed = settings.model_copy(
        update={"training": settings.training.model_copy(update={"bucket_batches": 8})}
    )
    monkeypatch.setenv("BITLADDER_KERNELS", "plain")
    changed = differences(before, fingerprint.of_rung(bucketed, "w1", {}, processes=1))
    assert [line.split(":")[0] for line in changed] == ["kernels", "training.bucket_batches"]
