"""`/infill` as llama-server answers it, and our fields."""

from __future__ import annotations

import pytest

from tests.unit.serving.conftest import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = {"input_prefix": "def f(x):", "input_suffix": "\n"}


async def test_a_stream_ends_with_the_figures_and_without_done(api: Api) -> None:
    async with api.client.stream("POST", "/infill", json=BODY | {"stream": True}) as answer:
        raw = (await answer.aread()).decode()
    assert "[DONE]" not in raw
    events = await api.events("/infill", BODY)
    assert "".join(event["content"] for event in events) == "\n    return mock()  # mock\n"
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]
    assert all(isinstance(event["tokens"], list) and event["logprob"] < 0 for event in events[:-1])
    last = events[-1]
    assert (last["stop_type"], last["model"], last["truncated"]) == ("eos", "mock", False)
    assert last["tokens_evaluated"] == len("def f(x):")
    assert last["tokens_predicted"] == sum(len(event["tokens"]) for event in events)
    assert {
        "prompt_n",
        "prompt_ms",
        "predicted_n",
        "predicted_ms",
        "predicted_per_second",
        "queue_ms",
    } <= set(last["timings"])


async def test_a_plain_answer_is_the_stream_joined(api: Api) -> None:
    answer = await api.post("/infill", BODY)
    assert answer["content"] == "\n    return mock()  # mock\n"
    assert answer["stop"] is True
    assert len(answer["tokens"]) == answer["tokens_predicted"]


async def test_prompt_is_the_end_of_the_prefix(api: Api) -> None:
    answer = await api.post("/infill", {"input_prefix": "def f", "prompt": "(x):", "input_suffix": ""})
    assert answer["content"].startswith("\n    return")


async def test_stop_strings_and_limits_are_told_by_their_type(api: Api) -> None:
    answer = await api.post("/infill", BODY | {"stop": ["()"]})
    assert (answer["content"], answer["stop_type"], answer["stopping_word"]) == (
        "\n    return mock",
        "word",
        "()",
    )
    answer = await api.post("/infill", BODY | {"n_predict": 5})
    assert (answer["stop_type"], answer["tokens_predicted"]) == ("limit", 5)


async def test_n_predict_0_warms_the_cache_up_and_says_nothing(api: Api) -> None:
    answer = await api.post("/infill", BODY | {"n_predict": 0})
    assert answer["content"] == ""
    assert answer["tokens_evaluated"] > 0


async def test_llama_vim_s_request_is_answered_as_it_reads_it(api: Api) -> None:
    fields = [
        "content",
        "timings/prompt_n",
        "timings/predicted_ms",
        "truncated",
        "tokens_cached",
        "no/such/field",
    ]
    answer = await api.client.post(
        "/infill",
        json=BODY
        | {
            "model": "",
            "id_slot": 0,
            "input_extra": [{"text": "import os\n", "time": [1, 2], "filename": "a.py"}],
            "prompt": "",
            "n_indent": 4,
            "samplers": ["top_k", "top_p", "infill"],
            "cache_prompt": True,
            "t_max_prompt_ms": 500,
            "t_max_predict_ms": 1000,
            "top_k": 40,
            "top_p": 0.9,
            "seed": -1,
            "stream": False,
            "response_fields": fields,
        },
    )
    assert set(answer.json()) == set(fields[:-1])
    assert '"content":"' in answer.text, "it looks for this before it parses"


async def test_a_prompt_that_is_too_long_is_cut_and_said(api: Api) -> None:
    answer = await api.post("/infill", {"input_prefix": "x = 1\n" * 5000 + "def f(x):", "input_suffix": ""})
    assert answer["truncated"] is True
    assert answer["tokens_evaluated"] <= 8192
    assert answer["content"].startswith("\n    return"), "the cursor's end of the prefix must stay"


async def test_the_document_is_known_after_its_text_and_by_its_edits(api: Api) -> None:
    def body(**document: object) -> dict[str, object]:
        return BODY | {"client": "w1", "document": {"id": "file:///a.py", **document}}

    assert (await api.post("/infill", body(version=1)))["document_known"] is False
    assert (await api.post("/infill", body(version=1, text="abc")))["document_known"] is True
    edit = body(version=2, base=1, start=1, end=2, text="X")
    assert (await api.post("/infill", edit))["document_known"] is True
    assert (await api.post("/infill", body(version=2)))["document_known"] is True
    assert (await api.post("/infill", body(version=9, base=7, start=0, end=0)))["document_known"] is False
    outside = body(version=3, base=2, start=0, end=99)
    assert (await api.post("/infill", outside))["document_known"] is False
    assert "document_known" not in await api.post("/infill", BODY)


async def test_a_request_that_waits_for_the_model_hears_of_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.core, "holds", lambda name, role: False)
    events = await api.events("/infill", BODY)
    assert [event.get("waiting") for event in events[:3]] == [True, False, None]
    assert "".join(event["content"] for event in events) == "\n    return mock()  # mock\n"
    assert (await api.post("/infill", BODY))["content"] == "\n    return mock()  # mock\n"


async def test_neighbours_are_taken_beside_the_text(api: Api) -> None:
    told = {"client": "w2", "id": "file:///c.py", "version": 1}
    files = [{"filename": "d.py", "text": "x"}]
    body = BODY | {"client": "w2", "document": {"id": "file:///c.py", "version": 1}}
    await api.post("/infill", body | {"document": body["document"] | {"text": "abc"}})
    assert (await api.post("/codeface/document", told | {"neighbours": files}))["neighbours"] == 1
    assert (await api.post("/codeface/document", told | {"neighbours": []}))["neighbours"] == 0
    assert (await api.post("/infill", body))["document_known"] is True, "its text is still known"


async def test_a_document_can_be_sent_ahead_and_closed(api: Api) -> None:
    sent = {"client": "w", "id": "file:///b.py", "version": 1, "text": "x"}
    assert (await api.post("/codeface/document", sent))["document_known"] is True
    body = BODY | {"client": "w", "document": {"id": "file:///b.py", "version": 1}}
    assert (await api.post("/infill", body))["document_known"] is True
    await api.post("/codeface/document", {"client": "w", "id": "file:///b.py", "version": 1, "closed": True})
    assert (await api.post("/infill", body))["document_known"] is False
