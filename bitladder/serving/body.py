"""ASGI: a request's body is read whole before anything looks at it, or refused as too large."""

import json
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitladder.serving.limits import RefusedError

PREDICT = "/predict"
PATIENCE = 16  # limits of bytes that are read and dropped before a body that is too large is refused


class Guard:
    """Refuses bodies over `limit` bytes with 413, and tells `seen` each answer's status and seconds."""

    def __init__(self, app: ASGIApp, limit: int, seen: Callable[[int, float], None]) -> None:
        self._app, self._limit, self._seen = app, limit, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            body = await self._body(scope, receive)
        except RefusedError as error:
            await refuse(error, watched)
        else:
            await self._app(scope, _once(body, receive), watched)
        if scope["path"] == PREDICT and status:
            self._seen(status, time.perf_counter() - begun)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        said = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = RefusedError(413, f"the body is larger than {self._limit} bytes")
        if said.isdigit() and int(said) > PATIENCE * self._limit:
            raise too_large
        body, num_bytes = bytearray(), 0
        while True:
            message = await receive()
            num_bytes += len(message.get("body", b""))
            body += message.get("body", b"") if num_bytes <= self._limit else b""
            is_over = not message.get("more_body", False)  # the end, or the sender is gone
            # Read on for a while: who is still sending would not see the answer.
            if num_bytes > self._limit and (is_over or num_bytes > PATIENCE * self._limit):
                raise too_large
            if is_over:
                return bytes(body)


def _once(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def refuse(error: RefusedError, send: Send) -> None:
    """Answer and close: the rest of the body is not read."""
    content = json.dumps({"detail": error.detail}).encode()
    headers: list[Any] = [(b"content-type", b"application/json"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
