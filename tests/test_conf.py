"""Every choice in conf/ composes, and what composes is accepted, or refused for the reason it should be."""

from pathlib import Path

import pytest
from made_up import CONF
from made_up import params as composed
from ruamel.yaml import YAML

from flows.compose import compose, main
from pipeline.ladder.claims import KINDS
from pipeline.params import Params
from pipeline.params_file import ParamsError
from pipeline.rungs import ancestry

ROOTS = ("init_from", "taught_by")
# What the rungs of each ladder are called in papers.yaml, where two ladders share names.
IN_PAPERS = {
    "two_stage": {},
    "direct": {
        **{name: f"{name}_direct" for name in ("w4", "w2", "w1", "w1a8", "w1a4")},
        "w1a1": "w1a1_pretrained",
    },
    "binarybert": {},
    "ternarybert": {"w2a8": "w2a8_ternarybert", "w2a8_lat": "w2a8_ternarybert_lat"},
    "bit": {name: f"{name}_bit" for name in ("w1a2", "w1a1")},
    "partially_random": {"w1a1": "w1a1_pretrained"},
}


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def test_the_committed_file_is_the_composition_of_the_defaults() -> None:
    committed = (CONF.parent / "params.yaml").read_text(encoding="utf-8")
    assert YAML(typ="safe").load(committed) == YAML(typ="safe").load(compose((), CONF))


@pytest.mark.parametrize(
    "overrides",
    [
        ["task=mrpc", "model=minilm"],
        ["experiment=cola", "data.root=/data"],
        ["experiment=embeddings/minilm", "data.root=/data"],
    ],
)
def test_the_text_is_the_one_dvc_writes(tmp_path: Path, overrides: list[str]) -> None:
    from dvc.utils.hydra import compose_and_dump

    path = tmp_path / "params.yaml"
    compose_and_dump(path, str(CONF), None, "config", str(CONF), overrides)
    assert path.read_text(encoding="utf-8") == compose(overrides, CONF)


def test_what_was_written_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf").symlink_to(CONF)
    overrides = ["task=mrpc", "model=minilm", "budget=quick", "ladder=binarybert"]
    assert main(overrides) == 0
    said = "params.yaml written: task mrpc, model minilm, budget quick, rungs "
    assert capsys.readouterr().out.startswith(said)
    assert Path("params.yaml").read_text(encoding="utf-8") == compose(overrides, CONF)


def test_a_refused_composition_is_not_said_to_be_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf").symlink_to(CONF)
    assert main(["task=mrpc"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err[:11]) == ("", "params.yaml")


@pytest.mark.parametrize("model", ["minilm", "bert-base"])
def test_every_task_goes_with_every_real_model(tmp_path: Path, model: str) -> None:
    own = {
        "custom": ("data.files.train=mine.csv", "task.label_names=[no,yes]"),
        "embeddings": ("data.corpus=text.txt",),
    }
    for task in choices("task"):
        chosen = (f"task={task}", f"model={model}", "budget=quick", *own.get(task, ()))
        params = composed(tmp_path, *chosen)
        assert (params.task.name, params.model.name, params.budget.name) == (task, model, "quick")


@pytest.mark.parametrize("ladder", choices("ladder"))
def test_every_ladder_goes_with_every_budget_and_kind_of_task(tmp_path: Path, ladder: str) -> None:
    for budget in choices("budget"):
        assert composed(tmp_path, f"budget={budget}", f"ladder={ladder}").budget.name == budget
    for task, model in (("mnli", "bert-base"), ("stsb", "minilm"), ("squad_v2", "minilm")):
        found = composed(
            tmp_path, f"task={task}", f"model={model}", f"ladder={ladder}", "data.corpus=text.txt"
        )
        assert found.task.name == task


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_an_experiment_chooses_all_that_a_table_was_made_with_but_where_the_data_lie(
    tmp_path: Path, experiment: str
) -> None:
    """Of the data's place alone nothing can be said beforehand."""
    with pytest.raises(ParamsError, match=r"data\.root"):
        composed(tmp_path, f"experiment={experiment}")
    found = composed(tmp_path, f"experiment={experiment}", "data.root=/data")
    assert (found.task.name, found.model.name, found.data.source) == (experiment, "minilm", "path")
    assert set(found.deliver) == set(composed(tmp_path, "ladder=papers").deliver)


def test_the_example_of_an_encoder_needs_nothing_and_the_long_one_a_place(tmp_path: Path) -> None:
    """Every rung of both has the loss that the task has."""
    example = composed(tmp_path, "experiment=embeddings/example")
    for file in ("sentences.txt", "questions.csv", "pairs.csv", "graded.csv"):
        assert (CONF.parent / "examples" / file).is_file()
    found = composed(tmp_path, "experiment=embeddings/minilm", "data.root=/data")
    assert found.distillation == example.distillation == found.general["sentences_w1a8"].distillation


@pytest.mark.parametrize("own", ["longer/cola", "longer/mrpc", "longer/sst2", "best/cola", "best/mrpc"])
def test_further_ladders_are_held_against_the_table_s_own_teacher(tmp_path: Path, own: str) -> None:
    """By all that a teacher is made from, and `evaluations`, which its checkpoint is one of."""
    further, table = (
        composed(tmp_path, f"experiment={name}", "data.root=/data") for name in (own, Path(own).name)
    )
    for field in ("seed", "seeds", "evaluation", "task", "model"):
        assert getattr(further, field) == getattr(table, field), field
    assert further.training.teacher == table.training.teacher
    for field in ("gradients", "bucket_batches"):
        assert getattr(further.training, field) == getattr(table.training, field), field
    for field in ("teacher", "evaluations"):
        assert getattr(further.budget, field) == getattr(table.budget, field), field


@pytest.mark.parametrize("task", choices("experiment/best"))
def test_the_best_ladder_s_general_rungs_serve_every_task(tmp_path: Path, task: str) -> None:
    """All that they are made from is the same, so they are trained once."""
    own, other = (composed(tmp_path, f"experiment=best/{name}", "data.root=/data") for name in (task, "cola"))
    assert (own.general, own.data.corpus, own.model) == (other.general, other.data.corpus, other.model)
    for field in ("general", "gradients", "bucket_batches", "processes"):
        assert getattr(own.training, field) == getattr(other.training, field), field
    assert own.budget.evaluations == other.budget.evaluations


def steps_of(params: Params, name: str, data: str | None = None) -> int:
    """All the steps on the way to a rung, or those on such data."""
    way = [params.rungs[one] for one in ancestry(params.rungs, name)[:-1]]
    return sum(params.duration_of(rung).steps or 0 for rung in way if data in (None, rung.data))


@pytest.mark.parametrize("ladder", ["two_stage", "claims"])
def test_both_sides_of_their_claims_have_equal_steps_and_equal_data_but_where_data_are_claimed(
    tmp_path: Path, ladder: str
) -> None:
    found = composed(tmp_path, f"ladder={ladder}")
    for claim in found.claims:
        for data in [None] if KINDS[claim.claim].is_about_data else [None, "augmented"]:
            better, worse = (steps_of(found, name, data) for name in (claim.better, claim.worse))
            assert better == worse, (claim, data)


def test_in_epochs_the_epochs_are_equal(tmp_path: Path) -> None:
    """Of each rung's own rows: claims between arms of unequal steps say so."""
    found = composed(tmp_path, "budget=paper")
    ways = {name: ancestry(found.rungs, name)[:-1] for name in ("w1a8_direct", "w1a1_random")}
    epochs = {name: [found.duration_of(found.rungs[one]).epochs for one in way] for name, way in ways.items()}
    assert epochs == {"w1a8_direct": [4 * 3, 3], "w1a1_random": [3 + 20, 5 * 3]}


def test_a_ladder_delivers_every_model_that_a_claim_is_about(tmp_path: Path) -> None:
    for ladder in choices("ladder"):
        found = composed(tmp_path, f"ladder={ladder}")
        assert {name for claim in found.claims for name in (claim.better, claim.worse)} <= {*found.deliver}


@pytest.mark.parametrize(("ladder", "names"), IN_PAPERS.items())
def test_the_table_of_both_papers_has_every_rung_of_its_ladders(
    tmp_path: Path, ladder: str, names: dict[str, str]
) -> None:
    """papers.yaml repeats the recipes of other files, and held to them, steps apart; two_stage up to w1a1."""
    papers = composed(tmp_path, "ladder=papers").rungs
    rungs = composed(tmp_path, f"ladder={ladder}").rungs
    recipe = ancestry(rungs, "w1a1")[:-1] if ladder == "two_stage" else rungs
    for name, rung in ((name, rungs[name]) for name in recipe):
        roots = {field: names.get(getattr(rung, field), getattr(rung, field)) for field in ROOTS}
        repeated = papers[names.get(name, name)]
        drawn = {selector: origin for selector, origin in rung.init.items() if origin.is_drawn}
        without_steps = repeated.model_copy(update={"duration": rung.duration})
        assert without_steps == rung.model_copy(update={**roots, "init": drawn}), name


def test_augmentation_runs_with_a_model_that_has_no_masked_lm_head(tmp_path: Path) -> None:
    """MiniLM has none, so its words come from their neighbours alone."""
    found = composed(tmp_path, "task=cola", "model=minilm").augmentation
    other = composed(tmp_path, "task=cola", "model=bert-base").augmentation
    assert (found.contextual, found.embedding) == (0, other.contextual + other.embedding)


def test_the_demo_model_knows_no_other_task(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="-S model=minilm") as caught:
        composed(tmp_path, "task=mrpc")
    assert len(caught.value.problems) == 1


def test_a_folder_of_data_can_stand_in_for_the_hub(tmp_path: Path) -> None:
    params = composed(tmp_path, "task=rte", "model=minilm", "data.source=path", "data.root=/somewhere/else")
    assert (params.data.source, params.data.root) == ("path", "/somewhere/else")


def test_one_rung_can_be_changed_on_the_command_line(tmp_path: Path) -> None:
    params = composed(tmp_path, "weights.w1.init_from=w4", "+weights.w1.learning_rate=1e-5")
    assert params.weights["w1"].init_from == "w4"
    assert params.weights["w1"].learning_rate == 1e-5


def test_the_official_metrics_and_splits_are_kept(tmp_path: Path) -> None:
    known = [task for task in choices("task") if task not in ("custom", "embeddings")]
    tasks = {task: composed(tmp_path, f"task={task}", "model=minilm").task for task in known}
    metrics = {name: list(task.metrics) for name, task in tasks.items()}
    assert metrics.pop("cola") == ["matthews_correlation"]
    assert metrics.pop("stsb") == ["pearson", "spearman"]
    assert metrics.pop("mrpc") == metrics.pop("qqp") == ["accuracy", "f1"]
    assert metrics.pop("squad") == metrics.pop("squad_v2") == ["exact_match", "f1"]
    assert set(map(tuple, metrics.values())) == {("accuracy",)}
    assert tasks["mnli"].validation_splits == ["validation_matched", "validation_mismatched"]
    assert tasks["mnli"].label_names == ["entailment", "neutral", "contradiction"]
    assert tasks["rte"].label_names == tasks["qnli"].label_names == ["entailment", "not_entailment"]
    assert tasks["wnli"].label_names == ["not_entailment", "entailment"]


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_choice_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8").removeprefix("# @package _global_\n")
    assert text.startswith("# ")
