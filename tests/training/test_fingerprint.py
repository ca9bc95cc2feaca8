"""What determines a training: every file of code that it runs, every parameter under its own name."""

from pathlib import Path

import grimp
import pytest
from carriers import CARRIERS
from made_up import params

from bitladder import files
from pipeline.training import fingerprint
from pipeline.training.fingerprint import CODE, ROOT, differences

PASSED_ON = CARRIERS | {"pipeline.parts", "pipeline.problems"}


@pytest.mark.parametrize("module", ["pretrain", "fit_models"])
def test_every_module_that_a_training_imports_is_among_its_facts(module: str) -> None:
    graph = grimp.build_graph("bitladder", "pipeline", cache_dir=None)
    imported = graph.find_upstream_modules(f"pipeline.training.{module}")
    carried = {name for name in imported if name in PASSED_ON or name.startswith("pipeline.problems.")}
    known = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in files.code(CODE, ROOT)
        if path.endswith(".py")
    }
    assert imported - carried <= known, sorted(imported - carried - known)


def test_every_part_named_exists() -> None:
    assert all((ROOT / part).exists() for part in CODE)


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
    assert [line.split(":")[0] for line in changed] == ["routines", "training.bucket_batches"]


def test_other_gradients_make_another_teacher(tmp_path: Path) -> None:
    before, after = (
        fingerprint.of_teacher(params(tmp_path, *more), {}, processes=1)
        for more in ((), ("training.gradients=bfloat16",))
    )
    changed = [line.split(":")[0] for line in differences(before, after)]
    assert changed == ["routines", "training.gradients"]


def test_a_rung_that_is_equal_to_another_is_known_by_its_steps(tmp_path: Path) -> None:
    """The other rungs' names are no fact of its training, what they make of its length is."""
    equal = "+weights_activations.w1a8_direct.duration={equal_to: w1a8}"
    before, after = (
        fingerprint.of_rung(params(tmp_path, equal, *more), "w1a8_direct", {}, processes=1)
        for more in ((), ("+weights.w2.duration={steps: 250}",))
    )
    assert differences(before, after) == ["weights_activations.w1a8_direct.duration.steps: 400 then, 550 now"]


@pytest.mark.parametrize(("own", "section"), [("learning_rate=0.01", "1.0e-2"), ("decay=cosine", "cosine")])
def test_what_a_rung_says_itself_replaces_its_section(tmp_path: Path, own: str, section: str) -> None:
    """And is then all that its training depends on."""
    field = own.partition("=")[0]
    said, alike = (
        params(tmp_path, f"+weights.w1.{own}", *more)
        for more in ((), (f"++training.rung.{field}={section}",))
    )
    assert getattr(said.optimization_of(said.weights["w1"]), field) == getattr(said.weights["w1"], field)
    assert getattr(said.optimization_of(said.weights["w2"]), field) == getattr(said.training.rung, field)
    now = (fingerprint.of_rung(one, "w1", {}, processes=1) for one in (said, alike))
    assert differences(*now) == []
