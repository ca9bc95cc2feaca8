"""A loaded model goes where programs take it: threads, forked and spawned processes, pickles, any batch."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_models import PRECISIONS, make
from tiny_rung import NOUNS

import bitladder
from bitladder import files
from bitladder.predict import PackedModel
from bitladder.quantizers.precision import Precision

TEXTS = [
    f"the {noun} sees a {other} . " * (1 + number) for number, noun in enumerate(NOUNS) for other in NOUNS
]
OF_ENGINE = {"kernels": PRECISIONS[0], "torch": Precision(1, 32, 4, "group", group_size=16)}


@pytest.fixture(scope="module", params=list(OF_ENGINE))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PackedModel:
    return bitladder.load(make(tmp_path_factory.mktemp("made"), OF_ENGINE[request.param]))


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=9))
def test_a_batch_of_any_lengths_gives_each_text_the_answer_it_has_alone(
    model: PackedModel, texts: list[str]
) -> None:
    assert model(texts) == [model(text) for text in texts]


def test_a_long_batch_too(model: PackedModel) -> None:
    assert model(TEXTS * 9) == [model(text) for text in TEXTS] * 9


def test_threads_share_it(model: PackedModel) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(model, TEXTS * 3)) == model(TEXTS * 3)


def test_a_pickle_of_it_says_where_it_lies(
    model: PackedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.folder.parent)
    pickled = bytes(ForkingPickler.dumps(bitladder.load(model.folder.name)))
    assert len(pickled) < 1000
    monkeypatch.chdir(tmp_path)
    assert ForkingPickler.loads(pickled)(TEXTS) == model(TEXTS)


def test_a_pickle_of_what_has_changed_since_is_refused(tmp_path: Path) -> None:
    pickled = ForkingPickler.dumps(bitladder.load(make(tmp_path, PRECISIONS[0])))
    (tmp_path / "made" / "config.json").write_text("{}")
    with pytest.raises(files.IntegrityError, match=r"config\.json: sha256"):
        ForkingPickler.loads(pickled)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_ask_it(model: PackedModel) -> None:
    wanted = model(TEXTS)  # with it threads have run, which a fork does not have
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        assert list(pool.map(model, TEXTS)) == wanted


@pytest.mark.slow
def test_spawned_processes_ask_it(model: PackedModel) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(model, TEXTS)) == model(TEXTS)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["", "torch"])
def test_a_fork_answers_where_several_threads_have_computed(tmp_path: Path, engine: str) -> None:
    """A forked process has none of them; waiting for one would be for ever."""
    code = (
        "import sys, os, bitladder\n"
        "model = bitladder.load(sys.argv[1])\n"
        "wanted = model(['the dog sees a cat .'] * 8)\n"
        "if not (child := os.fork()):\n"
        "    os._exit(model(['the dog sees a cat .'] * 8) != wanted)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    folder = make(tmp_path, PRECISIONS[0], hidden_size=128, intermediate_size=512)
    environment = {**os.environ, "BITLADDER_ENGINE": engine, "BITLADDER_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
