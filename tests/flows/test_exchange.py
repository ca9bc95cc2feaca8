"""What two clones give each other through DVC's remote: orders, outputs and the states of a training."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

from bitladder import files
from flows.machines import exchange
from flows.machines.shared_states import SharedStates
from pipeline import paths

DVC_YAML = """
stages:
  first:
    cmd: cp source first
    deps: [source]
    outs: [first]
  rung:
    foreach: [w8]
    do:
      cmd: cp first ${item} && cp params.yaml counted.json
      deps: [first]
      params: [seed]
      outs:
      - ${item}
      - counted.json:
          cache: false
"""


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """Two projects of the same stages with one remote; the first is the working directory."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    found = tmp_path / "one", tmp_path / "two"
    for root in found:
        root.mkdir()
        Repo.init(str(root), no_scm=True).close()
        (root / "dvc.yaml").write_text(DVC_YAML)
        (root / "params.yaml").write_text("seed: 0\n")
        (root / "source").write_text("rows\n")
        core = "[core]\n    no_scm = true\n    remote = store\n"
        remote = f"['remote \"store\"']\n    url = {tmp_path}/store\n    verify = true\n"
        (root / ".dvc" / "config").write_text(core + remote)
    with contextlib.chdir(found[0]):
        yield found


def reproduce(stage: str) -> None:
    with Repo(".") as repo:
        repo.reproduce([stage], single_item=True)


def test_a_stage_run_elsewhere_is_cached_here(clones: tuple[Path, Path]) -> None:
    one, two = clones
    reproduce("first")
    ordered = exchange.order("rung@w8")
    assert not exchange.restore("rung@w8")
    with contextlib.chdir(two):
        (two / "source").unlink()  # what the stages before it need is no matter
        key = exchange.accept(ordered)
        assert (two / "first").read_text() == "rows\n"
        reproduce("rung@w8")
        exchange.give_back("rung@w8", key)
    assert exchange.restore("rung@w8")
    assert (one / "w8").read_text() == "rows\n"
    assert (one / "counted.json").read_text() == "seed: 0\n"  # an output that Git keeps comes too
    with Repo(".") as repo:
        repo.reproduce(["rung@w8"], single_item=True)
        assert repo.status() == {}
    (one / "params.yaml").write_text("seed: 1\n")
    assert not exchange.restore("rung@w8")


def test_a_clone_with_other_inputs_refuses_and_names_them(clones: tuple[Path, Path]) -> None:
    _, two = clones
    reproduce("first")
    ordered = exchange.order("rung@w8")
    with contextlib.chdir(two):
        (two / "params.yaml").write_text("seed: 7\n")
        with pytest.raises(exchange.OtherProjectError) as refused:
            exchange.accept(ordered)
    assert str(refused.value).splitlines()[1:] == ["  seed: 0 there, 7 here"]


def test_the_order_of_keys_is_no_difference() -> None:
    one = {"params": {"params.yaml": {"task": {"name": "cola", "range": [0, 5]}}}, "cmd": "python"}
    other = {"cmd": "python", "params": {"params.yaml": {"task": {"range": [0, 5], "name": "cola"}}}}
    assert exchange.differences(one, other) == []
    other["params"]["params.yaml"]["task"]["range"] = [0, 1]  # type: ignore[index]
    assert exchange.differences(one, other) == ["task.range: [0, 5] there, [0, 1] here"]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("", "dvc remote add --default store URL"),
        (
            "    remote = store\n['remote \"store\"']\n    url = /store\n",
            "dvc remote modify store verify true",
        ),
    ],
    ids=["none", "unverified"],
)
def test_machines_need_a_remote_that_checks(clones: tuple[Path, Path], written: str, wanted: str) -> None:
    (clones[0] / ".dvc" / "config").write_text(f"[core]\n    no_scm = true\n{written}")
    with pytest.raises(exchange.RemoteError, match=wanted):
        exchange.require_remote()


def state(step: int) -> Path:
    folder = paths.states_dir("w8") / ("0" * paths.DIGITS) / f"step-{step:09d}"
    with files.publish(folder) as new:
        (new / "state.safetensors").write_bytes(bytes([step]))
        files.write_json(new / "state.json", {"step": step})
    return folder


def test_the_newest_state_reaches_the_other_clone_and_older_ones_go(clones: tuple[Path, Path]) -> None:
    states = SharedStates("w8", "key")
    assert states.fetch() == 0
    for step in (1, 2):
        folder = state(step)
        states.send_newest()
    with contextlib.chdir(clones[1]):
        assert states.fetch() == 2
        assert paths.state_steps(folder.parent) == [2]
        files.verify(folder)
        states.clear()
    with contextlib.chdir(clones[0].parent / "two"):
        assert SharedStates("w8", "another key").fetch() == 0
        assert not [*(clones[0].parent / "store" / "bitladder").rglob("step-*")]


def test_a_shared_state_that_is_not_whole_is_not_used(clones: tuple[Path, Path]) -> None:
    states = SharedStates("w8", "key")
    state(3)
    with states.sent_meanwhile():  # the last one is sent when the block ends
        folder = state(4)
    store = clones[0].parent / "store" / "bitladder" / "states" / "key"
    sent = next(store.rglob("state.safetensors"))
    os.chmod(sent, 0o644)
    sent.write_bytes(b"flipped")
    with contextlib.chdir(clones[1]):
        assert states.fetch() == 0
        assert not folder.exists()


def test_a_store_that_fails_does_not_stop_the_training(
    clones: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    state(5)
    (clones[0].parent / "store").write_text("no folder")
    with SharedStates("w8", "key").sent_meanwhile():
        pass
    assert "did not reach the shared store" in caplog.text
