"""`evaluate` scores the packed files, and says what it counted and what it did not look at before."""

import csv
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
import some_results
import tiny_project

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.checkpoint import load_bert
from pipeline import kinds, paths
from pipeline.data.tables import read_split
from pipeline.evaluation import results as written
from pipeline.evaluation.results import Results
from pipeline.params import Params
from pipeline.record import OtherFormatError
from pipeline.stages import evaluate, pack
from pipeline.tasks import scoring


def evaluated(found: Params) -> Results:
    for rung in found.deliver:
        pack.run(found, rung)
    evaluate.run(found)
    return written.read()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        yield evaluated(tiny_project.make())


def test_every_delivered_rung_and_the_teacher_are_scored(results: Results) -> None:
    delivered = ["w8", "w4", "w2", "w1", "w1a8", "w1a4", "w1a1", "w1a8_direct", "w1a1_random"]
    assert set(results.models) == {"teacher", *delivered}
    for model in results.models.values():
        assert model.score == model.scores["validation"]["accuracy"] == model.accuracy
        assert model.num_examples == 48


def test_a_model_has_collapsed_when_it_gives_one_answer_to_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These random models do; the teacher does not once its answers are set apart in the middle."""
    monkeypatch.chdir(tmp_path)
    found = tiny_project.make().model_copy(update={"deliver": ["w1"], "claims": []})
    split = read_split(paths.data_dir(found.task.name, "plain"), "validation")

    def set_apart(folder: Path) -> Any:
        model = load_bert(folder)
        if folder != evaluate.folder_of("teacher"):
            return model
        outputs_NL = scoring.logits(model, scoring.read(split, found.task, folder).encoded)
        model.classifier.bias.data[0] += float(np.median(outputs_NL[:, 1] - outputs_NL[:, 0]))
        return model

    monkeypatch.setattr(checkpoint, "load_bert", set_apart)
    models = evaluated(found).models
    assert {name: model.collapsed for name, model in models.items()} == {"teacher": False, "w1": True}
    assert models["w1"].collapsed_seeds == ["0"]


def test_sizes_are_those_of_the_written_files(results: Results) -> None:
    for name, model in results.models.items():
        written = (evaluate.folder_of(name) / "model.safetensors").stat().st_size
        assert (model.bytes, model.mib) == (written, written / 2**20)
        assert model.digest == files.sha256(evaluate.folder_of(name) / "model.safetensors")
    assert results.models["teacher"].ratio == 1
    assert results.models["w1"].ratio > 5


def test_the_gap_is_to_the_teacher(results: Results) -> None:
    models = results.models
    assert models["teacher"].gap == 0
    assert models["w1"].gap == models["w1"].score - models["teacher"].score


def test_steps_add_up_along_the_ladder(results: Results) -> None:
    steps = {name: model.total_steps / tiny_project.STEPS for name, model in results.models.items()}
    assert (steps["teacher"], steps["w8"], steps["w1"], steps["w1a1"]) == (0, 1, 4, 7)


def test_what_an_earlier_ladder_packed_says_nothing_of_this_ones_rung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    earlier = tiny_project.make()
    pack.run(earlier, "w4")
    found = earlier.model_copy(update={"deliver": ["w2"], "claims": []})
    monkeypatch.setattr(tiny_project, "STEPS", 3 * tiny_project.STEPS)
    tiny_project.train("w4", found.rungs["w4"], found)
    assert evaluated(found).models["w2"].total_steps == (1 + 3 + 1) * 40


def test_ancestors_reach_the_pretrained_model(results: Results) -> None:
    assert results.models["w2"].ancestors == ["pretrained", "teacher", "w8", "w4"]
    assert results.models["teacher"].ancestors == ["pretrained"]


def test_it_says_what_was_scored_and_what_chose_the_checkpoints(results: Results) -> None:
    assert results.checkpoint_selected_on == "selection"
    assert results.split == "validation"
    assert results.num_seeds == 1
    assert results.majority == {"validation": pytest.approx(2 / 3)}
    assert results.majority_score == pytest.approx(2 / 3)


def test_with_other_seeds_there_are_means_of_every_split_and_metric(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = tiny_project.make("mnli").model_copy(update={"deliver": ["w1"], "claims": []})
    own = evaluated(found)
    models = {
        name: model.model_copy(
            update={"scores": {split: {"accuracy": (model.accuracy or 0) + 0.2} for split in model.scores}}
        )
        for name, model in own.models.items()
    }
    other = written.of_seed(own.model_copy(update={"models": models}), seed=1)
    written.write(paths.seed_results(1), other)
    evaluate.run(found.model_copy(update={"seeds": [0, 1]}))
    again = written.read()
    assert again.num_seeds == 2
    for name, model in again.models.items():
        for split in model.scores:
            seeds = [own.models[name].scores[split]["accuracy"], other.models[name].scores[split]["accuracy"]]
            found_mean = model.means_of(split, "accuracy", again.models["teacher"]).mean
            assert found_mean == pytest.approx(np.mean(seeds))


def test_what_another_version_left_of_a_seed_is_refused_with_what_makes_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = tiny_project.make().model_copy(update={"seeds": [0, 1]})
    files.write_json(paths.seed_results(1), {"task": found.task.name, "models": {}})
    with pytest.raises(OtherFormatError, match="`dvc repro repeat@1` writes it anew"):
        evaluate.other_seed(found.task, 1)


def test_what_is_unusual_of_a_rung_is_said_and_of_the_teacher_nothing(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    found = tiny_project.make()
    lat = found.rungs["w2"].model_copy(update={"weight_quantizer": "lat"})
    changed = {"deliver": ["w2", "w1"], "claims": [], "weights": {**found.weights, "w2": lat}}
    models = evaluated(found.model_copy(update=changed)).models
    said = {name: model.unusual for name, model in models.items()}
    assert said == {"teacher": [], "w2": ["lat"], "w1": []}


def test_both_claims_of_the_default_ladder_are_stated(results: Results) -> None:
    assert [(claim.claim, *claim.rungs) for claim in results.claims] == [
        ("stepped", "w1a8", "w1a8_direct"),
        ("random_encoder_against_pretrained", "w1a1_random", "w1a1"),
    ]


def test_the_table_has_a_row_per_model_and_the_curves_one_per_point(results: Results) -> None:
    table = list(csv.DictReader(evaluate.TABLE.read_text().splitlines()))
    assert [row["rung"] for row in table][:3] == ["teacher", "w8", "w4"]
    assert len(table) == len(results.models)
    assert float(table[-1]["mib"]) > 0
    curves = list(csv.DictReader(evaluate.CURVES.read_text().splitlines()))
    assert len(curves) == 2 * 9
    assert {"rung", "step", "loss"} <= curves[0].keys()


def test_two_validation_splits_are_scored_and_the_first_counts(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = tiny_project.make("mnli").model_copy(update={"deliver": ["w1"]})
    results = evaluated(found)
    assert results.split == "validation_matched"
    assert set(results.models["w1"].scores) == {"validation_matched", "validation_mismatched"}


def test_a_task_with_two_metrics_scores_their_mean(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    model = evaluated(tiny_project.make("mrpc").model_copy(update={"deliver": ["w8"]})).models["w8"]
    found = model.scores["validation"]
    assert found.keys() == {"accuracy", "f1"}
    if model.score is not None:
        assert model.score == pytest.approx((found["accuracy"] + found["f1"]) / 2)


def test_a_regression_has_no_accuracy_and_no_majority_and_its_claims_are_judged_by_score(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    deliver = ["w1a8", "w1a8_direct"]
    results = evaluated(tiny_project.make("stsb").model_copy(update={"deliver": deliver}))
    assert results.models["w1a8"].accuracy is None
    assert results.majority == {"validation": None}
    assert results.majority_score is None
    assert [claim.measure for claim in results.claims] == ["score"]


def test_an_undefined_score_is_an_empty_cell() -> None:
    found = evaluate.table_csv({"w1": some_results.model(None)})
    assert found.splitlines()[1] == "w1,teacher,1,1,32,1,32,,,,,1,selection"


def test_the_table_has_the_means_that_others_show_and_says_over_how_many_seeds() -> None:
    every = [some_results.results({"teacher": some_results.teacher(score)}) for score in (0.8, 0.75, 0.7)]
    [row] = csv.DictReader(evaluate.table_csv(some_results.of_several_seeds(every).models).splitlines())
    assert (row["score"], row["mean"], row["std"], row["num_seeds"]) == ("0.8", "0.75", "0.05", "3")


def test_a_changed_packed_file_is_not_scored(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = tiny_project.make().model_copy(update={"deliver": ["w1"]})
    pack.run(found, "w1")
    (paths.packed_dir("w1") / "model.safetensors").write_bytes(b"")
    with pytest.raises(files.IntegrityError):
        evaluate.run(found)
    assert not evaluate.RESULTS.exists()


def constant(task: str, labels: list[int], tmp_path: Path) -> tuple[float | None, float | None]:
    found = made_up.params(tmp_path, f"task={task}", "model=minilm").task
    return kinds.of(found).constant(pd.DataFrame({"label": labels}), found)


@pytest.mark.parametrize(("labels", "share"), [([1, 1, 0], 2 / 3), ([0], 1.0), ([2, 1, 0, 1], 0.5)])
def test_the_majority_is_the_most_frequent_label(tmp_path: Path, labels: list[int], share: float) -> None:
    assert constant("mnli", labels, tmp_path) == (pytest.approx(share), pytest.approx(share))


def test_the_majoritys_score_is_in_the_tasks_own_metrics(tmp_path: Path) -> None:
    # Accuracy 2/3; F1 of answering 1 throughout: precision 2/3, recall 1.
    assert constant("mrpc", [1, 1, 0], tmp_path)[1] == pytest.approx((2 / 3 + 0.8) / 2)


def test_a_constant_answer_has_no_matthews_correlation(tmp_path: Path) -> None:
    assert constant("cola", [1, 1, 0], tmp_path) == (pytest.approx(2 / 3), None)
