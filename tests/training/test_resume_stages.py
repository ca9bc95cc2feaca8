"""Every kind of training through its real stage: the same bytes twice and after any stop; changes refused."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest
import short_demo
from made_up import params as made_up_params
from short_demo import NUM_STEPS, SHORT, STAGES
from small_training import KilledError

from bitladder import files
from pipeline import paths
from pipeline.params import Params
from pipeline.params_file import load
from pipeline.tasks.batches import Batch, Shuffled
from pipeline.training.resume import OtherTrainingError

every_stage = pytest.mark.parametrize("name", STAGES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every model of STAGES, trained without a stop."""
    root = tmp_path_factory.mktemp("trained")
    with chdir(root):
        params = short_demo.make()
        for run in STAGES.values():
            run(params)
    return root


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A copy of it that a test may train in."""
    monkeypatch.chdir(shutil.copytree(trained, tmp_path / "project"))
    return load(Path("params.yaml"))


@contextmanager
def killed_before(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Ends the training that asks for the batch of this step; 0 for none. The steps that were begun."""
    begun: list[int] = []
    batch_of = Shuffled.__call__

    def ask(self: Shuffled, now: int) -> Batch:
        begun.append(now)
        if now == step:
            raise KilledError
        return batch_of(self, now)

    with monkeypatch.context() as patch:
        patch.setattr(Shuffled, "__call__", ask)
        yield begun


def forget(name: str) -> dict[str, str]:
    """Delete a model as dvc does before it runs its stage; the digests of its files."""
    digests = files.verify(paths.model_dir(name))
    shutil.rmtree(paths.model_dir(name))
    return digests


@every_stage
def test_the_same_seed_gives_the_same_bytes(project: Params, name: str) -> None:
    first = forget(name)
    STAGES[name](project)
    assert files.verify(paths.model_dir(name)) == first
    assert not paths.states_dir(name).exists(), "a published model needs no state"


@every_stage
def test_killed_twice_it_ends_with_the_same_bytes(
    project: Params, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, record and curve: nothing tells that it was stopped."""
    first = forget(name)
    for step, first_begun in ((4, 1), (6, 3)):  # states after 2, then after 4
        with killed_before(step, monkeypatch) as begun, pytest.raises(KilledError):
            STAGES[name](project)
        assert begun[0] == first_begun
    with killed_before(0, monkeypatch) as begun:
        STAGES[name](project)
    assert begun == [5, 6, 7]
    assert files.verify(paths.model_dir(name)) == first
    assert not paths.states_dir(name).exists()


def test_killed_before_it_is_published_it_only_publishes(
    project: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = forget("w1")

    def die(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.training.fit_models.publish", die)
        with pytest.raises(KilledError):
            STAGES["w1"](project)
    with killed_before(0, monkeypatch) as begun:
        STAGES["w1"](project)
    assert begun == []
    assert files.verify(paths.model_dir("w1")) == first


# refusals


def stop(name: str, project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    with killed_before(4, monkeypatch), pytest.raises(KilledError):
        STAGES[name](project)


def refused(name: str, params: Params, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The facts that differ. Nothing was begun."""
    with killed_before(0, monkeypatch) as begun, pytest.raises(OtherTrainingError) as caught:
        STAGES[name](params)
    assert begun == []
    return [line.strip() for line in str(caught.value).splitlines()[1:-2]]


@pytest.mark.parametrize(
    ("name", "override", "lines"),
    [
        ("pretrained", "budget.pretraining.steps=9", ["budget.pretraining.steps: 7 then, 9 now"]),
        ("teacher", "training.teacher.dropout=0.2", ["training.teacher.dropout: 0.1 then, 0.2 now"]),
        ("w1", "distillation.logits=2.0", ["distillation.logits: 1.0 then, 2.0 now"]),
        ("w1", "seed=1 seeds=[1]", ["seed: 0 then, 1 now"]),
        (
            "w1a8",
            "weights_activations.w1a8.activation_bits=4",
            ["weights_activations.w1a8.activation_bits: 8 then, 4 now"],
        ),
        ("w1a1", "budget.evaluations=2", ["budget.evaluations: 3 then, 2 now"]),
    ],
)
def test_a_changed_parameter_is_refused_by_its_name_in_params_yaml(
    name: str, override: str, lines: list[str], project: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(name, project, monkeypatch)
    changed = made_up_params(Path(), *SHORT, *override.split())
    assert refused(name, changed, monkeypatch) == lines


def test_what_shapes_other_models_is_no_fact_of_this_one(
    project: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = forget("w1")
    stop("w1", project, monkeypatch)
    of_others = (
        "training.checkpoint_every=3",
        "training.binary_activations.learning_rate=0.1",
        "weights.w8.init_from=teacher",
        "weights_activations.w1a8.activation_bits=4",
        "budget.teacher.steps=9",
        "augmentation.swap=1",
        "deliver=[w1]",
        "claims=[]",
    )
    changed = made_up_params(Path(), *SHORT, *of_others)
    with killed_before(0, monkeypatch) as begun:
        STAGES["w1"](changed)
    assert begun[0] > 1
    assert files.verify(paths.model_dir("w1")) == first


def test_how_often_other_models_are_scored_is_no_fact_of_pretraining(
    project: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = forget("pretrained")
    stop("pretrained", project, monkeypatch)
    changed = made_up_params(Path(), *SHORT, "budget.evaluations=2")
    with killed_before(0, monkeypatch) as begun:
        STAGES["pretrained"](changed)
    assert begun[0] > 1
    assert files.verify(paths.model_dir("pretrained")) == first


def test_changed_code_is_refused_by_file(project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    stop("w1", project, monkeypatch)
    real = files.code

    def other(parts: Sequence[str], root: Path) -> dict[str, str]:
        return {**real(parts, root), "pipeline/training/optimizer.py": "f" * 64}

    monkeypatch.setattr(files, "code", other)
    [line] = refused("w1", project, monkeypatch)
    assert line.startswith("code pipeline/training/optimizer.py: ")
    assert line.endswith("... then, ffffffffffff... now")


def test_another_parent_is_refused(project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    stop("w1a8", project, monkeypatch)
    shutil.rmtree("models/w1")
    STAGES["w1"](project.model_copy(update={"seed": 1}))
    [line] = refused("w1a8", project, monkeypatch)
    assert line.startswith("sha256 of parent: ")


def test_another_number_of_threads_is_refused(project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are made in another order."""
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    stop("teacher", project, monkeypatch)
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    assert refused("teacher", project, monkeypatch) == ["threads: 1 then, 3 now"]


def test_asked_to_start_anew_it_does_and_keeps_the_old_state(
    project: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop("w1", project, monkeypatch)
    monkeypatch.setenv("BITLADDER_FRESH", "1")
    with killed_before(0, monkeypatch) as begun:
        STAGES["w1"](project.model_copy(update={"seed": 1}))
    assert begun == list(range(1, NUM_STEPS + 1))
    [aside] = paths.states_dir("w1").iterdir()
    assert aside.name.endswith(".aside")
    assert (aside / "step-000000002" / "state.safetensors").is_file()
