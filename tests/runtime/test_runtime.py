"""Without torch a packed folder gives the logits that it gives with torch, whatever surrounds a sequence."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from packed_models import PRECISIONS, Inputs, Make, agree, inputs, named, republish, reseal
from with_kernels import has_kernels

from bitladder import files, runtime
from bitladder.modeling.traces import logits_of
from bitladder.packed import format
from bitladder.packed import inputs as packed_inputs
from bitladder.packed.reading import open_weights
from bitladder.packed.tensors import FormatError
from bitladder.quantizers.precision import Precision
from bitladder.runtime import Model, UnsupportedError
from bitladder.runtime.kernels import engines, machine_code
from bitladder.runtime.kernels.engines import Choice
from bitladder.transformers_model import model

ROOT = Path(__file__).parents[2]
W1A8 = PRECISIONS[0]
pytestmark = has_kernels


@pytest.fixture(autouse=True)
def _best_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(engines.VARIABLE, raising=False)


def row(found: Inputs, *which: int) -> Inputs:
    return {name: values[list(which)] for name, values in found.items()}


@torch.no_grad()
def torchs(folder: Path, found: Inputs) -> NDArray[np.float32]:
    tensors_of = {name: torch.from_numpy(values) for name, values in found.items()}
    loaded = model.load(folder)
    loaded.by_kernels = False  # or the kernels would answer
    return logits_of(loaded(**tensors_of), tensors_of["attention_mask"]).numpy()


@pytest.mark.parametrize("precision", PRECISIONS, ids=named)
def test_logits_are_those_of_the_torch_model(made: Make, precision: Precision) -> None:
    folder, found = made(precision), inputs()
    ours, theirs = runtime.load(folder).logits(**found), torchs(folder, found)
    assert theirs.std() > 0.1  # or there would be nothing to compare
    agree(ours, theirs, precision.activations)
    assert (ours.argmax(1) == theirs.argmax(1)).mean() > 0.95


@pytest.mark.parametrize("kind", ["multi_label", "reranking", "token_classification"])
def test_logits_of_every_kind_are_those_of_the_torch_model(made: Make, kind: str) -> None:
    """Of token classification [B, L, S], of padding -1e4."""
    folder, found = made(PRECISIONS[1], kind=kind), inputs()
    ours, theirs = runtime.load(folder).logits(**found), torchs(folder, found)
    assert (
        ours.shape
        == {"multi_label": (24, 3), "reranking": (24, 1), "token_classification": (24, 3, 17)}[kind]
    )
    agree(ours, theirs, PRECISIONS[1].activations)
    if kind == "token_classification":
        is_padding = np.broadcast_to(found["attention_mask"][:, None] == 0, ours.shape)
        np.testing.assert_array_equal(ours == -1e4, is_padding)


@pytest.mark.parametrize("precision", PRECISIONS[:3], ids=named)
def test_question_answering_has_a_logit_for_each_end_at_each_token(made: Make, precision: Precision) -> None:
    folder, found = made(precision, answering=True), inputs()
    ours, theirs = runtime.load(folder).logits(**found), torchs(folder, found)
    assert ours.shape == theirs.shape == (24, 2, 17)
    agree(ours, theirs, precision.activations)
    assert (ours[found["attention_mask"][:, None].repeat(2, 1) == 0] == -1e4).all()


@pytest.mark.parametrize("precision", [W1A8, Precision(2, 2, 4)], ids=named)
@pytest.mark.parametrize("function", ["relu", "gelu"])
def test_the_function_behind_the_pooler_may_be_another(
    made: Make, precision: Precision, function: str
) -> None:
    """As DistilBERT and ELECTRA have it."""
    folder, found = made(precision, bitladder_pooler_act=function), inputs()
    assert format.read_config(folder).pooler_act == function
    ours, theirs = runtime.load(folder).logits(**found), torchs(folder, found)
    agree(ours, theirs, precision.activations)
    values = files.read_json(folder / format.CONFIG)
    files.write_json(folder / format.CONFIG, values | {"bitladder_pooler_act": None})
    reseal(folder)
    assert np.abs(runtime.load(folder).logits(**found) - ours).max() > 0.1  # tanh's are others


def test_other_shapes_of_the_same_layers_run_too(made: Make) -> None:
    sizes = {"hidden_size": 192, "num_attention_heads": 6, "intermediate_size": 448, "hidden_act": "relu"}
    folder, found = made(Precision(1, 1, 4), **sizes, max_position_embeddings=70), inputs(rows=3, length=69)
    np.testing.assert_allclose(runtime.load(folder).logits(**found), torchs(folder, found), rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", PRECISIONS[:3], ids=named)
def test_engines_agree_to_the_last_bit(made: Make, precision: Precision) -> None:
    folder, found = made(precision), {}
    for engine in engines.running():
        loaded = Model(
            open_weights(folder, format.read_config(folder)), Choice(engine, "to compare"), threads=1
        )
        found[engine] = loaded.logits(**inputs())
    for other in found.values():
        np.testing.assert_array_equal(other, found["plain"])


@pytest.mark.parametrize("answering", [False, True])
def test_a_sequence_does_not_depend_on_what_surrounds_it(made: Make, answering: bool) -> None:
    loaded, found = runtime.load(made(W1A8, answering=answering), threads=1), inputs()
    whole = loaded.logits(**found)
    backwards = loaded.logits(**row(found, *reversed(range(24))))[::-1]
    np.testing.assert_array_equal(backwards, whole)
    for number in (0, 11, 23):
        length = int(found["attention_mask"][number].sum())
        alone = loaded.logits(**{n: v[:, :length] for n, v in row(found, number).items()})
        np.testing.assert_array_equal(alone[0], whole[number, ..., : alone.shape[-1]])
    other = {**found, "input_ids": np.where(found["attention_mask"] == 0, 7, found["input_ids"])}
    np.testing.assert_array_equal(loaded.logits(**other), whole)


@pytest.mark.parametrize("precision", [W1A8, Precision(1, 1, 1), Precision(2, 2, 32)], ids=named)
@pytest.mark.parametrize("answering", [False, True])
def test_threads_that_share_a_sequence_give_the_same_to_the_last_bit(
    made: Make, precision: Precision, answering: bool
) -> None:
    folder = made(precision, answering=answering, max_position_embeddings=150)
    one, three = runtime.load(folder, threads=1), runtime.load(folder, threads=3)
    for length in (3, 33, 64, 97, 150):
        found = inputs(rows=1, length=length)
        found["attention_mask"][:] = 1
        for _ in range(5):
            np.testing.assert_array_equal(three.logits(**found), one.logits(**found))


def test_threads_that_share_sequences_do_not_wait_for_each_other(made: Make) -> None:
    """Callers that come at once: one of them has the helpers, the others compute alone."""
    folder = made(W1A8, max_position_embeddings=150)
    shared, alone = runtime.load(folder, threads=2), runtime.load(folder, threads=1)
    found = [inputs(rows=1, length=length) for length in range(100, 132)]
    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda one: shared.logits(**one), found))
    for answer, one in zip(answers, found, strict=True):
        np.testing.assert_array_equal(answer, alone.logits(**one))


def test_threads_give_the_same_to_the_last_bit(made: Make) -> None:
    folder, found = made(W1A8), inputs(rows=40)
    one, five = runtime.load(folder, threads=1), runtime.load(folder, threads=5)
    for _ in range(3):
        np.testing.assert_array_equal(five.logits(**found), one.logits(**found))


def test_padding_may_be_anywhere(made: Make) -> None:
    folder, found = made(Precision(1, 1, 4)), inputs(rows=6)
    found["attention_mask"][:, [0, 2, 5]] = 0
    found["attention_mask"][:, 1] = 1
    np.testing.assert_allclose(runtime.load(folder).logits(**found), torchs(folder, found), rtol=0, atol=1e-4)


def test_mask_and_segments_may_be_left_out(made: Make) -> None:
    loaded, ids = runtime.load(made(W1A8)), inputs()["input_ids"]
    full = loaded.logits(ids, np.ones_like(ids), np.zeros_like(ids))
    np.testing.assert_array_equal(loaded.logits(ids.astype(np.int32)), full)


def test_ids_are_checked_and_read_once(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may write to what it gave."""
    loaded, ids = runtime.load(made(W1A8)), np.full((2, 4), 5)
    wanted, checked = loaded.logits(ids), packed_inputs.checked

    def changing(*given: Any) -> packed_inputs.Inputs:
        found = checked(*given)
        ids.fill(10**6)
        return found

    monkeypatch.setattr(packed_inputs, "checked", changing)
    np.testing.assert_array_equal(loaded.logits(ids), wanted)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input_ids": np.full((2, 4), 99)}, "vocab_size: ids from 99 to 99; the table has 0 to 98"),
        ({"input_ids": np.full((2, 4), -1)}, "vocab_size"),
        ({"token_type_ids": np.full((2, 4), 2)}, "type_vocab_size"),
        ({"attention_mask": np.ones((2, 3), int)}, "same shape"),
        ({"attention_mask": np.array([[1, 1, 1, 1], [0, 0, 0, 0]])}, "without a token"),
        ({"input_ids": np.full((2, 18), 5)}, "18 tokens; the model has 17 positions"),
        ({"input_ids": np.full((2, 4), 5.0)}, "whole numbers"),
        ({"input_ids": np.full(4, 5)}, r"\[B, S\]"),
        ({"input_ids": np.zeros((0, 4), int)}, "no sequence"),
    ],
)
def test_ids_that_fit_no_table_are_refused(made: Make, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        runtime.load(made(W1A8)).logits(**{"input_ids": np.full((2, 4), 5), **change})


@pytest.mark.parametrize(
    ("precision", "sizes", "said"),
    [
        (Precision(2, 2, 1), {}, "1 bit with weights of 2 bits"),
        (Precision(1, 1, 8, split=True), {}, "split: true"),
        (W1A8, {"hidden_size": 32}, "hidden_size: 32; kernels take multiples of 64"),
        (W1A8, {"intermediate_size": 45}, "intermediate_size: 45"),
        (W1A8, {"num_attention_heads": 8}, "heads of 8 features"),
        (W1A8, {"hidden_act": "silu"}, "hidden_act: 'silu'"),
        (W1A8, {"bitladder_width": 0.5}, "bitladder_width: 0.5"),
    ],
    ids=str,
)
def test_what_has_no_kernel_is_said_to_have_none(
    made: Make, precision: Precision, sizes: dict[str, Any], said: str
) -> None:
    folder = made(precision, **sizes)
    with pytest.raises(UnsupportedError, match=said):
        runtime.load(folder)
    assert model.load(folder)  # what it says runs them


def test_without_an_engine_the_runtime_says_so(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engines.VARIABLE, engines.TORCH)
    with pytest.raises(UnsupportedError, match="BITLADDER_ENGINE asks for it"):
        runtime.load(made(W1A8))


FFN = "bert.encoder.layer.0.intermediate.dense"


@pytest.mark.parametrize("precision", PRECISIONS[1:3], ids=named)
@pytest.mark.parametrize("log_step", [95.0, -95.0])
def test_a_step_beyond_half_precision_is_the_one_at_its_end(
    made: Make, precision: Precision, log_step: float
) -> None:
    folder, found = made(precision), inputs()
    places = [
        f"{FFN}.activation",
        "bert.encoder.layer.1.output.dense.activation",
        "bert.pooler.dense.activation",
    ]
    republish(folder, lambda state: [state[f"{place}.log_step"].fill(log_step) for place in places])
    np.testing.assert_allclose(runtime.load(folder).logits(**found), torchs(folder, found), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop(f"{FFN}.codes"), f"missing .*{FFN}.codes"),
        (lambda state: state.update(extra=np.zeros(1, np.float32)), "unexpected .*extra"),
        (
            lambda state: state.update({f"{FFN}.bias": np.zeros(192, np.float32)}),
            r"bias F32\[192\] instead of F16",
        ),
        (
            lambda state: state[f"{FFN}.scale"].fill(-1),
            f"{FFN}.scale: holds a negative",
        ),
        (lambda state: state[f"{FFN}.bias"].fill(np.nan), f"{FFN}.bias: holds NaN"),
        (lambda state: state["classifier.bias"].fill(np.inf), "classifier.bias: holds NaN"),
        (lambda state: state["bert.embeddings.LayerNorm.bias"].fill(np.inf), "LayerNorm.bias: holds"),
        (lambda state: state["bert.embeddings.word_embeddings.codes"].fill(243), "word_embeddings.codes: "),
    ],
)
def test_a_file_that_was_not_packed_so_is_refused_by_name(
    made: Make, change: Callable[[dict[str, NDArray[Any]]], object], said: str
) -> None:
    folder = made(Precision(1, 2, 8))
    republish(folder, change)
    with pytest.raises(FormatError, match=said):
        runtime.load(folder)


def test_a_file_that_is_replaced_after_it_was_checked_is_not_read(made: Make) -> None:
    folder = made(W1A8)
    arrays = open_weights(folder, format.read_config(folder))
    before = arrays.floats(f"{FFN}.bias").copy()
    republish(folder, lambda state: state[f"{FFN}.bias"].fill(7))
    np.testing.assert_array_equal(arrays.floats(f"{FFN}.bias"), before)


def test_one_flipped_bit_is_refused(made: Make) -> None:
    folder = made(W1A8)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 0b100
    (folder / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(files.IntegrityError, match=r"model\.safetensors"):
        runtime.load(folder)


def test_a_process_that_answers_imports_no_torch(made: Make) -> None:
    folder = made(W1A8)
    code = (
        "import sys; from bitladder import runtime;"
        f"print(runtime.load({str(folder)!r}).logits([[2, 9, 3]]).shape);"
        "print([name for name in ('torch', 'transformers', 'pandas', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["(1, 3)", "[]"], done.stderr


def test_machine_code_is_kept_in_the_users_cache_and_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = machine_code.folder()
    assert folder == tmp_path / "bitladder" / "kernels" / machine_code.digest()
    folder.chmod(0o770)
    assert machine_code.folder() is None
    shutil.rmtree(tmp_path / "bitladder")
    (tmp_path / "bitladder").write_text("no folder")
    assert machine_code.folder() is None
