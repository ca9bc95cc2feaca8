"""The ladder from another seed: what is made, in which order, what is kept, and what is made again.

In the quick tests a stage's work is to note what it was made from; the slow ones run real stages.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import made_up
import pytest
import repeat_project
import some_results
from repeat_project import ROOT, TASK
from scratch_project import until

from bitladder import files
from flows import environment, graph, processes, repeat
from flows.graph import Definition
from pipeline import paths
from pipeline.data.tables import write_split
from pipeline.evaluation import results
from pipeline.params import Params
from pipeline.params_file import load
from pipeline.stages import augment, prepare, pretrained

EVERYTHING = [
    "teacher",
    "weights@w1",
    "weights_activations@w1a8",
    "pack@w1",
    "pack@w1a8",
    "evaluate",
]
HOME = Path(".bitladder/seeds/1")
# What evaluate makes of several seeds, or says of its models, is not kept of a single one.
NOT_KEPT = (
    *("seeds", "claims", "pipeline/ladder/claims.py"),
    *("pipeline/ladder/words.py"),
)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as `prepare`, `pretrained` and `augment` leave it."""
    root = tmp_path_factory.mktemp("project")
    repeat_project.make(root)
    repeat_project.prepare(root)
    return root


@pytest.fixture(scope="module")
def definitions(made_once: Path) -> dict[str, Definition]:
    with chdir(made_once):
        return graph.definitions()


class Work:
    """Stands in for the stages: each output tells what it was made from. `fails` names one that fails."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails = ""

    def __call__(self, folder: Path, stage: str) -> None:
        if stage == self.fails:
            raise processes.EndedError(f"{stage} ended with exit code 5", 5)
        self.done.append(stage)
        params = load(folder / "params.yaml")
        name, _, rung = stage.partition("@")
        if name == "evaluate":
            models = dict.fromkeys(("teacher", *params.deliver), some_results.model(params.seed / 10))
            found = some_results.results(models, task=params.task.name)
            results.write(folder / paths.RESULTS, found)
            return
        with files.publish(folder / ("packed" if name == "pack" else "models") / (rung or name)) as output:
            files.write_text(output / paths.WEIGHTS, self._made_from(folder, params, name, rung))

    def _made_from(self, folder: Path, params: Params, name: str, rung: str) -> str:
        if name == "teacher":
            return f"teacher of seed {params.seed}, {params.budget.teacher}"
        parent = rung if name == "pack" else params.rungs[rung].init_from
        above = (folder / "models" / parent / paths.WEIGHTS).read_text()
        return f"{name} {params.rungs[rung]} from {above}"

    def forget(self) -> None:
        self.done.clear()


@pytest.fixture
def work(
    made_once: Path, definitions: dict[str, Definition], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Work:
    """What trains; the working directory is a project of the test's own, whose seed 1 it has trained."""
    monkeypatch.chdir(shutil.copytree(made_once, tmp_path / "project", symlinks=True))
    stand_in = Work()
    monkeypatch.setattr(repeat, "work", stand_in)
    monkeypatch.setattr(graph, "definitions", lambda: definitions)
    run()
    assert stand_in.done == EVERYTHING
    stand_in.forget()
    return stand_in


def run(seed: str = "1") -> None:
    repeat.run(load(Path("params.yaml")), seed)


def again(work: Work, *overrides: str) -> list[str]:
    """What is made when params.yaml has been changed so."""
    repeat_project.compose(Path(), *overrides)
    work.forget()
    run()
    return work.done


def test_the_models_of_another_seed_are_published_as_results_have_them(work: Work) -> None:
    found = files.read_json(Path("metrics/seeds/1.json"))
    assert set(found["models"]) == {"teacher", "w1", "w1a8"}
    kept = results.read(HOME / paths.RESULTS).models["w1"].as_dict()
    assert kept["score"] == 0.1
    assert found["models"]["w1"] == {key: value for key, value in kept.items() if key != "unusual"}
    assert (found["seed"], found["task"]) == (1, TASK)
    assert str(Path.cwd()) not in json.dumps(found)


def test_the_graphs_own_models_are_not_touched(work: Work) -> None:
    assert {path.name for path in Path("models").iterdir()} == {"pretrained"}
    assert not Path("packed").exists()


def test_only_the_seed_differs_and_what_params_yaml_points_at_is_still_found(work: Work) -> None:
    own, graphs = load(HOME / "params.yaml"), load(Path("params.yaml"))
    assert (own.seed, own.seeds) == (1, [1])
    assert Path(own.data.root or "").is_absolute()
    changed = {"seed": 0, "seeds": [0, 1], "data": graphs.data, "model": graphs.model}
    assert own.model_copy(update=changed) == graphs
    with chdir(HOME):
        assert files.verify(paths.data_dir(TASK, "plain"))
        assert files.verify(paths.model_dir("pretrained"))


def test_of_the_graphs_own_seed_it_only_says_where_the_results_are(work: Work) -> None:
    run("0")
    assert work.done == []
    assert files.read_json(Path("metrics/seeds/0.json"))["see"] == "metrics/results.json"


@pytest.mark.parametrize("seed", ["2", "w1", None])
def test_a_seed_that_is_not_asked_for_is_refused(work: Work, seed: str | None) -> None:
    with pytest.raises(ValueError, match=r"seeds: .* is none of them; known: 0, 1"):
        repeat.run(load(Path("params.yaml")), seed)


def test_what_is_up_to_date_is_not_made_again(work: Work) -> None:
    assert again(work) == ["evaluate"]


@pytest.mark.parametrize(
    ("override", "made"),
    [
        ("+weights_activations.w1a8.learning_rate=0.1", ["weights_activations@w1a8", "pack@w1a8"]),
        ("+weights.w1.learning_rate=0.1", EVERYTHING[1:-1]),
        ("budget.teacher.steps=7", EVERYTHING[:-1]),
        ("training.checkpoint_every=3", []),
    ],
)
def test_a_changed_model_is_trained_again_with_its_descendants_and_no_other(
    work: Work, override: str, made: list[str]
) -> None:
    assert again(work, override) == [*made, "evaluate"]


def test_a_rung_that_follows_another_ones_length_is_trained_again_when_that_changes(work: Work) -> None:
    apart = (
        "weights_activations.w1a8.init_from=teacher",
        "+weights_activations.w1a8.duration.equal_to=w1",
    )
    again(work, *apart)
    assert again(work, *apart) == ["evaluate"]
    longer = again(work, *apart, "+weights.w1.duration.steps=9")
    assert longer[:2] == ["weights@w1", "weights_activations@w1a8"]


def test_other_rows_are_learned_from_anew(work: Work) -> None:
    with files.publish(paths.data_dir(TASK, "plain")) as folder:
        for split in ("train", "selection", "validation"):
            write_split(folder, split, made_up.rows(TASK, 8, seed=3))
    assert again(work) == EVERYTHING


def test_other_code_trains_anew(work: Work) -> None:
    Path("bitladder").unlink()  # a link to the project's own
    shutil.copytree(ROOT / "bitladder", "bitladder")
    Path("bitladder/quantizers/rounding.py").write_text("# other code")
    assert again(work) == EVERYTHING[1:]


@pytest.mark.parametrize("spoil", [shutil.rmtree, lambda folder: (folder / paths.WEIGHTS).write_text("x")])
def test_a_model_that_is_not_whole_is_trained_again(work: Work, spoil: Callable[[Path], object]) -> None:
    """Its descendants are not: it comes out the same."""
    spoil(HOME / "models/w1")
    assert again(work) == ["weights@w1", "evaluate"]


def test_after_a_failure_it_goes_on_where_it_stopped(work: Work) -> None:
    work.fails = "weights_activations@w1a8"
    with pytest.raises(processes.EndedError, match="exit code 5") as caught:
        again(work, "budget.rung.steps=9")
    assert caught.value.exit_code == 5
    assert work.done == ["weights@w1"]
    work.fails = ""
    assert again(work, "budget.rung.steps=9") == ["weights_activations@w1a8", "evaluate"]


def test_what_was_being_made_of_other_parameters_is_not_taken_for_done(work: Work) -> None:
    """It stopped after the change had been noted and before the new model appeared; the old one is gone."""
    work.fails = "weights@w1"
    with pytest.raises(processes.EndedError):
        again(work, "budget.rung.steps=9")
    work.fails = ""
    assert again(work) == ["weights@w1", "evaluate"]


def test_a_rung_that_is_no_more_leaves_the_disk(work: Work) -> None:
    for place in ("models", "packed"):
        (HOME / place / "w4").mkdir()
    assert again(work) == ["evaluate"]
    assert {path.name for path in (HOME / "models").iterdir()} == {"pretrained", "teacher", "w1", "w1a8"}
    assert not (HOME / "packed/w4").exists()


def test_who_watches_the_graph_is_not_shown_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.WATCHERS:
        monkeypatch.setenv(name, "somewhere")
    assert not set(environment.WATCHERS) & set(repeat.variables())


def test_dvc_knows_everything_that_a_repeat_is_made_from(definitions: dict[str, Definition]) -> None:
    known = definitions["repeat@1"]
    for name in [*repeat.chain(definitions), "evaluate"]:
        code = [
            path for path in definitions[name].inputs if path.startswith("pipeline/") and path not in NOT_KEPT
        ]
        asked = [one for one in definitions[name].params if one not in NOT_KEPT]
        assert [path for path in code if not _within(path, known.inputs, "/")] == [], name
        assert [one for one in asked if not _within(one, known.params, ".")] == [], name
    assert {"data/cola/plain", "data/cola/augmented", "models"} <= set(known.inputs)


def _within(name: str, wholes: tuple[str, ...], separator: str) -> bool:
    return any(name == whole or name.startswith(whole + separator) for whole in wholes)


def test_results_are_made_after_every_seed(made_once: Path, definitions: dict[str, Definition]) -> None:
    with chdir(made_once):
        assert {"repeat@0", "repeat@1"} <= set(graph.stages()["evaluate"])
    assert {"seed", "seeds"} <= set(definitions["evaluate"].params)


# Real stages.


def stage(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=root,
        env=repeat_project.environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def ended(process: "subprocess.Popen[str]", code: int = 0) -> str:
    said, _ = process.communicate(timeout=900)
    assert process.returncode == code, said
    return said


LONG = ("budget.rung.steps=100", "training.checkpoint_every=10", "task.metrics=[accuracy]")


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that has its data and its pre-trained model; a rung takes seconds. The working directory."""
    repeat_project.make(tmp_path)
    repeat_project.compose(tmp_path, *LONG)
    monkeypatch.chdir(tmp_path)
    params = load(Path("params.yaml"))
    for each in (prepare, pretrained, augment):
        each.run(params)
    return tmp_path


@pytest.mark.slow
def test_a_killed_repeat_goes_on_and_ends_as_the_graph_would_with_that_seed(prepared: Path) -> None:
    home = prepared / HOME
    process = stage(prepared, "flows.stage", "repeat", "1")
    until(
        lambda: any((home / ".bitladder/work/w1").glob("*/step-*")) or process.poll() is not None, "w1 trains"
    )
    assert process.poll() is None, process.communicate()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)  # its pipe is closed once the training has ended too
    assert not (home / "models/w1").exists()
    said = ended(stage(prepared, "flows.stage", "repeat", "1"))
    assert "repeat@1: teacher is up to date" in said
    assert "w1: goes on from step " in said
    found = files.read_json(prepared / "metrics/seeds/1.json")["models"]

    assert {model["seed"] for model in found.values()} == {1}
    assert not Path("mlruns").exists()
    assert not Path(".bitladder/mlflow").exists()

    repeat_project.compose(prepared, *LONG, "seed=1", "seeds=[1]")
    for arguments in (["teacher"], ["weights", "w1"]):
        ended(stage(prepared, "flows.stage", *arguments))
    for name in ("teacher", "w1"):
        of_the_graph = files.sha256(paths.model_dir(name) / paths.WEIGHTS)
        assert files.sha256(home / "models" / name / paths.WEIGHTS) == of_the_graph


@pytest.mark.slow
def test_dvc_repeats_what_changed_and_results_have_mean_and_spread(prepared: Path) -> None:
    repeat_project.compose(prepared, "task.metrics=[accuracy]")
    said = ended(stage(prepared, "dvc", "repro", "evaluate"))
    assert "Running stage 'repeat@1'" in said
    models: dict[str, Any] = files.read_json(prepared / "metrics/results.json")["models"]
    other = files.read_json(prepared / "metrics/seeds/1.json")["models"]
    for name, model in models.items():
        scores = [model["score"], other[name]["score"]]
        assert model["seeds"]["scores"] == {"0": scores[0], "1": scores[1]}
        assert model["seeds"]["mean"] == pytest.approx(sum(scores) / 2)
        assert model["seeds"]["num_seeds"] == 2
        assert model["digest"] != other[name]["digest"]
    assert "Running stage" not in ended(stage(prepared, "dvc", "repro", "evaluate"))
    repeat_project.compose(prepared, "task.metrics=[accuracy]", "seeds=[0]")
    said = ended(stage(prepared, "dvc", "repro", "evaluate"))
    assert [line for line in said.splitlines() if line.startswith("Running")] == ["Running stage 'evaluate':"]
