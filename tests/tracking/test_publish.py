"""Publishing: complete, once per content, and again whenever the store lost it."""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ladder_on_disk import DELIVERED, LADDER, Project

from bitladder import files
from pipeline import paths, record
from pipeline.evaluation import results
from pipeline.evaluation.results import ClaimResult, OverSeeds
from pipeline.tracking import descriptions, execution, fields, links, publish, registry, store


@contextmanager
def client() -> Iterator[Any]:
    with store.opened(store.locate()) as opened:
        yield opened


def published(project: Project, page: Path | None = None) -> publish.Published:
    with client() as opened:
        return publish.publish(opened, store.locate(), execution.read(project.params), project.params, page)


def every_run(opened: Any) -> list[Any]:
    experiment = opened.get_experiment_by_name("bitladder/demo")
    return list(opened.search_runs([experiment.experiment_id], max_results=1000))


def test_every_model_becomes_a_run_under_the_execution(registered_project: Project) -> None:
    done = published(registered_project)
    with client() as opened:
        runs = every_run(opened)
        # Found by a search, a run comes without its model inputs.
        w1 = opened.get_run(done.runs["w1"])
        inputs = [entry.model_id for entry in w1.inputs.model_inputs]
        logged = opened.get_logged_model(done.logged_models["w1"])
        history = opened.get_metric_history(w1.info.run_id, "training/loss")
        flips = opened.get_metric_history(w1.info.run_id, "sign_flips/bert.pooler.dense.weight")
        kept = {entry.path for entry in opened.list_logged_model_artifacts(logged.model_id, "artifacts/w1")}
        teacher_keeps = [e.path for e in opened.list_logged_model_artifacts(done.logged_models["teacher"])]

    assert set(done.runs) == set(LADDER)
    assert set(done.versions) == set(DELIVERED)
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs} == {None, done.execution_run}
    assert inputs == [done.logged_models["w8"]]
    assert [(point.step, point.value) for point in history] == [(1, 0.9), (2, 0.5)]
    assert [(point.step, point.value) for point in flips] == [(1, 0.1), (2, 0.25)]
    assert w1.data.metrics["trained/sign_flips"] == 0.25
    assert w1.data.params["init.encoder"].startswith("copied from w8 (")
    assert w1.data.metrics["eval/validation/accuracy"] == 0.94
    assert w1.data.metrics["size/mib"] == 0.15
    assert w1.data.params["bits.weights"] == "1"
    assert w1.data.params["settings.learning_rate"] == "0.0003"
    assert w1.data.tags["bitladder.init_from_digest"] == registered_project.record("w8").digest
    assert w1.data.tags["bitladder.data.train"] == registered_project.record("w1").data["train"]
    assert {metric.key: metric.value for metric in logged.metrics}["eval/score"] == 0.94
    assert logged.status == "READY"
    packed = [*(path.name for path in (registered_project.root / "packed/w1").iterdir())]
    assert kept == {f"artifacts/w1/{name}" for name in packed}
    assert teacher_keeps == ["record.json"]


def test_pages_say_what_they_show_and_lead_to_the_report(project: Project) -> None:
    page = project.root / "report.html"
    page.write_text("the first")
    done = published(project, page)
    with client() as opened:
        experiment = opened.get_experiment_by_name("bitladder/demo")
        link = descriptions.report_page(experiment.experiment_id, done.execution_run, page)
        model = opened.get_registered_model("bitladder-demo")
        version = opened.get_model_version("bitladder-demo", done.versions["w1"])
        said = [opened.get_run(run).data.tags[descriptions.NOTE] for run in done.runs.values()]
        said += [opened.get_run(done.execution_run).data.tags[descriptions.NOTE]]
        said += [model.description, version.description]
        kept = [entry.path for entry in opened.list_artifacts(done.execution_run)]
    assert all(f"[Report]({link})" in note for note in said)
    assert sorted(kept) == ["report.html", "results.json"]
    assert experiment.tags[descriptions.NOTE]
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert links.of_project() == {
        "experiment": descriptions.runs_page(experiment.experiment_id),
        "registered model": descriptions.model_page("bitladder-demo"),
        "report": link,
    }


def test_another_report_of_the_same_results_takes_the_firsts_place(project: Project) -> None:
    page = project.root / "report.html"
    for text in ("the first", "timed again"):
        page.write_text(text)
        done = published(project, page)
    with client() as opened:
        kept = opened.download_artifacts(done.execution_run, "report.html")
    assert Path(kept).read_text() == "timed again"


def test_a_project_without_a_store_has_no_links(bare_project: Project) -> None:
    assert links.of_project() == {}


def test_publishing_twice_changes_nothing(registered_project: Project) -> None:
    first = published(registered_project)
    with client() as opened:
        before = [run.to_dictionary() for run in every_run(opened)]
    second = published(registered_project)
    with client() as opened:
        after = [run.to_dictionary() for run in every_run(opened)]
        count = len(registry.versions(opened, "bitladder-demo"))

    assert second.new_runs == second.new_versions == []
    assert (second.runs, second.logged_models, second.versions) == (
        first.runs,
        first.logged_models,
        first.versions,
    )
    assert before == after
    assert count == len(DELIVERED)


def test_a_changed_rung_alone_is_new_and_gets_a_new_version(registered_project: Project) -> None:
    first = published(registered_project)
    registered_project.train("w1a8_direct", seed=7)
    registered_project.evaluate(w1a8_direct=0.89)
    second = published(registered_project)

    assert second.new_runs == second.new_versions == ["w1a8_direct"]
    assert second.execution_run != first.execution_run
    assert second.runs["teacher"] == first.runs["teacher"]


def test_a_publication_cut_short_is_completed_on_the_same_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = publish._upload

    def breaks_at_w1(opened: Any, model: Any, *rest: Any) -> None:
        if model.name == "w1":
            raise KeyboardInterrupt
        real(opened, model, *rest)

    monkeypatch.setattr(publish, "_upload", breaks_at_w1)
    with pytest.raises(KeyboardInterrupt):
        published(project)
    with client() as opened:
        (cut,) = [run for run in every_run(opened) if run.info.run_name == "w1"]
        assert cut.info.status == "RUNNING"
        registered = {v.tags["bitladder.name"] for v in registry.versions(opened, "bitladder-demo")}
        assert registered.isdisjoint({"w1", "w1a8"})
    monkeypatch.setattr(publish, "_upload", real)
    done = published(project)

    assert done.runs["w1"] == cut.info.run_id
    with client() as opened:
        runs = every_run(opened)
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert len(runs) == len(LADDER) + 1
        assert len(opened.get_metric_history(cut.info.run_id, "training/loss")) == 2


def test_a_new_evaluation_of_the_same_weights_supersedes_the_older_one(registered_project: Project) -> None:
    first = published(registered_project)
    registered_project.evaluate(w1=0.91)
    second = published(registered_project)
    with client() as opened:
        found = {v.version: v for v in registry.versions(opened, "bitladder-demo")}
        old, new = (found[int(done.versions["w1"])] for done in (first, second))

    assert second.new_versions == ["w1"]
    assert old.tags["bitladder.superseded_by"] == second.versions["w1"]
    assert new.tags["bitladder.score"] == "0.91"

    registered_project.evaluate()
    third = published(registered_project)
    with client() as opened:
        found = {v.version: v for v in registry.versions(opened, "bitladder-demo")}
    assert third.versions == first.versions
    assert "bitladder.superseded_by" not in found[int(first.versions["w1"])].tags
    assert found[int(second.versions["w1"])].tags["bitladder.superseded_by"] == first.versions["w1"]


def test_claims_and_seeds_are_published_and_a_new_verdict_is_a_new_execution(project: Project) -> None:
    claim = ClaimResult(
        claim="stepped",
        statement="",
        rungs=["w1a8", "w1a8_direct"],
        measure="score",
        values=None,
        difference=0.05,
        standard_error=None,
        margin=0.02,
        differences={},
        num_seeds=3,
        verdict="holds",
        rule="",
        collapsed=[],
        score_is=None,
        num_examples=100,
        total_steps={},
        augmented_steps={},
        equal_steps=True,
        unequal=["data"],
    )
    seeds = {"mean": 0.93, "std": 0.01, "gap_mean": -0.02, "gap_std": 0.005, "num_seeds": 3}
    over = OverSeeds(
        scores={"0": 0.93, "1": 0.94, "2": 0.92},
        accuracies={},
        collapsed={"0": False, "1": True, "2": True},
        metrics={},
        **seeds,  # type: ignore[arg-type]
    )
    project.change_result("w1a8", seeds=over)
    found = results.read()
    results.write(paths.RESULTS, found.model_copy(update={"claims": [claim]}))
    first = published(project)
    changes = {"difference": None, "margin": None, "unequal": [], "verdict": "not judged"}
    results.write(paths.RESULTS, found.model_copy(update={"claims": [claim.model_copy(update=changes)]}))
    second = published(project)
    with client() as opened:
        runs = [opened.get_run(done.execution_run).data for done in (first, second)]
        rung = opened.get_run(first.runs["w1a8"]).data
    key = "claim/stepped/w1a8-over-w1a8_direct"
    assert [run.params[key] for run in runs] == ["holds (unequal data)", "not judged"]
    assert (runs[0].metrics[f"{key}/difference"], runs[0].metrics[f"{key}/margin"]) == (0.05, 0.02)
    assert not any(name.startswith("claim/") for name in runs[1].metrics)
    assert {name: rung.metrics[f"eval/seeds/{name}"] for name in seeds} == seeds
    assert rung.tags["bitladder.collapsed"] == "1, 2"
    assert second.runs == first.runs


def test_a_score_that_is_undefined_is_a_tag_and_no_metric(project: Project) -> None:
    project.evaluate(w1=None)
    done = published(project)
    with client() as opened:
        run = opened.get_run(done.runs["w1"])

    assert "eval/score" not in run.data.metrics
    assert run.data.tags["bitladder.invalid"] == "eval/score, eval/validation/accuracy"
    assert all(math.isfinite(value) for value in run.data.metrics.values())


def test_a_curve_that_diverged_keeps_its_finite_points(project: Project) -> None:
    found = execution.read(project.params)
    (w1,) = [model for model in found.models if model.name == "w1"]
    (project.root / w1.folder / "curve.csv").write_text("step,loss,score\n1,0.5,\n2,nan,\n3,inf,0.8\n")

    curve = [(p.key, p.step, p.value) for p in fields.points(w1) if p.key.startswith("training/")]
    undefined = [("training/loss", step, None) for step in (2, 3)]
    assert curve == [("training/loss", 1, 0.5), *undefined, ("training/score", 3, 0.8)]
    assert fields.tags(w1, None)["bitladder.invalid"] == "training/loss"


@pytest.mark.parametrize("folder", ["models/w1", "packed/w1"])
def test_a_flipped_bit_is_refused_before_anything_is_published(project: Project, folder: str) -> None:
    weights = project.root / folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(files.IntegrityError, match=f"{folder}/model.safetensors"):
        execution.read(project.params)


def test_a_child_of_another_parent_than_todays_is_refused(project: Project) -> None:
    project.train("w8", seed=3)
    project.evaluate()
    with pytest.raises(files.IntegrityError, match="models/w1: made from w8"):
        execution.read(project.params)


def test_a_packed_copy_of_another_model_is_refused(project: Project) -> None:
    with files.publish(project.root / "packed/w1") as made:
        record.write(made, project.record("w8"))
    with pytest.raises(files.IntegrityError, match="packed/w1"):
        execution.read(project.params)


def test_results_of_other_weights_are_refused(project: Project) -> None:
    project.train("w1a8", seed=3)
    with pytest.raises(files.IntegrityError, match="w1a8 was evaluated as"):
        execution.read(project.params)


def test_rungs_that_params_no_longer_name_are_left_alone(project: Project) -> None:
    shutil.copytree(project.root / "models/w1", project.root / "models/w3")
    assert {model.name for model in execution.read(project.params).models} == set(LADDER)


def test_values_too_long_for_mlflow_are_cut_visibly() -> None:
    assert fields.cut("x" * 6000).endswith("... (cut, 6000 characters)")
    assert fields.legal_key("init.layer{0}/q") == "init.layer_0_/q"
