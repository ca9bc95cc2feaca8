"""A lineage is proved when MLflow and the records tell the same story; else it says where they do not."""

import shutil
from dataclasses import replace
from typing import Any

import pytest
from ladder_on_disk import Project, swap_packed

from bitladder import files
from bitladder.quantizers.precision import Precision
from pipeline import record
from pipeline.record import Record
from pipeline.stages import register
from pipeline.tracking import ancestry, store


def traced(rung: str) -> ancestry.Lineage:
    with store.opened(store.locate()) as client:
        return ancestry.trace(client, "demo", rung)


def rewrite(project: Project, name: str, **changes: Any) -> None:
    """Change a record as somebody would who also knows about manifests."""
    folder = project.root / "models" / name
    own: Record = replace(project.record(name), **changes)
    record.write(folder, own)
    manifest = files.read_json(folder / files.MANIFEST)
    manifest["files"]["record.json"]["sha256"] = files.sha256(folder / "record.json")
    files.write_json(folder / files.MANIFEST, manifest)


@pytest.mark.parametrize(
    ("rung", "chain"),
    [
        ("w1a8", ["w1a8", "w1", "w8", "teacher", "pretrained"]),
        ("w1a8_direct", ["w1a8_direct", "teacher", "pretrained"]),
        ("teacher", ["teacher", "pretrained"]),
    ],
)
def test_a_rung_is_walked_back_to_the_teacher(
    registered_project: Project, rung: str, chain: list[str]
) -> None:
    lineage = traced(rung)
    assert lineage.verified, lineage.disagreements
    assert [step.record.name for step in lineage.chain] == chain
    for step in lineage.chain:
        assert step.record == registered_project.record(step.record.name)


def test_a_step_tells_bits_score_size_and_first_weights(registered_project: Project) -> None:
    step = traced("w1a8").chain[0]
    shown = step.as_json()
    assert shown["bits"] == {"weights": 1, "embeddings": 1, "activations": 8}
    assert (shown["score"], shown["mib"], shown["parent"]) == (0.93, 0.15, "w1")
    assert {part["digest"] for part in shown["init"]} == {registered_project.record("w1").digest}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"digest": "f" * 64}, "w8: digest is ffff"),
        ({"parent_digest": "f" * 64}, "w8: init_from_digest is ffff"),
        ({"parent": "pretrained"}, "w8: init_from is pretrained on disk, teacher in MLflow"),
        (
            {"precision": Precision(4, 8)},
            "w8: weight_bits is 4 on disk, 8 in MLflow",
        ),
        ({"seed": 5}, "w8: record_digest is"),
        ({"teacher": "w1"}, "w8: teacher is w1 on disk, teacher in MLflow"),
        ({"teacher": "w1"}, "w8: taught by w1 "),
    ],
)
def test_a_tampered_record_is_named(
    registered_project: Project, change: dict[str, Any], expected: str
) -> None:
    rewrite(registered_project, "w8", **change)
    lineage = traced("w1a8")
    assert not lineage.verified
    assert any(text.startswith(expected) for text in lineage.disagreements), lineage.disagreements
    assert all(text.startswith("w8: ") for text in lineage.disagreements)


def test_a_tampered_tag_in_mlflow_is_named(registered_project: Project) -> None:
    with store.opened(store.locate()) as client:
        model_id = traced("w1").chain[0].logged_model_id
        client.set_logged_model_tags(model_id, {"bitladder.init_from_digest": "0" * 64})
    assert [text[:24] for text in traced("w1a8").disagreements] == ["w1: init_from_digest is "]


def test_flipped_weights_are_named(registered_project: Project) -> None:
    weights = registered_project.root / "models/w8/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    (text,) = traced("w1a8").disagreements
    assert text.startswith("models/w8/model.safetensors: sha256")


@pytest.mark.parametrize("name", ["w1a8", "w1", "w8"])
def test_another_models_packed_files_are_named(registered_project: Project, name: str) -> None:
    swap_packed(registered_project, name, "w1a8_direct")
    (text,) = traced("w1a8").disagreements
    assert text.startswith(f"{name}: packed_digest is ")
    assert f"packed/{name}/model.safetensors" in text


def test_flipped_codes_are_named(registered_project: Project) -> None:
    codes = registered_project.root / "packed/w1/model.safetensors"
    codes.write_bytes(codes.read_bytes()[:-1] + b"\xff")
    (text,) = traced("w1a8").disagreements
    assert text.startswith("packed/w1/model.safetensors: sha256")


def test_a_lineage_needs_no_packed_folder(registered_project: Project) -> None:
    shutil.rmtree(registered_project.root / "packed")
    assert traced("w1a8").verified


def test_a_parent_packed_anew_after_its_child_was_registered_agrees(registered_project: Project) -> None:
    with files.publish(registered_project.root / "packed/w1") as made:
        (made / "model.safetensors").write_bytes(b"the same codes, laid out otherwise")
        record.write(made, registered_project.record("w1"))
    register.run(registered_project.params)
    assert traced("w1a8").verified, traced("w1a8").disagreements


def test_a_rung_trained_again_and_not_registered_is_no_proof(registered_project: Project) -> None:
    registered_project.train("w1a8", seed=9)
    assert traced("w1a8").disagreements[0].startswith("w1a8: digest is")


def test_a_rung_that_was_never_published_is_said_to_be_so(project: Project) -> None:
    with pytest.raises(ancestry.NotPublishedError, match="w1a8: MLflow has no model of that name"):
        traced("w1a8")
