"""dvc.yaml names the code that each stage runs: what can change a result has that result made again.

What a stage imports is known without running it. Quantizers are chosen by name when a model is built, so
that no import leads to them: where a quantized model is trained or computes, all of them are named.
"""

import functools
from pathlib import Path

import grimp
import pytest
from carriers import CARRIERS
from ruamel.yaml import YAML

from bitladder import files
from pipeline.training.fingerprint import CODE

ROOT = Path(__file__).parents[1]
PASSED_ON = CARRIERS | {"pipeline.reporting.speed"}  # what it measures is in no output of a stage
# In full precision nothing is rounded and nothing compared with a teacher.
OF_RUNGS = ("pipeline/distillation", "bitladder/quantizers")
# What `evaluate` does with the scores of all seeds; of another seed only the scores are kept.
OF_ALL_SEEDS = {"pipeline/ladder/claims.py", "pipeline/ladder/words.py"}
TRAINED = ("weights", "weights_activations")
CLOSED = ("prepare", "augment", *TRAINED, "pack", "evaluate", "report")
MADE_AGAIN = ("teacher", *TRAINED, "pack", "evaluate")


@functools.cache
def named(stage: str) -> frozenset[str]:
    """The code that dvc.yaml names for a stage."""
    found = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    deps = found.get("do", found)["deps"]
    return frozenset(dep for dep in deps if dep.startswith(("bitladder/", "pipeline/", "flows/")))


def modules(code: frozenset[str]) -> set[str]:
    paths = [path for path in files.code(tuple(code), ROOT) if path.endswith(".py")]
    return {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths}


@functools.cache
def imports() -> grimp.ImportGraph:
    """Of pipeline, less what is imported for types alone and by what only carries or only refuses."""
    graph = grimp.build_graph("bitladder", "pipeline", exclude_type_checking_imports=True, cache_dir=None)
    for name in carrying(graph):
        for imported in graph.find_modules_directly_imported_by(name):
            graph.remove_import(importer=name, imported=imported)
    return graph


def carrying(graph: grimp.ImportGraph) -> set[str]:
    return {*PASSED_ON, "pipeline.problems", *graph.find_descendants("pipeline.problems")}


def imported_unnamed(stage: str) -> set[str]:
    run, graph = f"pipeline.stages.{stage}", imports()
    return {run, *graph.find_upstream_modules(run)} - carrying(graph) - modules(named(stage))


@pytest.mark.parametrize("stage", CLOSED)
def test_a_stage_names_every_module_that_it_imports(stage: str) -> None:
    assert not imported_unnamed(stage)


@pytest.mark.parametrize("stage", [*TRAINED, "repeat"])
def test_what_determines_a_rungs_training_is_named(stage: str) -> None:
    assert modules(frozenset(CODE)) <= modules(named(stage))


def test_what_determines_the_teachers_training_is_named() -> None:
    assert modules(frozenset(CODE)) - modules(frozenset(OF_RUNGS)) <= modules(named("teacher"))


@pytest.mark.parametrize("stage", ["pretrained", "teacher"])
def test_models_in_full_precision_name_every_module_but_those_of_rungs(stage: str) -> None:
    assert imported_unnamed(stage) <= modules(frozenset(OF_RUNGS))


@pytest.mark.parametrize("stage", ["teacher", *TRAINED])
def test_another_way_to_augment_retrains_nothing_on_plain_data(stage: str) -> None:
    assert not any(name.startswith("pipeline.data") for name in modules(named(stage)))


@pytest.mark.parametrize("stage", [*TRAINED, "pack", "repeat", "evaluate"])
def test_every_quantizer_and_which_of_them_is_usual_are_named(stage: str) -> None:
    assert "bitladder/quantizers" in named(stage)


@pytest.mark.parametrize("stage", MADE_AGAIN)
def test_another_seed_is_made_again_with_the_stages_it_is_made_by(stage: str) -> None:
    assert modules(named(stage) - OF_ALL_SEEDS) <= modules(named("repeat"))


@pytest.mark.parametrize("stage", ["pretrained", *CLOSED, "teacher", "repeat"])
def test_every_file_named_exists(stage: str) -> None:
    assert all((ROOT / path).exists() for path in named(stage))
