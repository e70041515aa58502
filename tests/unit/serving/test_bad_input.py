"""Nonsense is answered with one sentence in OpenAI's shape, and the others are still served."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.unit.serving.conftest import TOKEN, Api
from tests.unit.serving.test_watcher import connect

pytestmark = pytest.mark.asyncio(loop_scope="module")
INFILL = {"input_prefix": "x", "input_suffix": ""}
COMPLETION = {"prompt": "x"}
CHAT = {"messages": [{"role": "user", "content": "x"}]}
ROUTES = {"/infill": INFILL, "/v1/completions": COMPLETION, "/v1/chat/completions": CHAT}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", -1),
        ("temperature", "hot"),
        ("top_p", float("nan")),
        ("top_p", -0.1),
        ("top_p", 1.5),
        ("top_k", -1),
        ("min_p", 2),
        ("seed", -7),
        ("seed", 2**70),
        ("stop", ["x"] * 10_000),
        ("stop", ["x" * 100_000]),
        ("stop", [""]),
        ("stop", [1]),
        ("stream", "maybe"),
        ("repetition_penalty", float("nan")),
        ("frequency_penalty", 2.5),
        ("presence_penalty", float("nan")),
        ("repetition_penalty", 0),
    ],
)
async def test_a_parameter_that_makes_no_sense_is_named(api: Api, path: str, field: str, value: Any) -> None:
    raw = json.dumps(ROUTES[path] | {field: value})
    answer = await api.client.post(path, content=raw)
    error = answer.json()["error"]
    assert answer.status_code == 400, answer.text
    assert (error["type"], error["param"]) == ("invalid_request_error", field)
    assert field in error["message"]
    assert len(error["message"]) < 200


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/completions", COMPLETION | {"n": 1000}, "n"),
        ("/v1/completions", COMPLETION | {"n": 0}, "n"),
        ("/v1/completions", {"prompt": ["x"] * 8, "n": 8}, "n"),
        ("/v1/completions", {"prompt": []}, "prompt"),
        ("/v1/completions", {}, "prompt"),
        ("/v1/completions", COMPLETION | {"max_tokens": -1}, "max_tokens"),
        ("/v1/completions", COMPLETION | {"max_tokens": 10**9}, "max_tokens"),
        ("/v1/completions", COMPLETION | {"logprobs": 1000}, "logprobs"),
        ("/v1/completions", COMPLETION | {"best_of": 5}, "best_of"),
        ("/v1/chat/completions", CHAT | {"n": 1000}, "n"),
        ("/v1/chat/completions", CHAT | {"max_tokens": 0}, "max_tokens"),
        ("/v1/chat/completions", CHAT | {"top_logprobs": -1}, "top_logprobs"),
        ("/v1/chat/completions", CHAT | {"tools": [{}]}, "tools"),
        ("/v1/chat/completions", CHAT | {"response_format": {"type": "json_object"}}, "response_format"),
        ("/v1/chat/completions", {"messages": []}, "messages"),
        ("/v1/chat/completions", {"messages": [{"role": "king", "content": "x"}]}, "messages"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages",
        ),
        ("/infill", INFILL | {"n_predict": -2}, "n_predict"),
        ("/infill", INFILL | {"t_max_predict_ms": -1}, "t_max_predict_ms"),
        ("/infill", INFILL | {"order": "backwards"}, "order"),
        ("/infill", INFILL | {"input_extra": [{"filename": "x"}]}, "input_extra"),
        ("/v1/embeddings", {"input": ["x"] * 1000}, "input"),
        ("/v1/embeddings", {"input": [[1, 2]]}, "input"),
        ("/detokenize", {"tokens": [10**9]}, "tokens"),
        ("/detokenize", {"tokens": [-1]}, "tokens"),
        ("/codeface/models/default", {"model": "mock"}, "role"),
        ("/codeface/models/load", {"role": "chat"}, "model"),
    ],
)
async def test_each_route_bounds_its_own_fields(api: Api, path: str, body: Any, param: str) -> None:
    status, error = await api.error(path, body)
    assert (status, error["param"], error["type"]) == (400, param, "invalid_request_error")


@pytest.mark.parametrize(
    "raw", [b"{bad", b"[1]", b"\xff\xfe", b"nul", b'{"prompt": "\\ud800"}', b"[" * 100_000]
)
async def test_what_is_not_json_is_said_to_be_not_json(api: Api, raw: bytes) -> None:
    answer = await api.client.post("/v1/completions", content=raw)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


async def test_an_unknown_route_and_a_wrong_method(api: Api) -> None:
    for answer, status in (
        (await api.client.get("/no/such/route"), 404),
        (await api.client.get("/infill"), 405),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, "unknown_url")


async def test_two_hundred_clients_at_once_are_all_answered(api: Api) -> None:
    async def ask(number: int) -> str:
        body = {"messages": [{"role": "user", "content": f"number {number}"}], "max_tokens": 300}
        answer = await api.client.post("/v1/chat/completions", json=body)
        assert answer.status_code in (200, 503)
        if answer.status_code == 503:
            assert "retry-after" in answer.headers
            return "busy"
        assert f"number {number}" in answer.json()["choices"][0]["message"]["content"]
        return "answered"

    answers = await asyncio.gather(*(ask(number) for number in range(200)))
    assert answers.count("answered") >= 64


async def test_clients_that_never_read_do_not_hold_up_the_others(api: Api) -> None:
    body = json.dumps(CHAT | {"stream": True})
    headers = (f"Authorization: Bearer {TOKEN}", f"Content-Length: {len(body)}")
    silent = [connect(api.url, "/v1/chat/completions", *headers, method="POST", body=body) for _ in range(20)]
    try:
        async with asyncio.timeout(20):
            assert await api.post("/infill", INFILL)
    finally:
        for connection in silent:
            connection.close()
