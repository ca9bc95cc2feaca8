"""General rungs: distilled from the pre-trained model on plain text, for every task to start from."""

from pathlib import Path

import ladder_project
import pytest
import torch

from bitladder import files
from bitladder.modeling import checkpoint
from pipeline import paths, record
from pipeline.params import Params
from pipeline.stages import general
from pipeline.training import fit_general
from pipeline.training.fit_models import fit_rung, fit_teacher

WORDS = "the river walked slowly into the garden and never opened a window ."
GENERAL = (
    "+general.g8={bits: 1, activation_bits: 8, init_from: pretrained, duration: {steps: 4}}",
    "+general.g4={bits: 1, activation_bits: 4, init_from: g8, duration: {steps: 4}}",
    "training.general.batch_size=8",
    "data.corpus=text.txt",
    "weights_activations.w1a8.init_from=g8",
    "weights_activations.w1a4.init_from=g4",
    *(f"~weights_activations.{name}" for name in ("w1a1", "w1a8_direct", "w1a1_random")),
    "deliver=[w1a8,w1a4]",
    "claims=[]",
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Its text is the made-up task's words."""
    monkeypatch.chdir(tmp_path)
    words = WORDS.split()
    lines = (" ".join((*words[number % 5 :], str(number))) for number in range(40))
    Path("source").mkdir()
    Path("source/text.txt").write_text("\n".join(lines))
    return ladder_project.make("cola", *GENERAL)


def weights(name: str) -> dict[str, torch.Tensor]:
    return checkpoint.load_state(paths.model_dir(name))


def test_it_is_taught_by_the_pre_trained_model_and_has_no_head(project: Params) -> None:
    general.run(project, "g8")
    own = record.read(paths.model_dir("g8"))
    assert (own.stage, own.parent, own.teacher, own.task) == (
        "general",
        "pretrained",
        "pretrained",
        "general",
    )
    assert (
        own.teacher_digest == own.parent_digest == files.sha256(paths.model_dir("pretrained") / paths.WEIGHTS)
    )
    assert record.bits(own) == {"weights": 1, "embeddings": 1, "activations": 8}
    assert {part.model for part in own.init} == {"pretrained"}
    assert own.selected_on == fit_general.HELD_OUT
    state = weights("g8")
    assert state
    assert all(name.startswith("bert.") for name in state)
    assert "head" not in {part.part for part in own.init}


def test_training_brings_its_sentence_vectors_nearer_to_the_pre_trained_models(project: Params) -> None:
    rung = project.general["g8"].model_copy(
        update={"duration": project.general["g8"].duration.model_copy(update={"steps": 40})}
    )
    longer = project.model_copy(update={"general": {"g8": rung}})
    found = {
        steps: fit_general.fit_general(params, "g8").scores[fit_general.HELD_OUT]["sentence_cosine"]
        for steps, params in ((4, project), (40, longer))
    }
    assert found[40] > found[4]  # type: ignore[operator]


def test_a_task_starts_from_it_with_pooler_and_head_of_its_teacher(project: Params) -> None:
    for name in ("g8", "g4"):
        general.run(project, name)
    fit_teacher(project)
    own = fit_rung(project, "w1a4", stage="weights_activations")
    sources = {part.part: part.model for part in own.init}
    assert sources["pooler"] == sources["head"] == "teacher"
    assert {model for part, model in sources.items() if part not in ("pooler", "head")} == {"g4"}
    assert (own.parent, own.teacher) == ("g4", "teacher")
    assert record.read(paths.model_dir("g4")).parent == "g8"


def test_the_task_changes_nothing_of_it(project: Params) -> None:
    """So that DVC keeps one for all tasks: the same bytes whatever the task is called."""
    general.run(project, "g8")
    first = {path.name: files.sha256(path) for path in paths.model_dir("g8").iterdir()}
    task = project.task.model_copy(update={"name": "mrpc", "max_length": 16})
    general.run(project.model_copy(update={"task": task}), "g8")
    assert {path.name: files.sha256(path) for path in paths.model_dir("g8").iterdir()} == first


def test_an_unknown_one_is_refused(project: Params) -> None:
    with pytest.raises(ValueError, match=r"general: no rung 'g9'; known: \['g8', 'g4'\]"):
        general.run(project, "g9")
