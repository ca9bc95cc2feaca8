"""The routes: /predict, a page to try a text in, /healthz, /metrics, FastAPI's /docs and /openapi.json."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi_offline import FastAPIOffline

from bitladder import files
from bitladder.predict import PackedModel
from bitladder.rows.answered import answers
from bitladder.rows.row import Bad, Names, Row, names_for
from bitladder.serving import asked
from bitladder.serving.batching import Answers, Batcher
from bitladder.serving.body import PREDICT, Guard
from bitladder.serving.limits import Limits, RefusedError
from bitladder.serving.metrics import Metrics

PAGE = Path(__file__).with_name("page.html")
# The page may load and reach nothing but this server.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
_REFUSALS: dict[int | str, dict[str, Any]] = {
    413: {"description": "Too large: `detail` says what, in a line"},
    422: {"description": "No text, or too long a one: `detail` says which, in a line"},
    503: {"description": "Too many texts wait; the header Retry-After has seconds"},
}


@dataclass(frozen=True)
class About:
    """What /healthz tells: `digest` is the weights' sha256, `reads` the keys of a row."""

    status: str
    model: str
    digest: str
    kind: str
    bits: dict[str, int]
    labels: list[str]
    reads: list[str]
    texts: int | None
    max_length: int
    engine: str
    version: str


def build(model: PackedModel, limits: Limits) -> FastAPI:
    """The application that answers with `model`."""
    names, metrics = names_for(model.config), Metrics()
    about = _about(model, names)
    metrics.about(about.digest, about.kind, "-".join(map(str, about.bits.values())))
    batcher: Batcher | None = None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nonlocal batcher
        batcher = Batcher(partial(_answers, model, limits), limits, metrics.batch)
        metrics.watch(lambda: batcher.num_waiting if batcher else 0)
        batcher.start()
        yield
        await batcher.close()

    app = FastAPIOffline(  # its page of the interface loads nothing from elsewhere
        title="bitladder",
        version=about.version,
        description=f"{about.model}: {about.kind}",
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
    )
    app.add_middleware(Guard, limit=limits.body, seen=metrics.request)
    body = {"required": True, "content": {"application/json": {"schema": asked.schema(names, limits)}}}

    @app.post(PREDICT, responses=_REFUSALS, openapi_extra={"requestBody": body})
    async def predict(request: Request) -> Response:
        """What the model says of a text, a pair or a question, or of each of a list."""
        assert batcher is not None
        given = asked.read(await request.body(), names, limits)
        found = await batcher.ask(given.rows) if given.rows else []
        if bad := next((one for one in found if isinstance(one, Bad)), None):
            where = f"[{bad.number}] " if given.is_list else ""
            raise RefusedError(422, f"{where}{bad.reason}")
        return _json(found if given.is_list else found[0])

    @app.get("/healthz")
    async def healthz() -> About:
        """Which model answers."""
        return about

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers={"Content-Security-Policy": POLICY})

    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(Exception, _failed)
    return app


def _answers(model: PackedModel, limits: Limits, rows: list[Row]) -> Answers:
    """In the model's thread; a row of too many tokens is refused and spoils no other."""
    few: list[Row] = []
    refused: dict[int, Bad] = {}
    for place, row in enumerate(rows):
        try:
            asked.require_few_tokens(row, model, limits)
            few.append(row)
        except ValueError as error:
            refused[place] = Bad(row.number, str(error))
    found = iter(answers(model, few))
    return [refused[place] if place in refused else next(found) for place in range(len(rows))]


def _about(model: PackedModel, names: Names) -> About:
    config, precision = model.config, model.config.precision
    reads = [names.text] if config.num_texts == 1 else [names.text, names.pair]
    return About(
        status="ok",
        model=model.folder.absolute().name,
        digest=files.verify(model.folder)[files.WEIGHTS],
        kind=config.kind,
        bits={
            "weights": precision.weights,
            "embeddings": precision.embeddings,
            "activations": precision.activations,
        },
        labels=config.labels,
        reads=reads,
        texts=config.num_texts,
        max_length=config.max_length,
        engine=model.engine.engine,
        version=_version(),
    )


def _version() -> str:
    try:
        return version("bitladder")
    except PackageNotFoundError:
        return "0"


def _json(value: Any) -> Response:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Response(text, media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    headers = None if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse({"detail": error.detail}, error.status, headers)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "the server failed; its log says more"}, 500)
