"""A packed torch model is answered by the kernels, and by its own layers where kernels do not give it."""

import copy
import multiprocessing
import os
import pickle
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from packed_models import PRECISIONS, Make, agree, inputs, named
from torch import Tensor, nn
from with_kernels import has_kernels

import bitladder
from bitladder import runtime
from bitladder.modeling.traces import logits_of
from bitladder.quantizers.precision import Precision
from bitladder.runtime.kernels import engines
from bitladder.runtime.model import Model, ThreadsError, num_threads
from bitladder.transformers_model import by_kernels, model

bitladder.register()
pytestmark = has_kernels
W1A8, W1A4, W1A1 = PRECISIONS[:3]


@pytest.fixture(autouse=True)
def _best_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(engines.VARIABLE, raising=False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Grows by the rows of each call that the kernels answer."""
    found: list[int] = []
    logits = Model.logits

    def counted(self: Model, input_ids: Any, *others: Any, **named: Any) -> Any:
        found.append(len(input_ids))
        return logits(self, input_ids, *others, **named)

    monkeypatch.setattr(Model, "logits", counted)
    return found


def given(**options: int) -> dict[str, Tensor]:
    return {name: torch.from_numpy(values) for name, values in inputs(**options).items()}


@torch.no_grad()
def by_torch(folder: Path, found: dict[str, Tensor]) -> Any:
    loaded = model.load(folder)
    loaded.by_kernels = False
    return logits_of(loaded(**found), found["attention_mask"]).numpy()


@pytest.mark.parametrize("precision", [*PRECISIONS[:4], PRECISIONS[8]], ids=named)
def test_the_kernels_answer_whoever_asks(made: Make, asked: list[int], precision: Precision) -> None:
    """The runtime, to the last bit; the torch layers, as packed_models.py explains it."""
    folder, found = made(precision), given()
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    logits = loaded(**found).logits  # without no_grad: nothing of a packed model wants gradients
    assert asked == [24]
    assert loaded.engine == runtime.load(folder).engine
    np.testing.assert_array_equal(logits.numpy(), runtime.load(folder).logits(**inputs()))
    agree(logits.numpy(), by_torch(folder, found), precision.activations)


def test_questions_are_engine_the_kernels_too(made: Make, asked: list[int]) -> None:
    folder, found = made(W1A8, answering=True), given()
    loaded = transformers.AutoModelForQuestionAnswering.from_pretrained(folder)
    output = loaded(**found)
    assert asked == [24]
    agree(logits_of(output, found["attention_mask"]).numpy(), by_torch(folder, found), 8)
    assert (output.end_logits[found["attention_mask"] == 0] == -1e4).all()
    ends = {"start_positions": torch.zeros(24).long(), "end_positions": torch.ones(24).long()}
    loss = loaded(**found, **ends).loss  # over padding too, whose logits are torch's
    assert asked == [24]
    loaded.by_kernels = False
    assert torch.equal(loss, loaded(**found, **ends).loss)


def test_transformers_pipeline_is_engine_the_kernels(made: Make, asked: list[int]) -> None:
    classify = transformers.pipeline("text-classification", model=str(made(W1A8)), device="cpu")
    texts = ["the dog sees a cat .", "a fish", "the bird hears the dog ."]
    answers = classify(texts, batch_size=2)
    assert len(answers) == 3
    assert all(answer["label"] in ("wrong", "right", "neither") for answer in answers)
    assert asked == [2, 1]


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("single_label_classification", torch.arange(24) % 3),
        (None, torch.arange(24) % 3),
        (None, torch.rand(24, 3).round()),
        ("multi_label_classification", torch.rand(24, 3).round()),
        ("regression", torch.rand(24, 3)),
    ],
)
def test_the_loss_is_transformers_own(made: Make, asked: list[int], kind: str | None, labels: Tensor) -> None:
    loaded = model.load(made(W1A4))
    loaded.config.problem_type = kind
    ours = loaded(**given(), labels=labels)
    assert [part.ndim for part in loaded(**given(), labels=labels, return_dict=False)] == [0, 2]
    assert asked == [24, 24]
    loaded.by_kernels = False
    theirs = loaded(**given(), labels=labels)
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=0, atol=0.05)


def _watched(loaded: Any) -> dict[str, Any]:
    loaded.bert.encoder.layer[0].register_forward_hook(lambda *_: None)
    return {}


def _narrowed(loaded: Any) -> dict[str, Any]:
    loaded.classifier = nn.Linear(64, 5).requires_grad_(False)
    return {}


def _shallower(loaded: Any) -> dict[str, Any]:
    loaded.bert.encoder.layer = loaded.bert.encoder.layer[:1]
    return {}


class _Doubling(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def _of_another_kind(loaded: Any) -> dict[str, Any]:
    doubling = _Doubling(64, 3).requires_grad_(False)
    doubling.load_state_dict(loaded.classifier.state_dict())
    loaded.classifier = doubling.eval()
    return {}


def _with_another_activation(loaded: Any) -> dict[str, Any]:
    loaded.bert.encoder.layer[1].intermediate.intermediate_act_fn = nn.SiLU().eval()
    return {}


def _with_a_forward_of_its_own(loaded: Any) -> dict[str, Any]:
    loaded.classifier.forward = lambda x: x[..., :3]
    return {}


def _asks(**options: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda loaded: options


IDS = given()["input_ids"]


@pytest.mark.parametrize(
    "change",
    [
        lambda loaded: loaded.train() and {},
        lambda loaded: loaded.bert.train() and {},
        lambda loaded: loaded.requires_grad_() and {},
        lambda loaded: setattr(loaded.config, "output_hidden_states", True) or {},
        _watched,
        _narrowed,
        _shallower,
        _of_another_kind,
        _with_another_activation,
        _with_a_forward_of_its_own,
        _asks(output_hidden_states=True),
        _asks(output_attentions=True),
        _asks(position_ids=torch.arange(17)[None]),
        _asks(attention_mask=torch.zeros(24, 1, 1, 17)),
        _asks(token_type_ids=torch.zeros(1, 17).long()),
        _asks(input_ids=None, inputs_embeds=torch.zeros(24, 17, 64)),
    ],
)
def test_the_torch_layers_answer_what_kernels_do_not(
    made: Make, asked: list[int], change: Callable[[Any], dict[str, Any]]
) -> None:
    loaded = model.load(made(W1A8))
    loaded(**given())
    assert asked == [24]
    options = change(loaded)
    assert loaded(**{**given(), **options}).logits.shape[0] == 24
    assert asked == [24]


def test_a_hook_on_all_modules_sees_them(made: Make, asked: list[int]) -> None:
    loaded, seen = model.load(made(W1A8)), []
    hook = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(module))
    try:
        loaded(**given())
    finally:
        hook.remove()
    assert asked == []
    assert loaded.classifier in seen


def test_tensors_that_count_no_changes_are_torchs(made: Make, asked: list[int]) -> None:
    loaded = model.load(made(W1A8))
    with torch.inference_mode():
        loaded.classifier.bias = nn.Parameter(torch.zeros(3), requires_grad=False)
        first = loaded(**given()).logits
        loaded.classifier.bias.add_(1)
        torch.testing.assert_close(loaded(**given()).logits, first + 1)
    assert asked == []


@pytest.mark.parametrize(("precision", "said"), [(Precision(2, 2, 1), "1 bit with")])
def test_a_model_without_kernels_is_torchs(made: Make, precision: Precision, said: str) -> None:
    loaded, found = model.load(folder := made(precision)), given()
    assert torch.equal(loaded(**found).logits, torch.from_numpy(by_torch(folder, found)))
    assert loaded.engine.engine == engines.TORCH
    assert said in loaded.engine.reason


def test_the_environment_forces_torch(made: Make, asked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engines.VARIABLE, engines.TORCH)
    loaded = model.load(made(W1A8))
    assert loaded(**given()).logits.shape == (24, 3)
    assert asked == []
    assert "BITLADDER_ENGINE asks for it" in loaded.engine.reason
    monkeypatch.setenv(engines.VARIABLE, "quick")
    with pytest.raises(engines.EngineError, match="quick"):
        model.load(loaded.name_or_path)(**given())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"input_ids": torch.full((24, 17), 99)}, (IndexError, ValueError)),
        ({"attention_mask": torch.ones(24, 9)}, (RuntimeError, ValueError)),
        ({"input_ids": torch.full((24, 18), 5)}, RuntimeError),
    ],
)
def test_what_no_bert_reads_is_refused(made: Make, change: dict[str, Any], error: Any) -> None:
    with pytest.raises(error):
        model.load(made(W1A8))(**{**given(), **change})


def test_changed_weights_are_noticed(made: Make, asked: list[int]) -> None:
    loaded, other = model.load(folder := made(W1A8)), {}
    first = loaded(**given()).logits
    for name, tensor in loaded.state_dict().items():
        other[name] = tensor.flip(0) if name.endswith("dense.codes") else tensor.clone()
    loaded.load_state_dict(other)
    second = loaded(**given()).logits
    assert not torch.equal(first, second)
    loaded.classifier.bias = nn.Parameter(loaded.classifier.bias + 1, requires_grad=False)
    torch.testing.assert_close(loaded(**given()).logits, second + 1)
    loaded.load_state_dict(model.load(folder).state_dict())
    assert torch.equal(loaded(**given()).logits, first)
    assert asked == [24] * 4


def test_a_copy_and_what_is_read_back_answer_alike(made: Make, asked: list[int], tmp_path: Path) -> None:
    loaded = model.load(made(W1A8))
    before = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    first = loaded(**given()).logits
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, before[name])
    again = copy.deepcopy(loaded)
    assert torch.equal(again(**given()).logits, first)
    read_back = pickle.loads(pickle.dumps(loaded))  # noqa: S301  # our own
    assert torch.equal(read_back(**given()).logits, first)
    loaded.save_pretrained(tmp_path / "saved")
    assert torch.equal(model.load(tmp_path / "saved")(**given()).logits, first)
    assert asked == [24] * 4


def test_many_threads_may_ask_one_model(made: Make) -> None:
    loaded, found = model.load(made(W1A8)), given()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: loaded(**found).logits, range(24)))
    assert all(torch.equal(answer, answers[0]) for answer in answers)


def _ask(loaded: Model, found: Any, results: Any) -> None:
    results.put(loaded.logits(**found).tolist())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(made: Make) -> None:
    loaded, found = runtime.load(made(W1A8), threads=3), inputs()
    first = loaded.logits(**found)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_ask, args=(loaded, found, results))
    child.start()
    assert results.get(timeout=60) == first.tolist()
    child.join()


def _ask_torchs(loaded: Any, found: Any, results: Any) -> None:
    results.put(loaded(**found).logits.tolist())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_forked_while_a_thread_makes_the_kernels_own_does_not_wait_for_it(made: Make) -> None:
    loaded, found = model.load(made(W1A8)), given()
    first = loaded(**found).logits
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_ask_torchs, args=(loaded, found, results), daemon=True)
    with by_kernels._LOCKS[os.getpid()]:
        child.start()
    assert results.get(timeout=60) == first.tolist()
    child.join()


@pytest.mark.parametrize(
    ("environment", "otherwise", "wanted"),
    [
        ({"BITLADDER_THREADS": "3", "OMP_NUM_THREADS": "2"}, 5, 3),
        ({"OMP_NUM_THREADS": "2"}, 5, 5),
        ({"OMP_NUM_THREADS": "2"}, None, 2),
        ({"OMP_NUM_THREADS": " 2 ,1"}, None, 2),
    ],
)
def test_the_number_of_threads_is_asked_for(
    environment: dict[str, str], otherwise: int | None, wanted: int
) -> None:
    assert num_threads(environment, otherwise=otherwise) == wanted
    assert num_threads({}) >= 1


@pytest.mark.parametrize("wrong", ["many", "0", "-1", "2,1"])
def test_a_number_of_threads_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ThreadsError, match=f"BITLADDER_THREADS: '{wrong}'") as caught:
        num_threads({"BITLADDER_THREADS": wrong})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("precision", [W1A8, W1A4, W1A1, Precision(2, 2, 8)], ids=named)
def test_weights_never_become_full_precision_in_memory(made: Make, precision: Precision) -> None:
    """Neither what is kept nor, at any time, what loading takes comes near a table or matrix in 32 bits."""
    folder = made(precision, hidden_size=256, intermediate_size=1024, vocab_size=12_000)
    matrices = 12_000 * 256 + 2 * (4 * 256 * 256 + 2 * 256 * 1024) + 256 * 256
    runtime.load(folder, threads=1).logits(**inputs())  # what is imported and compiled is no weight
    tracemalloc.start()
    loaded = runtime.load(folder, threads=1)  # each thread has room of its own to compute in
    held, _ = tracemalloc.get_traced_memory()
    loaded.logits(**inputs())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert loaded.size_bytes < held < 2 * matrices * precision.weights / 8
    assert peak < matrices * 4 / 4
    of_torch = model.load(folder)
    of_torch(**given())
    kept = sum(tensor.nbytes for tensor in of_torch.state_dict().values())
    of_kernels = of_torch._kernels.model(of_torch.arrays)
    assert of_kernels is not None
    assert kept + of_kernels.size_bytes < matrices * 4 / 6
