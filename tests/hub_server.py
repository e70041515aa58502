"""A model hub in the test's own process: serves one model over HTTP, and misbehaves as it is told."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

REPO = "someone/tiny-model"
COMMIT = "c" * 40
CHUNK = 10 * 1024 * 1024
"""The client writes in chunks of this size; what it had of an unfinished one is fetched again."""
WEIGHTS = os.urandom(2 * CHUNK + 1_000_000)
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle that nobody wants",
    "original/model.safetensors": b"a copy that nobody wants",
}


@dataclass
class Hub:
    """What the server serves, and how it misbehaves."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    gated: bool = False
    cut_after: int | None = None
    """Close the connection after so many bytes of the weights, every time until it is cleared."""
    damage: bool = False
    silent: int = 0
    """So many requests for the weights are never answered."""
    claimed_size: int | None = None
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def sent(self, name: str) -> list[str]:
        """The `Range` headers of the downloads of a file."""
        return [r for method, path, r in self.requests if method == "GET" and path.endswith(f"/{name}")]


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlparse(self.path).path
        self.hub.requests.append((self.command, path, self.headers.get("Range") or ""))
        if REPO not in path:
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "not found"})
        if path.startswith("/api/"):
            return self.api(path)
        if self.hub.gated:
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        name = path.split(f"/resolve/{COMMIT}/")[-1]
        return self.file(name)

    def api(self, path: str) -> None:
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in self.hub.files.items()}
        sizes = {name: len(content) for name, content in self.hub.files.items()}
        if self.hub.claimed_size is not None:
            sizes["model.safetensors"] = self.hub.claimed_size
        if "/tree/" in path:
            tree = [{"type": "file", "path": n, "size": sizes[n], "oid": sums[n][:40]} for n in sizes]
            return self.answer(200, json.dumps(tree).encode())
        siblings = [
            {"rfilename": n, "size": sizes[n], "blobId": sums[n][:40]}
            | (
                {"lfs": {"sha256": sums[n], "size": sizes[n], "pointerSize": 1}}
                if n.endswith("tensors")
                else {}
            )
            for n in sizes
        ]
        body = {
            "id": REPO,
            "modelId": REPO,
            "sha": COMMIT,
            "siblings": siblings,
            "private": False,
            "tags": [],
        }
        return self.answer(200, json.dumps(body).encode())

    def file(self, name: str) -> None:
        content = self.hub.files[name]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        first = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(first[1]) if first else 0
        if first:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if name == "model.safetensors" and self.command == "GET":
            if self.hub.damage:
                body = bytes([body[0] ^ 1]) + body[1:]
            if self.hub.cut_after is not None:
                return self.answer(206 if first else 200, body, headers, only=self.hub.cut_after)
            if self.hub.silent:
                self.hub.silent -= 1
                self.hub.over.wait(20)
                return None
        return self.answer(206 if first else 200, body, headers)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, only: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self.wfile.write(body[:only])
            self.wfile.flush()
            if only is not None:
                self.close_connection = True
                self.connection.close()
        except OSError:
            self.close_connection = True


@contextmanager
def serving(handler: type[Handler] = Handler) -> Iterator[Hub]:
    """A hub, served until the end of the block; `url` is its address."""
    state = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"hub": state}))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  (clients hang up on purpose)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
