"""A chat with a real checkpoint, all the way: editor's request, server, engine, the model's own template, and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from codeface_lsp.inference.types import GenerationRequest
from codeface_lsp.prompting.cleaning import clean
from codeface_lsp.settings import EngineSettings, Settings
from tests.e2e.test_chat import deltas, span
from tests.http_servers import eventually
from tests.lsp_client import LspClient, ServerError, language_server
from tests.models.conftest import Build
from tests.unit.serving.conftest import TOKEN, Api, running

TEMPLATE = Path(__file__).parents[1] / "unit" / "prompting" / "chat_templates" / "chatml.jinja"
CODE = "def add(first, second):\n    return first + second\n"
EXACT = EngineSettings(device="cpu", dtype="float32", int8=False, threads=1, mixture=False)


@pytest.fixture(scope="module")
def instruct(build_checkpoint: Build) -> Path:
    """A tiny random checkpoint that was "trained to chat": ChatML, with an end of turn of its own."""
    folder = build_checkpoint("qwen2", max_position_embeddings=4096)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<|im_end|>", "chat_template": TEMPLATE.read_text()}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@asynccontextmanager
async def window(
    home: Path, folder: Path, root: Path, **chat: Any
) -> AsyncIterator[tuple[LspClient, Api, list[list[int]]]]:
    """A language server on a real engine with that checkpoint; and the prompts that the model was given."""
    async with running(Settings(engine=EXACT)) as api:
        engine = (await api.core.parts()).engine
        generate, prompts = engine.generate, []

        def recorded(model: Any, request: GenerationRequest) -> Any:
            prompts.append(list(request.prompt))
            return generate(model, request)

        engine.generate = recorded  # type: ignore[method-assign]
        endpoint = {"name": "engine", "url": api.url, "api_key": TOKEN, "model": str(folder)}
        async with language_server(home) as client:
            options = {
                "endpoints": [endpoint | {"context_tokens": 4096}],
                "chat": {"temperature": 0, **chat},
                "context": {"index": False},
            }
            await client.initialize(root, options=options)
            yield client, api, prompts


async def test_an_answer_is_what_the_model_says_to_its_own_template(
    instruct: Path, codeface_home: Path, tmp_path: Path
) -> None:
    """Token for token what transformers renders, greedily what transformers generates; also in the second turn."""
    own = PreTrainedTokenizerFast(
        tokenizer_file=str(instruct / "tokenizer.json"), chat_template=TEMPLATE.read_text()
    )
    begin, end = own.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    reference = AutoModelForCausalLM.from_pretrained(instruct, dtype=torch.float32).eval()
    async with window(codeface_home, instruct, tmp_path, max_new_tokens=24) as (client, _, prompts):
        uri = (tmp_path / "a.py").as_uri()
        client.open(uri, CODE)
        first = {"message": "What does <|im_end|> @selection do?", "partialResultToken": "one"}
        about = {"textDocument": {"uri": uri}, "range": span(0, 2)}
        told = await client.request("codeface/chat", first | about)
        known = {"conversationId": told["conversationId"], "partialResultToken": "two"}
        again = await client.request("codeface/chat", {"message": "And why?"} | known)
        whole = (await client.request("codeface/chat.get", known))["turns"]

    for token, reply, prompt in (("one", told, prompts[0]), ("two", again, prompts[1])):
        ids = torch.tensor([prompt])
        expected = reference.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=[0, end])
        text = clean(own.decode(expected[0, len(prompt) :], skip_special_tokens=True))
        assert reply["reply"] == text != ""
        assert "".join(deltas(client, token)).strip() == text
        assert reply["usage"]["promptTokens"] == len(prompt)
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in whole[:3]]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    sent = own.decode(prompts[1])
    system = sent.split("<|im_start|>system\n")[1].split("<|im_end|>\n<|im_start|>user\n")[0]
    assert system.startswith("You are CodeFace, an AI programming assistant.")
    text = own.apply_chat_template(
        [{"role": "system", "content": system}, *turns], tokenize=False, add_generation_prompt=True
    )
    assert sent == text
    assert (prompts[0].count(begin), prompts[0].count(end)) == (3, 2), "a marker that somebody types is text"
    assert CODE in own.decode(prompts[0])


async def test_a_cancelled_chat_stops_the_engine_within_one_step(
    instruct: Path, codeface_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in decoding steps of the model from the moment at which the engine hears of it."""
    async with window(codeface_home, instruct, tmp_path, max_new_tokens=3000) as (client, api, _):
        parts: Any = await api.core.parts()
        model = await parts.manager.acquire(str(instruct), "chat")
        parts.manager.release(model)
        runner = parts.engine.prepare(model).runner
        steps: list[str] = []
        forward, cancel = runner.forward, parts.engine._scheduler.cancel

        def counted_forward(*args: Any, **kwargs: Any) -> Any:
            steps.append("step")
            return forward(*args, **kwargs)

        def counted_cancel(job: Any) -> None:
            steps.append("heard")
            cancel(job)

        monkeypatch.setattr(runner, "forward", counted_forward)
        monkeypatch.setattr(parts.engine._scheduler, "cancel", counted_cancel)
        params = {"message": "Write a long story.", "partialResultToken": "t"}
        request_id, answer = client.start("codeface/chat", params)
        await client.until(lambda: deltas(client, "t"))
        client.cancel(request_id)
        with pytest.raises(ServerError) as error:
            await asyncio.wait_for(answer, 30)
        assert error.value.code == -32800
        await eventually(lambda: "heard" in steps)
        await eventually(lambda: parts.engine.stats().running + parts.engine.stats().waiting == 0)
        assert steps[steps.index("heard") :].count("step") <= 1
        assert steps.count("step") < 2900, "it was stopped, it did not end"
        kept = (await client.request("codeface/chat.list", {}))["conversations"]
        assert [c["turns"] for c in kept] == [2]
