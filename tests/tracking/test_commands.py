"""`bitladder lineage` and `bitladder best`: JSON for programs, a table for people, codes for shells."""

import json
import shutil

import pytest
from ladder_on_disk import Project, swap_packed

from pipeline.stages import register
from pipeline.tracking import ancestry, commands, registry, store
from pipeline.tracking.choice import Criteria, CriteriaError

AGAIN = "trained again since"


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
        *("init", "data", "logged_model_id", "run_id", "taught_by"),
    }


def test_lineage_as_a_table_shows_bits_and_what_was_copied(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.lineage("w1a8", as_json=False) == 0
    shown = capsys.readouterr().out
    assert "1-1-8" in shown
    digest = registered_project.record("w1").digest[:10]
    assert f"embeddings, encoder, pooler, head copied from w1 ({digest})" in shown


def test_a_disagreement_is_exit_code_4_and_on_stderr(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    registered_project.train("w1a8", seed=9)
    assert commands.lineage("w1a8", as_json=True) == 4
    shown = capsys.readouterr()
    assert json.loads(shown.out)["verified"] is False
    assert "w1a8: digest is" in shown.err


def test_a_packed_folder_that_mlflow_never_saw_is_exit_code_4(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    swap_packed(registered_project, "w1", "w8")
    assert commands.lineage("w1", as_json=True) == 4
    assert "w1: packed_digest is" in capsys.readouterr().err


def test_an_unknown_rung_is_exit_code_2_and_the_known_ones_are_named(
    bare_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.lineage("w1a9", as_json=False) == 2
    assert "w1a8_direct" in capsys.readouterr().err


def test_an_unpublished_rung_is_exit_code_1(project: Project) -> None:
    with pytest.raises(ancestry.NotPublishedError, match="dvc repro register") as failed:
        commands.lineage("w1a8", as_json=False)
    assert failed.value.exit_code == 1


def test_best_without_filters_asks_for_1_bit_weights_and_says_so(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.best(Criteria(), as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["rung"], shown["score"], shown["alias"]) == ("w1", 0.94, "champion")
    assert "1-bit weights" in shown["reason"]
    assert [one["rung"] for one in shown["candidates"]] == ["w1", "w1a8", "w1a8_direct"]
    assert [(one["rung"], one["because"]) for one in shown["excluded"]] == [("w8", "8-bit weights, wanted 1")]


def test_best_is_the_one_with_the_best_mean_over_seeds_and_the_output_says_so(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    registered_project.repeat(w1=0.85, w1a8=0.92, w1a8_direct=None)
    register.run(registered_project.params)
    assert "because its score 0.9200 (mean over 3 seeds) is the highest of 2" in capsys.readouterr().out
    assert commands.best(Criteria(), as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    found = {name: shown[name] for name in ("rung", "score", "mean", "num_seeds")}
    assert found == {"rung": "w1a8", "score": 0.93, "mean": 0.92, "num_seeds": 3}
    assert commands.best(Criteria(), as_json=False) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "champion = w1a8" in text
    assert "Score: of several seeds their mean, which is what ranks" in text


def test_a_rung_that_gives_one_answer_is_not_the_best_however_it_scores(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    registered_project.repeat(w1=0.94, w1a8=0.93)
    registered_project.collapse("w1", seed=2)
    registered_project.collapse("w1a8_direct")
    register.run(registered_project.params)
    capsys.readouterr()
    assert commands.best(Criteria(), as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["rung"] == "w1a8"
    excluded = {one["rung"]: one["because"] for one in shown["excluded"] if one["collapsed"]}
    said = "gives one answer to all rows (seed {})".format
    assert excluded == {"w1": said(2), "w1a8_direct": said(0)}


def test_a_choice_made_by_hand_outlives_register(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.best(Criteria(activation_bits=8), as_json=False) == 0
    assert "champion = w1a8" in capsys.readouterr().out
    register.run(registered_project.params)
    assert "champion = w1a8" in capsys.readouterr().out
    with store.opened(store.locate()) as client:
        assert registry.remembered(client, "bitladder-demo") == Criteria(activation_bits=8)


def test_a_choice_made_by_hand_outlives_the_store(
    registered_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands.best(Criteria(activation_bits=8), as_json=False) == 0
    shutil.rmtree(registered_project.root / store.HOME)
    # Elsewhere, since this process would go on reading the deleted database through a connection it holds.
    moved = Project(registered_project.root.rename(registered_project.root.with_name("moved")))
    monkeypatch.chdir(moved.root)
    capsys.readouterr()
    register.run(moved.params)
    assert "6 runs new, 0 unchanged; 4 versions new, 0 unchanged; champion = w1a8 " in capsys.readouterr().out
    with store.opened(store.locate()) as client:
        assert registry.remembered(client, "bitladder-demo") == Criteria(activation_bits=8)


def test_criteria_that_were_damaged_are_told_and_not_replaced(registered_project: Project) -> None:
    shutil.rmtree(registered_project.root / store.HOME)
    registry.kept_in("bitladder-demo").write_text('{"max_mib": ')
    with pytest.raises(CriteriaError, match=r"champion-bitladder-demo\.json: not the criteria"):
        register.run(registered_project.params)


def test_other_limits_do_not_lift_the_one_on_weights(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.best(Criteria(min_score=0.0), as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["rung"], shown["criteria"]["weight_bits"]) == ("w1", 1)
    assert "1-bit weights, a score of at least 0.0" in shown["reason"]
    assert commands.best(Criteria(weight_bits=0), as_json=False) == 0
    assert "champion = w8" in (table := capsys.readouterr().out)
    assert "weights of any bits" in table


def test_a_rung_trained_again_does_not_win_with_what_it_was(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("w1", "w1a8"):
        registered_project.train(name, seed=1)
    registered_project.evaluate(w1=0.5, w1a8=0.4)
    register.run(registered_project.params)
    assert "champion = w1a8_direct " in capsys.readouterr().out
    assert commands.best(Criteria(), as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["rung"] for one in shown["candidates"]] == ["w1a8_direct", "w1", "w1a8"]
    left_out = [(one["rung"], one["score"]) for one in shown["excluded"] if one["because"] == AGAIN]
    assert left_out == [("w1", 0.94), ("w1a8", 0.93)]


def test_a_registry_is_asked_without_the_models(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(registered_project.root / "models")
    assert commands.best(Criteria(), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["rung"] == "w1"


def test_criteria_that_nothing_meets_are_exit_code_1_and_explained(
    registered_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.best(Criteria(max_mib=0.01), as_json=False) == 1
    shown = capsys.readouterr().out
    assert "Nothing chosen" in shown
    assert "0.15 MiB, at most 0.01 wanted" in shown


def test_a_filter_that_is_no_number_is_refused(registered_project: Project) -> None:
    with pytest.raises(CriteriaError):
        commands.best(Criteria(max_mib=float("nan")), as_json=True)
