"""Downloads with the real huggingface_hub client against a small server that speaks the hub's API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import CHUNK, FILES, REPO, WEIGHTS, Hub, serving


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as served:
        yield served


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
