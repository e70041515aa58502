"""Downloads with the real huggingface_hub client against a small server that speaks the hub's API."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

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


@pytest.fixture
def hub() -> Iterator[Hub]:
    state = Hub()
    handler = type("Bound", (Handler,), {"hub": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  (clients hang up on purpose)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield state
    state.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


CLIENT = """
import json, resource, sys
from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models import hub
limit = int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
seen = []
try:
    if sys.argv[1] == "remove":
        answer = {"freed": hub.remove(sys.argv[2])}
    else:
        folder = hub.download(sys.argv[2], report=lambda done, total: seen.append((done, total)))
        answer = {"folder": str(folder), "seen": seen}
except ModelLoadError as error:
    answer = {"kind": error.kind, "message": error.message, "seen": seen}
answer["local"] = str(hub.local_folder(sys.argv[2]) or "")
print(json.dumps(answer))
"""


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Any:
    """Run the client in a process of its own: it reads `HF_ENDPOINT` when it is imported."""

    def run(
        repo: str = REPO, *, action: str = "download", largest_file: int = 0, **environ: str
    ) -> dict[str, Any]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()}
        env |= {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **environ,
        }
        command = [sys.executable, "-c", CLIENT, action, repo, str(largest_file)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert "\n" not in answer.get("message", "")
        return answer

    return run


def test_a_download_brings_what_is_wanted_and_reports_every_byte(hub: Hub, client: Any) -> None:
    answer = client()
    folder = Path(answer["folder"])
    assert sorted(f.name for f in folder.rglob("*") if f.is_file()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    done = [seen for seen, _ in answer["seen"]]
    total = sum(len(FILES[n]) for n in ("config.json", "model.safetensors", "tokenizer.json"))
    assert done == sorted(done) and answer["seen"][-1] == [total, total]
    assert answer["local"] == answer["folder"]


def test_what_is_there_is_not_fetched_again(hub: Hub, client: Any) -> None:
    client()
    before = len(hub.sent("model.safetensors"))
    client()
    assert len(hub.sent("model.safetensors")) == before == 1


def test_a_download_that_was_cut_resumes_where_it_stopped(hub: Hub, client: Any) -> None:
    hub.cut_after = CHUNK + 1000
    answer = client()
    assert hub.sent("model.safetensors") == ["", f"bytes={CHUNK}-", f"bytes={2 * CHUNK}-"]
    assert (Path(answer["folder"]) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_new_attempt_keeps_the_files_that_are_complete(hub: Hub, client: Any) -> None:
    first = client(largest_file=CHUNK + 1000)
    assert first["kind"] == "disk_full" and Path(first["local"], "config.json").is_file()
    assert (Path(client()["folder"]) / "model.safetensors").read_bytes() == WEIGHTS
    assert len(hub.sent("config.json")) == 1


def test_a_gated_model_says_what_to_do(hub: Hub, client: Any) -> None:
    hub.gated = True
    answer = client()
    assert answer["kind"] == "gated"
    assert f"{hub.url}/{REPO}" in answer["message"] and "hf auth login" in answer["message"]


def test_a_model_that_does_not_exist(client: Any) -> None:
    answer = client("someone/nothing")
    assert answer["kind"] == "not_found" and "someone/nothing" in answer["message"]


def test_a_hub_that_does_not_answer(client: Any) -> None:
    answer = client(HF_ENDPOINT="http://127.0.0.1:9")
    assert answer["kind"] == "offline" and "try again" in answer["message"]


def test_a_hub_that_falls_silent_is_asked_again(hub: Hub, client: Any) -> None:
    hub.silent = 1
    answer = client(HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert (Path(answer["folder"]) / "model.safetensors").read_bytes() == WEIGHTS
    assert len(hub.sent("model.safetensors")) == 2


@pytest.mark.slow
def test_a_hub_that_stays_silent_is_given_up_with_a_clear_answer(hub: Hub, client: Any) -> None:
    hub.silent = 100
    answer = client(HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert answer["kind"] == "offline" and "try again" in answer["message"]


def test_weights_with_a_wrong_checksum_are_removed(hub: Hub, client: Any) -> None:
    hub.damage = True
    answer = client()
    assert answer["kind"] == "checksum" and "model.safetensors" in answer["message"]
    hub.damage = False
    assert (Path(client()["folder"]) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_model_larger_than_the_disk_is_refused_before_a_byte_is_fetched(hub: Hub, client: Any) -> None:
    hub.claimed_size = 10**18
    answer = client()
    assert answer["kind"] == "disk_full" and "1000000000.0 GB" in answer["message"]
    assert not hub.sent("model.safetensors")


def test_a_disk_that_fills_up_meanwhile(client: Any) -> None:
    answer = client(largest_file=1_000_000)
    assert answer["kind"] == "disk_full" and "are kept" in answer["message"]


def test_a_model_that_has_only_pickles_is_not_fetched(hub: Hub, client: Any) -> None:
    del hub.files["model.safetensors"]
    answer = client()
    assert answer["kind"] == "pickle_only"
    assert not hub.sent("pytorch_model.bin")


def test_a_downloaded_model_can_be_removed(hub: Hub, client: Any) -> None:
    client()
    answer = client(action="remove")
    assert answer["freed"] > len(WEIGHTS) and answer["local"] == ""
    assert client(action="remove")["kind"] == "not_found"
