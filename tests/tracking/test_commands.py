"""`bitladder lineage` and `bitladder best`: JSON for programs, a table for people, codes for shells."""

import json

import pytest
from ladder_on_disk import Project

from pipeline.stages import register
from pipeline.tracking import commands, registry, store
from pipeline.tracking.registry import CriteriaError


def test_lineage_as_json_is_the_whole_proof(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.lineage("w1a8", as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["verified"] is True
    assert (shown["rung"], shown["task"]) == ("w1a8", "demo")
    assert [step["name"] for step in shown["chain"]] == ["w1a8", "w1", "w8", "teacher", "pretrained"]
    assert set(shown["chain"][0]) == {
        *("name", "stage", "parent", "bits", "score", "mib", "digest"),
        *("init", "data", "logged_model_id", "run_id"),
    }


def test_lineage_as_a_table_shows_bits_and_what_was_copied(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.lineage("w1a8", as_json=False) == 0
    shown = capsys.readouterr().out
    assert "1-1-8" in shown
    assert f"w1: embeddings, encoder copied from {registered_project.record('w1').digest[:10]}" in shown


def test_a_disagreement_is_exit_code_4_and_on_stderr(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    registered_project.train("w1a8", seed=9)
    assert commands.lineage("w1a8", as_json=True) == 4
    shown = capsys.readouterr()
    assert json.loads(shown.out)["verified"] is False
    assert "w1a8: digest is" in shown.err


def test_an_unknown_rung_is_exit_code_2_and_the_known_ones_are_named(
    bare_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.lineage("w1a9", as_json=False) == 2
    assert "w1a8_direct" in capsys.readouterr().err


def test_an_unpublished_rung_is_exit_code_1(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.lineage("w1a8", as_json=False) == 1
    assert "dvc repro register" in capsys.readouterr().err


def test_best_without_filters_asks_for_1_bit_weights_and_says_so(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.best(None, None, None, as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["rung"], shown["score"], shown["alias"]) == ("w1", 0.94, "champion")
    assert "1-bit weights" in shown["reason"]
    assert [one["rung"] for one in shown["candidates"]] == ["w1", "w1a8", "w1a8_direct"]
    assert [(one["rung"], one["because"]) for one in shown["excluded"]] == [("w8", "8-bit weights, wanted 1")]


def test_a_choice_made_by_hand_outlives_register(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.best(None, None, 8, as_json=False) == 0
    assert "champion = w1a8" in capsys.readouterr().out
    register.run(registered_project.params)
    assert "champion = w1a8" in capsys.readouterr().out
    with store.opened(store.locate()) as client:
        assert registry.remembered(client, "bitladder-demo").activation_bits == 8


def test_criteria_that_nothing_meets_are_exit_code_1_and_explained(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.best(0.01, None, None, as_json=False) == 1
    shown = capsys.readouterr().out
    assert "Nothing chosen" in shown
    assert "0.15 MiB, at most 0.01 wanted" in shown


def test_a_filter_that_is_no_number_is_refused(registered_project: Project) -> None:
    with pytest.raises(CriteriaError):
        commands.best(float("nan"), None, None, as_json=True)
