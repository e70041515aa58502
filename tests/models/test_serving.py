"""The API with checkpoints of other kinds, and with broken ones."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from codeface_lsp.settings import EngineSettings, Settings
from tests.models.conftest import Build
from tests.unit.serving.conftest import Api, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api() -> AsyncGenerator[Api]:
    async with running(Settings(engine=EngineSettings(threads=1))) as made:
        yield made


async def test_an_encoder_embeds(api: Api, build_checkpoint: Build) -> None:
    model = str(build_checkpoint("bert"))
    answer = await api.post(
        "/v1/embeddings", {"model": model, "input": ["def add(first, second):", "import os"]}
    )
    first, second = (row["embedding"] for row in answer["data"])
    assert sum(x * x for x in first) == pytest.approx(1, abs=1e-3)
    assert first != second
    again = await api.post("/v1/embeddings", {"model": model, "input": "import os"})
    assert again["data"][0]["embedding"] == pytest.approx(second, abs=1e-3)


@pytest.mark.parametrize("architecture", ["gpt_bigcode", "starcoder2", "qwen2", "t5"])
async def test_other_architectures_complete_and_chat(
    api: Api, build_checkpoint: Build, architecture: str
) -> None:
    model = str(build_checkpoint(architecture))
    body = {"model": model, "prompt": "def add(first", "max_tokens": 4, "temperature": 0}
    answer = await api.post("/v1/completions", body)
    assert answer["usage"]["completion_tokens"] <= 4
    chat = {"model": model, "messages": [{"role": "user", "content": "import os"}], "max_tokens": 4}
    events = await api.events("/v1/chat/completions", chat | {"stream_options": {"include_usage": True}})
    assert events[-1]["usage"]["completion_tokens"] <= 4


async def test_a_model_without_fim_tokens_continues_the_prefix(api: Api, build_checkpoint: Build) -> None:
    model = str(build_checkpoint("gpt2"))
    body: dict[str, Any] = {
        "model": model,
        "input_prefix": "import os\n",
        "input_suffix": "x",
        "n_predict": 3,
    }
    with_order = await api.client.post("/infill", json=body | {"order": "none"})
    assert with_order.status_code == 200
    assert (await api.client.post("/infill", json=body)).status_code == 200


@pytest.mark.parametrize("penalty", ["frequency_penalty", "presence_penalty"])
async def test_penalties_of_openai_keep_an_answer_from_repeating(
    api: Api, build_checkpoint: Build, penalty: str
) -> None:
    body = {
        "model": str(build_checkpoint("llama")),
        "input_prefix": "import os\n",
        "input_suffix": "",
        "order": "none",
        "n_predict": 24,
    }

    async def said(**more: float) -> list[int]:
        ids: list[int] = (await api.post("/infill", body | more))["tokens"]
        return ids

    unlike = await said(**{penalty: 2})
    assert len(unlike) == len(set(unlike)) > 1
    alike = await said(**{penalty: -2})
    assert len(alike) > len(set(alike))


@pytest.mark.parametrize(
    ("breakage", "words"),
    [
        ("missing", "check the path"),
        ("no weights", "safetensors"),
        ("pickle", "safetensors"),
        ("truncated weights", "again"),
        ("no tokenizer", "tokenizer"),
    ],
)
async def test_a_broken_model_folder_is_one_sentence_and_the_engine_lives_on(
    api: Api, build_checkpoint: Build, breakage: str, words: str
) -> None:
    folder = build_checkpoint("llama")
    weights = folder / "model.safetensors"
    if breakage == "missing":
        folder = Path("/no/such/model")
    elif breakage == "no weights":
        weights.unlink()
    elif breakage == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    elif breakage == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:2000])
    else:
        (folder / "tokenizer.json").unlink()
    answer = await api.client.post(
        "/infill", json={"model": str(folder), "input_prefix": "x", "input_suffix": ""}
    )
    error = answer.json()["error"]
    assert answer.status_code >= 400
    assert words in error["message"]
    assert "\n" not in error["message"]
    assert error["code"] not in (None, "internal_error")
    healthy = {"input_prefix": "import ", "input_suffix": "", "n_predict": 1}
    assert (await api.client.post("/infill", json=healthy)).status_code == 200


async def test_an_unknown_model_is_answered_with_the_nearest_names(api: Api) -> None:
    answer = await api.client.post("/v1/completions", json={"model": "codeface-tyny", "prompt": "x"})
    assert answer.status_code == 404
    assert "`codeface-tiny`" in json.loads(answer.text)["error"]["message"]
