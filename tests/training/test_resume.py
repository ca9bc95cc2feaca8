"""States on disk: whole or not there, the newest whole one is used, another training's never by accident."""

import errno
import json
import re
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from small_training import FACTS, Ended, KilledError, kill_before, open_for, train
from writer_points import POINTS, end_at

from bitladder import files
from pipeline import paths
from pipeline.training.resume import TENSORS, VALUES, OtherTrainingError, States, UnwrittenError


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def uninterrupted() -> Ended:
    return train()


def stopped(before: int = 6, **how: Any) -> States:
    """A training with a state every two steps, killed before this step: by default it has two, of 2 and 4."""
    states = open_for(**how)
    with pytest.raises(KilledError):
        train(states, before_step=kill_before(before))
    return states


def kept(states: States) -> list[str]:
    """What lies in the model's folder, of states their steps."""
    parent = states.folder.parent
    return sorted(
        str(path.relative_to(parent)).removeprefix(f"{states.folder.name}/")
        for folder in parent.iterdir()
        for path in (folder.iterdir() if folder == states.folder else [folder])
    )


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: list[Callable[[Path], None]] = [tear, empty, flip, Path.unlink]


# damage


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [TENSORS, VALUES, files.MANIFEST])
def test_a_damaged_newest_falls_back_to_the_one_before(
    name: str, damage: Callable[[Path], None], uninterrupted: Ended, caplog: pytest.LogCaptureFixture
) -> None:
    states = stopped()
    assert kept(states) == ["step-000000002", "step-000000004"]
    damage(states.folder / "step-000000004" / name)
    begun: list[int] = []
    again = open_for()
    assert train(again, before_step=begun.append) == uninterrupted
    assert begun[0] == 3
    [warning] = [found.getMessage() for found in caplog.records if found.levelname == "WARNING"]
    assert warning.startswith("w1: the state of step 4 is damaged and kept as ")
    assert name in warning
    again.clear()
    [aside] = states.folder.parent.iterdir()
    assert aside.name == f"{states.folder.name}-step-000000004.damaged"
    assert (aside / VALUES).exists() or name == VALUES


def test_when_all_are_damaged_it_starts_anew_and_says_so(
    uninterrupted: Ended, caplog: pytest.LogCaptureFixture
) -> None:
    states = stopped()
    for step in (2, 4):
        flip(states.folder / f"step-{step:09d}" / TENSORS)
    begun: list[int] = []
    assert train(open_for(), before_step=begun.append) == uninterrupted
    assert begun[0] == 1
    assert "w1: no whole state is left; starts anew" in caplog.text
    assert [name for name in kept(states) if name.endswith(".damaged")] == [
        f"{states.folder.name}-step-00000000{step}.damaged" for step in (2, 4)
    ]


def test_what_is_set_aside_twice_is_kept_twice() -> None:
    for _ in range(2):
        states = stopped()
        flip(states.folder / "step-000000004" / TENSORS)
        open_for().newest()
    asides = sorted(path.name for path in states.folder.parent.glob("*.damaged*"))
    assert [name.partition(".")[2] for name in asides] == ["damaged", "damaged-2"]


# another training


def refused(**changed: str) -> str:
    with pytest.raises(OtherTrainingError) as caught:
        open_for(**changed)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_another_fact_is_refused_with_both_values_and_what_to_do() -> None:
    states = stopped()
    code = "code pipeline/training/loop.py"
    text = refused(**{"training.rung.learning_rate": "0.1", code: "1" * 64})
    assert text.splitlines() == [
        "w1: a training stopped at step 4 cannot go on as things are now; 2 facts differ:",
        f"  {code}: 000000000000... then, 111111111111... now",
        "  training.rung.learning_rate: 0.05 then, 0.1 now",
        "Put back what changed and run the same command again, or set BITLADDER_FRESH=1 to start anew;",
        f"{states.folder} is then set aside, not deleted.",
    ]
    assert open_for().newest() is not None, "with the old facts it goes on"


def test_a_fact_that_is_new_or_gone_differs_too() -> None:
    stopped(budget="3")
    assert "  budget: 3 then, nothing now" in refused()
    assert "  other: nothing then, 5 now" in refused(budget="3", other="5")


def test_facts_that_cannot_be_read_are_refused_all_the_same() -> None:
    states = stopped()
    for step in (2, 4):
        empty(states.folder / f"step-{step:09d}" / VALUES)
    assert "  seed: nothing then, 1 now" in refused(seed="1")


def test_the_interval_may_change(uninterrupted: Ended) -> None:
    stopped(every=2)
    assert train(open_for(every=5)) == uninterrupted


def test_another_models_states_are_its_own() -> None:
    stopped(name="w2", seed="5")
    assert open_for().newest() is None


def test_asked_to_start_anew_it_sets_states_under_other_facts_aside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old = stopped()
    monkeypatch.setenv("BITLADDER_FRESH", "1")
    assert open_for(seed="1").newest() is None
    aside = f"{old.folder}.aside"
    assert f"w1: an earlier training's states, under other facts, are kept as {aside}" in caplog.text
    assert (Path(aside) / "step-000000004").is_dir()


def test_asked_so_again_it_goes_on_with_what_it_began(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(seed="1")
    monkeypatch.setenv("BITLADDER_FRESH", "1")
    stopped()
    caplog.clear()
    found = open_for().newest()
    assert found is not None
    assert found.values["step"] == 4
    assert "are kept as" not in caplog.text


def test_what_is_set_aside_for_the_same_training_twice_is_kept_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BITLADDER_FRESH", "1")
    for _ in range(2):
        old = stopped()
        open_for(seed="1")
    asides = {path.name for path in old.folder.parent.glob("*.aside*")}
    assert asides == {f"{old.folder.name}.aside", f"{old.folder.name}.aside-2"}


def test_any_other_value_of_the_variable_is_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped()
    monkeypatch.setenv("BITLADDER_FRESH", "0")
    refused(seed="1")


# writing


@contextmanager
def failing(where: str, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Iterator[None]:
    """The writer of the state of step 4 raises `error` at one of its points."""

    def fail() -> None:
        raise error

    with monkeypatch.context() as patch:
        end_at(where, 4, fail, patch.setattr)
        yield


@pytest.mark.parametrize("where", POINTS)
def test_an_end_at_any_point_of_the_writer_leaves_a_whole_state(
    where: str, monkeypatch: pytest.MonkeyPatch, uninterrupted: Ended
) -> None:
    states = open_for()
    with failing(where, monkeypatch, KilledError()), pytest.raises(KilledError):
        train(states)
    assert kept(states) == ["step-000000002", *(["step-000000004"] if where == "after rename" else [])]
    begun: list[int] = []
    assert train(open_for(), before_step=begun.append) == uninterrupted
    assert begun[0] == (5 if where == "after rename" else 3)


@pytest.mark.parametrize("where", POINTS[:-1])
def test_a_disk_that_fails_ends_it_with_the_numbers_and_the_state_before(
    where: str, monkeypatch: pytest.MonkeyPatch, uninterrupted: Ended
) -> None:
    states = open_for()
    full = OSError(errno.ENOSPC, "No space left on device")
    with failing(where, monkeypatch, full), pytest.raises(UnwrittenError) as caught:
        train(states)
    found = re.fullmatch(
        r"w1: the state of step 4 could not be written to (\S+): .*No space left on device; (\d+) bytes are "
        r"needed, (\d+) are free; the state of step 2 is there to go on from",
        str(caught.value),
    )
    assert found is not None, str(caught.value)
    assert Path(found[1]) == states.folder
    written = (states.folder / "step-000000002" / TENSORS).stat().st_size
    assert 0 < int(found[2]) <= written + 1000 < int(found[3])
    assert not hasattr(caught.value, "exit_code"), "1 as any failure"
    assert kept(states) == ["step-000000002"], "no temporary folder is left"
    assert train(open_for()) == uninterrupted


def test_a_file_that_may_not_grow_is_a_failing_disk_too(uninterrupted: Ended) -> None:
    """The real thing: the kernel refuses the write in the middle of the file."""
    states = open_for(every=100)
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[0][1]))
    try:
        with pytest.raises(UnwrittenError, match=r"too large.* no older state is there to go on from"):
            train(states)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])
    assert list(states.folder.iterdir()) == []
    assert train(open_for()) == uninterrupted


def test_a_folder_that_cannot_be_made_is_said_likewise() -> None:
    Path(".bitladder").write_text("a file where a folder should be")
    with pytest.raises(UnwrittenError, match=r"\.bitladder.* no older state is there to go on from"):
        train(open_for())


def test_what_a_killed_writer_left_is_swept(uninterrupted: Ended) -> None:
    states = stopped()
    (states.folder / ".step-000000006.123.tmp").mkdir()
    (states.folder / ".step-000000006.123.tmp" / TENSORS).write_bytes(b"half")
    (states.folder.parent / ".0123456789abcdef.done").mkdir()
    open_for()
    assert kept(states) == ["step-000000002", "step-000000004"]


def test_the_newest_two_are_kept_and_none_when_the_model_is_published() -> None:
    states = open_for(every=1)
    train(states)
    assert kept(states) == ["step-000000006", "step-000000007"]
    states.clear()
    assert not paths.states_dir("w1").exists()
    states.clear()  # nothing to clear is fine


def test_a_state_is_tensors_and_json_without_paths_or_clock() -> None:
    states = stopped()
    folder = states.folder / "step-000000004"
    assert sorted(path.name for path in folder.iterdir()) == [files.MANIFEST, VALUES, TENSORS]
    values = json.loads((folder / VALUES).read_text())
    assert values["facts"] == FACTS
    assert sorted(values["values"]) == ["best_score", "best_step", "curve", "step"]
    first = files.verify(folder)
    states.clear()
    assert files.verify(stopped().folder / "step-000000004") == first
