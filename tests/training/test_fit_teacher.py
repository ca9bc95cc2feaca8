"""The teacher: fine-tuned on every task's shape, written down, the same twice."""

from pathlib import Path

import ladder_project
import made_up
import pytest
import torch

from bitladder import files
from bitladder.modeling import checkpoint
from pipeline import paths, record
from pipeline.params import Params
from pipeline.training import rows
from pipeline.training.fit_models import fit_rung, fit_teacher, task_config

WEIGHTS = Path("models/teacher/model.safetensors")


@pytest.mark.parametrize("task", made_up.TASKS)
def test_every_glue_task_trains_a_teacher_and_a_rung(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single sentences and pairs, two and three classes, and scores."""
    monkeypatch.chdir(tmp_path)
    params = ladder_project.make(task, "weights_activations.w1a8.init_from=teacher", "claims=[]")
    teacher, rung = fit_teacher(params), fit_rung(params, "w1a8", stage="weights_activations")
    for trained in (teacher, rung):
        folder = paths.model_dir(trained.name)
        assert files.verify(folder)[checkpoint.WEIGHTS] == trained.digest
        model = checkpoint.load_bert(folder)
        assert model.config.num_labels == (made_up.TASKS[task][1] or 1)
        assert set(trained.scores["selection"]) == set(params.task.metrics)
        assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    before = checkpoint.load_state(paths.model_dir("pretrained"))
    after = checkpoint.load_state(paths.model_dir("teacher"))
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(before[name], after[name]), "nothing was learned"


def test_the_folder_is_whole(ladder: Params) -> None:
    assert set(files.verify(paths.model_dir("teacher"))) == {
        "config.json",
        "curve.csv",
        "model.safetensors",
        "record.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_the_record_says_where_it_came_from_and_what_it_saw(ladder: Params) -> None:
    found = record.read(paths.model_dir("teacher"))
    plain = files.verify(paths.data_dir("cola", "plain"))
    assert (found.name, found.stage, found.task, found.parent) == ("teacher", "teacher", "cola", "pretrained")
    assert found.parent_digest == files.sha256(Path("models/pretrained/model.safetensors"))
    assert found.digest == files.sha256(WEIGHTS)
    assert found.teacher is None
    assert found.precision.is_full
    assert {selector: origin.source for selector, origin in record.origins(found.init).items()} == {
        "embeddings": "copied",
        "encoder": "copied",
        "pooler": "drawn",  # a masked-LM model has none
        "head": "drawn",
    }
    assert found.data == {
        "kind": "plain",
        "train": plain["train.parquet"],
        "selection": plain["selection.parquet"],
    }
    assert (found.steps, found.selected_on, found.settings["rows"]) == (3, "selection", 48)


def test_the_score_written_down_is_the_published_models_own(ladder: Params) -> None:
    data = rows.load(ladder.task, "plain", paths.model_dir("teacher"))
    model = checkpoint.load_bert(paths.model_dir("teacher"))
    found = data.score(model)
    assert record.read(paths.model_dir("teacher")).scores == {"selection": found.scores}


def test_the_same_seed_gives_the_same_bytes_and_another_others(own_ladder: Params) -> None:
    first = files.sha256(WEIGHTS)
    assert fit_teacher(own_ladder).digest == first
    assert files.sha256(WEIGHTS) == first
    assert fit_teacher(own_ladder.model_copy(update={"seed": 1})).digest != first


def trained_in(gradients: str, params: Params) -> tuple[record.Record, dict[str, torch.Tensor], str]:
    training = params.training.model_copy(update={"gradients": gradients})
    found = fit_teacher(params.model_copy(update={"training": training}))
    folder = paths.model_dir("teacher")
    return found, checkpoint.load_state(folder), (folder / "config.json").read_text(encoding="utf-8")


def test_bfloat16_gradients_make_nearly_the_same_teacher(own_ladder: Params) -> None:
    """The same tensors and config; the score written down is what its own layers get."""
    (_, exact, config), (found, near, same) = (
        trained_in(gradients, own_ladder) for gradients in ("float32", "bfloat16")
    )
    assert same == config
    assert found.settings["gradients"] == "bfloat16"
    first = checkpoint.load_state(paths.model_dir("pretrained"))
    name = "bert.encoder.layer.0.attention.self.query.weight"
    moved, apart = exact[name] - first[name], near[name] - exact[name]
    assert 0 < apart.norm() < 0.5 * moved.norm()
    data = rows.load(own_ladder.task, "plain", paths.model_dir("teacher"))
    scored = data.score(checkpoint.load_bert(paths.model_dir("teacher")))
    assert found.scores == {"selection": scored.scores}


def test_in_float32_transformers_own_layers_train_on_any_kernels(
    own_ladder: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = fit_teacher(own_ladder).digest
    monkeypatch.setenv("BITLADDER_KERNELS", "plain")
    assert fit_teacher(own_ladder).digest == fused


def test_a_task_longer_than_the_position_table_is_refused(own_ladder: Params) -> None:
    task = own_ladder.task.model_copy(update={"max_length": 33})
    with pytest.raises(ValueError, match=r"task\.max_length: 33; the model has room for 32 tokens"):
        fit_teacher(own_ladder.model_copy(update={"task": task}))


def test_a_pretrained_model_that_was_changed_is_refused(own_ladder: Params) -> None:
    with Path("models/pretrained/model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(files.IntegrityError, match=r"models/pretrained/model\.safetensors"):
        fit_teacher(own_ladder)


def test_labels_have_their_names_in_the_config(ladder: Params) -> None:
    config = task_config(paths.model_dir("pretrained"), ladder.task, dropout=0.2)
    assert config.id2label == {0: "unacceptable", 1: "acceptable"}
    assert config.label2id == {"unacceptable": 0, "acceptable": 1}
    assert (config.num_labels, config.problem_type) == (2, "single_label_classification")
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.2, 0.2)


def test_regression_has_one_output(ladder: Params) -> None:
    stsb = ladder.task.model_copy(update={"kind": "regression", "label_names": []})
    config = task_config(paths.model_dir("pretrained"), stsb, dropout=0.0)
    assert (config.num_labels, config.problem_type) == (1, "regression")
