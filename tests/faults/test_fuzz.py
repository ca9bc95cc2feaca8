"""What a file or a request holds is read rightly or refused by an error of ours, and nothing of it runs."""

import json
import os
import random
import shutil
import struct
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import fuzzed
import packed_models
import pytest
from fastapi.testclient import TestClient
from fuzzed import Place
from hypothesis import given, settings
from hypothesis import strategies as st

import bitladder
from bitladder import files, verify
from bitladder.packed import format
from bitladder.packed.tensors import FormatError
from bitladder.quantizers.precision import Precision
from bitladder.serving import app
from pipeline import params_file, record

SEEDS = st.integers(0, 2**63)
RECORD = record.Record(
    name="w1",
    stage="weights",
    task="demo",
    digest="0" * 64,
    parent="w2",
    parent_digest="1" * 64,
    init=[record.Part("encoder", "copied", digest="0" * 64)],
    data={"kind": "plain", "train": "1" * 64},
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed_models.make(tmp_path_factory.mktemp("packed"), Precision(1, 1, 8))


@pytest.fixture(scope="module")
def place(packed: Path) -> Place:
    return place_of(packed)


def place_of(packed: Path) -> Place:
    made = Place(packed)
    record.write(made.root, RECORD)
    made.record = (made.root / record.RECORD).read_bytes()
    return made


def kinds(place: Place) -> dict[str, fuzzed.Fuzz]:
    """Each kind of input; the names are those of docs/faults.md."""
    return {
        "packed folders, their manifests made to fit, loaded and asked": place.packed_folder,
        "files of weights": place.weights,
        "config.json of packed models": place.config,
        "manifests": place.manifest,
        "records": place.record_of_a_model,
        "params.yaml": place.params,
        "a person's CSV, TSV, JSON lines and JSON, to be learned from": place.own_file,
        "Parquet files": place.parquet,
        "CSV, TSV, JSON lines and text to be answered": fuzzed.rows,
        "bodies of requests": fuzzed.body,
    }


@settings(max_examples=60)
@given(seed=SEEDS)
def test_a_damaged_packed_folder_is_loaded_rightly_or_refused(place: Place, seed: int) -> None:
    place.packed_folder(random.Random(seed))


@settings(max_examples=150)
@given(seed=SEEDS)
def test_a_file_of_any_rows_has_an_answer_or_a_line(place: Place, seed: int) -> None:
    for fuzz in (fuzzed.rows, place.own_file, place.parquet):
        fuzz(random.Random(seed))


@settings(max_examples=150)
@given(seed=SEEDS)
def test_what_describes_a_model_is_read_or_refused(place: Place, seed: int) -> None:
    for fuzz in (place.manifest, place.record_of_a_model, place.config, place.weights):
        fuzz(random.Random(seed))


@pytest.fixture(scope="module")
def client(packed: Path) -> Iterator[TestClient]:
    with TestClient(app.build(bitladder.load(packed), fuzzed.LIMITS)) as made:
        yield made


@settings(max_examples=100)
@given(seed=SEEDS)
def test_a_body_of_any_bytes_has_an_answer(client: TestClient, seed: int) -> None:
    content = fuzzed.json_text(random.Random(seed), fuzzed.BODY)
    response = client.post("/predict", content=content)
    assert response.status_code in (200, 413, 422)
    if response.status_code != 200:
        assert response.json().keys() == {"detail"}
        assert response.json()["detail"].isprintable()


@pytest.mark.parametrize("find", ["header", "pad_token", "settings", "unknown", "column"])
def test_what_was_found_stays_refused(place: Place, tmp_path: Path, find: str) -> None:
    """Each of these ended in an error that was not ours."""
    if find == "header":
        rows = fuzzed.reading.read(
            fuzzed.reading.Lines(fuzzed.io.BytesIO(b"te\rxt\n")), "csv", fuzzed.Names("text", "text_pair", 1)
        )
        with pytest.raises(fuzzed.TextError, match=r"^the header: "):
            list(rows)
        return
    if find == "column":
        path = tmp_path / "rows.parquet"
        path.write_bytes(fuzzed.PARQUET.replace(b"label", b"l\xff\xffel"))
        assert "utf-8" in str(fuzzed.own_reading.read(path, ["text"]).problems).lower()
        return
    folder = shutil.copytree(place.folder, tmp_path / "packed")
    if find == "unknown":
        vocabulary = folder / "tokenizer.json"
        vocabulary.write_text(vocabulary.read_text().replace('"[UNK]":', '"[UNKN]":'))
    else:
        content = {"pad_token": '{"pad_token": 7}', "settings": "[1]"}[find]
        (folder / "tokenizer_config.json").write_text(content)
    fuzzed._seal(folder)
    with pytest.raises(ValueError, match="tokenizer"):
        bitladder.load(folder)("the \U00012000 dog")


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
EXPLODING = {
    "aliases": BOMB,
    "aliases in a field": BOMB + fuzzed.PARAMS.decode().replace("label_names:", "label_names: *i\n  zz:", 1),
    "itself": "seed: &a [*a]\n",
    "lists": f"seed: {'[' * 99_999}",
    "mappings": f"seed: {'{a: ' * 9_999}",
    "dashes": "- " * 99_999,
    "large": "x" * 2_000_000,
}


@pytest.mark.parametrize("name", EXPLODING)
def test_params_that_explode_are_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "params.yaml").write_text(EXPLODING[name])
    began = time.monotonic()
    with pytest.raises(params_file.ParamsError) as caught:
        params_file.load(tmp_path / "params.yaml")
    assert time.monotonic() - began < 5
    assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hostname", "a/../../outside", "", ".", "a//b", "..\\x", "x" * 300]
)
def test_a_manifest_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("one")
    folder = tmp_path / "folder"
    folder.mkdir()
    entry = {"bytes": 3, "sha256": files.sha256(tmp_path / "outside")}
    files.write_json(folder / files.MANIFEST, {"files": {name: entry}})
    with pytest.raises(files.IntegrityError, match="is no file of this folder"):
        files.verify(folder)
    assert list(verify.differences(folder)) == [files.MANIFEST]


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


READ = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
OF_OTHERS = ("pytorch_model.bin", "model.pkl", "optimizer.pt", "rng_state.pth", "training_args.bin")


@pytest.mark.parametrize("name", [*READ, *OF_OTHERS])
@pytest.mark.parametrize("engine", ["", "torch"])
def test_a_pickle_is_never_run(packed: Path, tmp_path: Path, name: str, engine: str) -> None:
    import pickle

    from transformers import AutoModelForSequenceClassification

    folder, canary = shutil.copytree(packed, tmp_path / "packed"), tmp_path / "canary"
    (folder / name).write_bytes(pickle.dumps(Canary(canary)))
    if not files.would_be_read(name, files.read_manifest(folder)):
        fuzzed._seal(folder)
    bitladder.register()
    for load in (bitladder.load, AutoModelForSequenceClassification.from_pretrained):
        with mock.patch.dict(os.environ, {"BITLADDER_ENGINE": engine}):
            try:
                model = load(str(folder))
                if load is bitladder.load:
                    model("the dog")
            except (ValueError, OSError, RuntimeError):
                pass
    assert not canary.exists()
    with pytest.raises(FileNotFoundError):
        canary.stat()
    pickle.loads((folder / name).read_bytes())  # noqa: S301 - the canary does sing
    assert canary.exists()


LIES: dict[str, Any] = {
    "hidden_size": 10**9,
    "vocab_size": 2**40,
    "num_hidden_layers": 10**9,
    "max_position_embeddings": 2**50,
    "auto_map": {"AutoModel": "evil.Model"},
    "trust_remote_code": True,
    "_attn_implementation_internal": "somebody/kernels",
    "intermediate_size": -1,
}


@pytest.mark.parametrize("key", LIES)
def test_a_config_that_lies_is_refused_before_memory_is_taken(packed: Path, tmp_path: Path, key: str) -> None:
    folder = shutil.copytree(packed, tmp_path / "packed")
    values = {**files.read_json(folder / files.CONFIG), key: LIES[key]}
    files.write_json(folder / files.CONFIG, values)
    fuzzed._seal(folder)
    tracemalloc.start()
    with pytest.raises(FormatError):
        bitladder.load(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_header_may_not_ask_for_more_than_the_file_has(packed: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(packed, tmp_path / "packed")
    content = (folder / format.WEIGHTS).read_bytes()
    for length in (2**63, 2**40, len(content), 10**8):
        (folder / format.WEIGHTS).write_bytes(struct.pack("<Q", length) + content[8:])
        fuzzed._seal(folder)
        with pytest.raises(FormatError):
            bitladder.load(folder)


def test_control_characters_of_a_request_come_back_as_json_alone(client: TestClient) -> None:
    response = client.post("/predict", content=json.dumps({"\x1b]0;owned\x07": "<script>"}))
    assert response.status_code == 422
    assert response.headers["content-type"].startswith("application/")
    assert "\x1b" not in response.text


@pytest.mark.slow
def test_the_server_does_what_its_openapi_says(packed: Path) -> None:
    """By schemathesis, where it is installed."""
    schemathesis = pytest.importorskip("schemathesis")
    served = app.build(bitladder.load(packed), fuzzed.LIMITS)
    schema = schemathesis.openapi.from_asgi("/openapi.json", served)

    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=300)
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            case.call_and_validate()

        check()
