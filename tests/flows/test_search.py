"""A search: what is tried, what is trained once, what is left after a stop, and what is written.

Training is stood in for; the slow tests of test_search_trained.py run real stages.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import search_project
from filelock import FileLock
from optuna.trial import TrialState
from ruamel.yaml import YAML
from search_project import LADDERS, KilledError, Work

from bitladder import files
from flows import processes
from flows.search import command, kept, space, study
from pipeline import paths
from pipeline.params_file import ParamsError, load
from pipeline.reporting import search
from pipeline.reporting.search import Search


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    search_project.make(root)
    return root


@pytest.fixture
def work(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """What trains; the working directory is a project of the test's own."""
    monkeypatch.chdir(shutil.copytree(made_once, tmp_path / "project", symlinks=True))
    stand_in = Work()
    monkeypatch.setattr(kept, "train", stand_in)
    monkeypatch.setattr(command, "_make_ready", lambda wanted, general: None)
    return stand_in


def run(trials: int, *, jobs: int = 1, **others: Any) -> Search:
    """The search, to its end; what it wrote."""
    name = others.pop("name", "found")
    options = {"steps": None, "storage": None, "seed": 0} | others
    assert command.main("small", name=name, trials=trials, jobs=jobs, **options) == 0
    return search.read(search.path(name))


def states(asked: Any) -> list[str]:
    return [trial.state.name for trial in asked.get_trials()]


def opened() -> Any:
    params = load(paths.PARAMS)
    wanted, values = space.load("small", params), command.read_mapping(paths.PARAMS)
    return study.open_study(command.study_name("small", wanted, values), study.DATABASE)


@pytest.fixture(scope="module")
def searched(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Search, Work]]:
    """A space that has been searched to its end; the working directory is its project."""
    root = tmp_path_factory.mktemp("searched") / "project"
    shutil.copytree(made_once, root, symlinks=True)
    stand_in = Work()
    with pytest.MonkeyPatch.context() as patch, chdir(root):
        patch.setattr(kept, "train", stand_in)
        patch.setattr(command, "_make_ready", lambda wanted, general: None)
        yield run(1000), stand_in


def test_known_ladders_are_tried_first_and_the_best_of_all_wins(searched: tuple[Search, Work]) -> None:
    found, _ = searched
    assert [trial.name for trial in found.trials[:2]] == ["straight", "stepped"]
    assert found.best is not None
    trained = [trial for trial in found.trials if trial.how == "trained"]
    assert found.best.score == max(trial.score or 0 for trial in trained)


def test_no_ladder_is_tried_twice_and_when_all_are_tried_it_ends(searched: tuple[Search, Work]) -> None:
    found, _ = searched
    tried = [json.dumps({name: rung.chosen for name, rung in trial.rungs.items()}) for trial in found.trials]
    assert len(tried) == len(set(tried)) == found.ladders == LADDERS


def test_a_rung_of_two_ladders_is_trained_once(searched: tuple[Search, Work]) -> None:
    found, work = searched
    assert work.done.count("w2") <= 2  # two kinds of rows
    saved = sum(trial.core_seconds_alone - trial.core_seconds for trial in found.trials)
    assert sum(trial.core_seconds for trial in found.trials) == 60 * len(work.done)
    assert saved > 0


def test_a_ladder_below_the_median_is_stopped_at_its_evaluation(searched: tuple[Search, Work]) -> None:
    found, _ = searched
    stopped = [trial for trial in found.trials if trial.how == "stopped"]
    assert stopped
    best = max(trial.score or 0 for trial in found.trials)
    assert all("below the median at evaluation 1" in (trial.why or "") for trial in stopped)
    assert all((trial.score or 0) < best for trial in stopped)


def test_each_choice_has_its_share_of_the_variance(searched: tuple[Search, Work]) -> None:
    found, _ = searched
    assert found.importance
    assert sum(found.importance.values()) == pytest.approx(1, abs=0.01)
    assert list(found.importance.values()) == sorted(found.importance.values(), reverse=True)


def test_the_ladder_that_is_found_is_the_trial_s_own(searched: tuple[Search, Work]) -> None:
    """In a project that has only the ladder's file, each rung is made from what the trial's was."""
    found, _ = searched
    text = Path("conf/ladder/found.yaml").read_text(encoding="utf-8")
    assert text.startswith("# @package _global_\n# Found by `bitladder search`")
    assert found.best is not None
    assert found.study in text
    assert f"{found.best.score:.4f}" in text
    ladder = YAML(typ="safe").load(text)
    assert [*ladder["weights"], *ladder["weights_activations"]] == list(found.best.rungs)
    values = {**command.read_mapping(paths.PARAMS), **ladder, "seeds": [0]}
    assert all(kept.is_whole(rung) for rung in kept.chain(values))


def test_every_ladder_has_the_same_steps_in_all(work: Work) -> None:
    found = run(4, steps=43)
    assert {sum(rung.steps for rung in trial.rungs.values()) for trial in found.trials} == {43}


def test_what_one_search_has_trained_another_does_not_train_again(work: Work) -> None:
    run(2)
    text = search_project.SPACE.replace("[5.0e-4, 1.0e-3]", "[5.0e-4, 2.0e-3]")
    files.write_text(Path("conf/search/small.yaml"), text)
    run(3)
    assert len(work.done) == len(search_project.trained())


def test_the_same_command_again_adds_nothing_and_more_trials_go_on(work: Work) -> None:
    first = run(2)
    assert run(2).trials == first.trials
    more = run(3)
    assert more.trials[:2] == first.trials
    assert len(more.trials) == 3


def test_the_seed_decides_what_is_tried(work: Work) -> None:
    first = [trial.rungs for trial in run(4).trials]
    shutil.rmtree(kept.HOME)
    assert [trial.rungs for trial in run(4).trials] == first
    shutil.rmtree(kept.HOME)
    assert [trial.rungs for trial in run(4, seed=100).trials] != first


def test_killed_it_goes_on_with_the_same_ladder_and_keeps_what_was_trained(work: Work) -> None:
    work.killed_at = "w1"  # of `stepped`, after its w2
    with pytest.raises(KilledError):
        run(2)
    assert states(opened()) == ["COMPLETE", "RUNNING"]
    found = run(2)
    assert work.done == ["w1a8", "w2", "w1", "w1a8"]
    assert states(opened()) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert [trial.name for trial in found.trials] == ["straight", "stepped"]
    assert found.trials[1].core_seconds == found.trials[1].core_seconds_alone == 180.0


def test_a_trial_that_another_process_is_at_is_left_to_it(work: Work) -> None:
    work.killed_at = "w1a8"
    with pytest.raises(KilledError):
        run(1)
    asked = opened()
    with FileLock(study._lock(asked, 0)):
        assert command.main("small", name="found", trials=1, steps=None, storage=None, jobs=1, seed=0) == 0
        assert states(opened())[0] == "RUNNING"
    run(1)
    assert states(opened())[0] == "FAIL"


def test_of_another_machine_only_the_heartbeat_tells(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.killed_at = "w1a8"
    with pytest.raises(KilledError):
        run(1)
    monkeypatch.setattr(study, "_place", lambda: "another working copy")
    study.free_dead(opened())
    assert states(opened())[0] == "RUNNING"
    monkeypatch.setattr(study, "GRACE_S", 1)
    monkeypatch.setattr(study, "HEARTBEAT_S", 1)
    threading.Event().wait(2.1)
    study.free_dead(opened())
    assert states(opened())[0] == "FAIL"
    assert states(opened())[-1] == "WAITING"


def test_two_at_once_share_the_work(work: Work) -> None:
    work.waits = threading.Barrier(2)  # each training waits for another one beside it
    found = run(2, jobs=2)
    assert [trial.how for trial in found.trials] == ["trained", "trained"]


def test_two_searches_on_one_database_share_the_study(work: Work) -> None:
    with ThreadPoolExecutor(2) as pool:
        wait = threading.Barrier(2)

        def one(number: int) -> None:
            asked = opened()
            wait.wait(timeout=10)
            params = load(paths.PARAMS)
            bench = command.trial.Bench(
                space.load("small", params),
                command.read_mapping(paths.PARAMS),
                params.budget.evaluations,
                command.Shown("test", num_steps=40, num_trials=6),
                threading.Event(),
            )
            while command._one(bench, asked, 6, seed=0):
                pass

        list(pool.map(one, range(2)))
    done = [trial for trial in opened().get_trials() if study.is_done(trial)]
    assert len(done) == 6
    assert len({json.dumps(trial.params, sort_keys=True) for trial in done}) == 6
    assert len(work.done) == len(search_project.trained())


def test_training_that_diverges_is_told_and_the_search_goes_on(work: Work) -> None:
    work.fails = processes.EndedError("w1a8 ended with exit code 5: loss is nan", 5)
    found = run(2)
    assert [(trial.how, trial.why) for trial in found.trials] == [
        ("failed", "w1a8 ended with exit code 5: loss is nan"),
        ("failed", "w1a8 ended with exit code 5: loss is nan"),
    ]
    assert found.best is None
    assert not Path("conf/ladder/found.yaml").exists()


def test_what_would_fail_every_trial_ends_the_search(work: Work) -> None:
    work.fails = processes.EndedError("w1a8 ended with exit code 4: models/teacher: no manifest", 4)
    with pytest.raises(processes.EndedError) as caught:
        run(2)
    assert caught.value.exit_code == 4
    work.fails = None
    assert [trial.name for trial in run(2).trials] == ["stepped", "straight"]


def test_another_teacher_or_other_training_is_another_study(work: Work) -> None:
    first = run(1).study
    with files.publish(paths.model_dir("teacher")) as folder:
        files.write_text(folder / paths.WEIGHTS, "another teacher")
    second = run(1).study
    search_project.repeat_project.compose(Path(), "training.rung.weight_decay=0.5")
    assert len({first, second, run(1).study}) == 3
    assert len(work.done) == 3


def test_nothing_of_the_clock_or_the_machine_is_in_what_is_kept(work: Work) -> None:
    run(4, storage="sqlite:///secret.sqlite3")
    for path in (search.path("found"), Path("conf/ladder/found.yaml"), kept.HOME / "found.html"):
        text = path.read_text(encoding="utf-8")
        assert str(Path.cwd()) not in text
        assert "secret" not in text


def test_a_ladder_that_nobody_found_is_not_replaced(work: Work) -> None:
    files.write_text(Path("conf/ladder/mine.yaml"), "# mine\n")
    with pytest.raises(ParamsError, match=r"--name: conf/ladder/mine.yaml was not found by a search"):
        run(1, name="mine")
    with pytest.raises(ParamsError, match=r"--name: 'Mine' cannot be a ladder's name"):
        run(1, name="Mine")
    assert work.done == []


@pytest.mark.parametrize("url", ["postgresql://me:secret@nowhere/x", "no database", "sqlite:////nowhere/x"])
def test_a_database_that_cannot_be_had_is_refused_without_its_secret(work: Work, url: str) -> None:
    with pytest.raises(study.StorageError, match="--storage: no study can be kept there") as caught:
        run(1, storage=url)
    assert "secret" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_trial_s_state_is_one_of_those_that_the_record_knows() -> None:
    assert set(command.outcome.HOW) == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
