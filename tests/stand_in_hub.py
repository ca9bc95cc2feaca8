"""A Hugging Face Hub of one process: takes what huggingface_hub uploads, and keeps it in memory."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """Attributes:
    refuses: a status that everything is answered with instead.
    files: by name, as they were committed.
    asked: each request's method and path.
    tokens: the Authorization headers that were sent.
    """

    url: str = ""
    refuses: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    repos: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    uploads: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            hub.asked.append(f"{self.command} {self.path}")
            if self.path.startswith("/lfs/"):  # its address is a secret: no token is sent there
                hub.uploads[self.path.rpartition("/")[2]] = body
                return self._send(200, {})
            hub.tokens.add(self.headers.get("authorization"))
            status, value = (hub.refuses, {"error": "no"}) if hub.refuses else _said(hub, self.path, body)
            self._send(status, value)

        def _send(self, status: int, value: Any) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _said(hub: Hub, path: str, body: bytes) -> tuple[int, Any]:
    if path == "/api/repos/create":
        hub.repos.append(json.loads(body))
        return 200, {"url": f"{hub.url}/ada/small", "id": "ada/small"}
    if path == "/api/validate-yaml":
        return 200, {"errors": [], "warnings": []}
    if "/preupload/" in path:
        asked = json.loads(body)["files"]
        modes = {one["path"]: "lfs" if one["path"].endswith(".safetensors") else "regular" for one in asked}
        return 200, {
            "files": [
                {"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes.items()
            ]
        }
    if path.endswith("/info/lfs/objects/batch"):
        objects = [
            {
                "oid": one["oid"],
                "size": one["size"],
                "actions": {"upload": {"href": f"{hub.url}/lfs/{one['oid']}"}},
            }
            for one in json.loads(body)["objects"]
        ]
        return 200, {"transfer": "basic", "objects": objects}
    if "/commit/" in path:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                hub.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                hub.files[value["path"]] = hub.uploads[value["oid"]]
        return 200, {"commitUrl": f"{hub.url}/ada/small/commit/1", "commitOid": "1" * 40, "hookOutput": ""}
    return 404, {"error": path}
