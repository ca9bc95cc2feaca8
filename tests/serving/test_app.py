"""Over HTTP the model says what it says in code; what cannot be answered is refused in one line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import packed_models
import pytest
from fastapi.testclient import TestClient

import bitladder
from bitladder import files
from bitladder.quantizers.precision import Precision
from bitladder.serving import app, body
from bitladder.serving.limits import Limits

LIMITS = Limits(body=2000, rows=4, tokens=20, wait=0)
TEXT = "the big dog sleeps ."


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(app.build(bitladder.load(folder), LIMITS), raise_server_exceptions=False) as made:
        yield made


def ask(client: TestClient, value: Any) -> Any:
    response = client.post("/predict", json=value)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_text_a_pair_and_a_list_have_the_answers_of_the_model(client: TestClient, folder: Path) -> None:
    model = bitladder.load(folder)
    assert ask(client, TEXT) == ask(client, {"text": TEXT}) == model(TEXT)
    assert ask(client, {"text": TEXT, "text_pair": "a cat"}) == model(TEXT, "a cat")
    mixed = [TEXT, {"text": "a cat", "text_pair": TEXT}, {"text": "a fish"}]
    assert ask(client, mixed) == [model(TEXT), model("a cat", TEXT), model("a fish")]
    assert ask(client, []) == []


def test_a_sentence_encoder_answers_with_vectors(tmp_path: Path) -> None:
    encoder = bitladder.load(packed_models.make(tmp_path, Precision(1, 1, 8), kind="embeddings"))
    with TestClient(app.build(encoder, LIMITS)) as client:
        found = ask(client, [TEXT, "a cat"])
    assert [one["vector"] for one in found] == encoder.encode([TEXT, "a cat"]).tolist()


def test_a_question_is_asked_with_its_context(tmp_path: Path) -> None:
    answering = bitladder.load(packed_models.make(tmp_path, Precision(1, 1, 8), answering=True))
    with TestClient(app.build(answering, LIMITS)) as client:
        found = ask(client, {"question": "the dog", "context": "the dog sees a cat ."})
        assert found == answering("the dog", "the dog sees a cat .")
        assert client.get("/healthz").json()["reads"] == ["question", "context"]
        response = client.post("/predict", json={"question": "the dog"})
    assert (response.status_code, response.json()["detail"]) == (
        422,
        "context: not there; there is 'question'",
    )


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"", 422, "the body is no JSON"),
        (b"{", 422, "the body is no JSON"),
        (b"\xff", 422, "the body is no JSON"),
        (b"[" * 1900, 422, "the body is no JSON"),
        (b"7", 422, "7 is no text, and no object with 'text'"),
        (b'""', 422, "text: empty"),
        (b'"\\udcff"', 422, "text: the byte 0xff"),
        (b'{"txt": "a"}', 422, "'txt': unknown; known are 'text' and 'text_pair'"),
        (b'["a", {"text": null}]', 422, "[1] text: None is no text"),
        (b'["a", "b", "c", "d", "e"]', 413, "5 rows; a request may have 4"),
        (json.dumps("the dog " * 11).encode(), 422, "22 tokens; a text, or a pair, may have 20"),
        (json.dumps(["a", "the dog " * 11]).encode(), 422, "[1] 22 tokens"),
        (b'"' + b"a" * 2000 + b'"', 413, "the body is larger than 2000 bytes"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(
    client: TestClient, content: bytes, status: int, said: str
) -> None:
    response = client.post("/predict", content=content)
    assert response.status_code == status
    assert response.json().keys() == {"detail"}
    assert response.json()["detail"].startswith(said)
    assert "\n" not in response.json()["detail"]


def test_a_body_whose_length_nobody_said_is_limited_too(client: TestClient) -> None:
    response = client.post("/predict", content=iter([b"a" * 1500] * 2))
    assert response.status_code == 413


def test_a_body_far_over_the_limit_is_not_even_read(client: TestClient) -> None:
    response = client.post("/predict", content=b"a" * (LIMITS.body * body.PATIENCE + 1))
    assert response.status_code == 413


def test_a_long_text_of_few_tokens_is_read(client: TestClient) -> None:
    assert ask(client, "dog" * 30)["label"] in ("wrong", "right", "neither")


def test_health_says_which_model_answers(client: TestClient, folder: Path) -> None:
    found = client.get("/healthz").json()
    assert found["status"] == "ok"
    assert found["digest"] == files.sha256(folder / files.WEIGHTS)
    assert found["bits"] == {"weights": 1, "embeddings": 1, "activations": 8}
    assert (found["kind"], found["labels"]) == ("classification", ["wrong", "right", "neither"])


def test_prometheus_is_told_requests_batches_and_memory(client: TestClient) -> None:
    ask(client, [TEXT, TEXT])
    client.post("/predict", content=b"{")
    text = client.get("/metrics").text
    for line in (
        'bitladder_requests_total{status="200"}',
        'bitladder_requests_total{status="422"}',
        "bitladder_batch_rows_bucket",
        "bitladder_request_seconds_bucket",
        "bitladder_waiting_rows 0.0",
        "process_resident_memory_bytes",
        'bitladder_model{bits="1-1-8",digest="',
    ):
        assert line in text


def test_the_page_may_reach_this_server_alone(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "http" not in page.text.replace("http-equiv", "")


def test_openapi_says_what_a_row_is(client: TestClient) -> None:
    content = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    _, row, rows = content["application/json"]["schema"]["anyOf"]
    assert row["properties"].keys() == {"text", "text_pair"}
    assert rows["items"]["anyOf"][1] == row
    page = client.get("/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) >= 3
    assert all(place.startswith("/") and client.get(place).status_code == 200 for place in loaded)


def test_a_full_queue_says_when_to_come_again(folder: Path) -> None:
    with TestClient(app.build(bitladder.load(folder), Limits(queue=1, wait=0))) as client:
        response = client.post("/predict", json=[TEXT, TEXT])
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1


def test_a_failure_of_ours_shows_nobody_where_it_happened(client: TestClient) -> None:
    with mock.patch.object(app.asked, "read", side_effect=RuntimeError("/home/somebody/secret")):
        response = client.post("/predict", json=TEXT)
    assert (response.status_code, response.json()) == (
        500,
        {"detail": "the server failed; its log says more"},
    )
