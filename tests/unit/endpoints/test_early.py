"""The engine that starts by the first message, before the server has been imported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from codeface_lsp import runtime
from codeface_lsp.endpoints import early
from codeface_lsp.errors import EndpointUnreachable


def framed(message: Any) -> bytes:
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


INITIALIZE = framed(
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"initializationOptions": {}}}
)
NEXT = framed({"jsonrpc": "2.0", "method": "initialized", "params": {}})


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """What the server reads, and what the client writes."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        yield reader, writer


def everything(opening: early.Opening, step: int) -> bytes:
    """All bytes, read as the protocol is: a line, then a piece."""
    whole = b""
    while piece := opening.readline() + opening.read(step):
        whole += piece
    return whole


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    "sent",
    [
        INITIALIZE + NEXT,
        framed({"jsonrpc": "2.0", "id": 1, "method": "shutdown"}) + NEXT,
        b"",
        b"Content-Length: 900\r\n\r\n{",
        b"Content-Length: many\r\n\r\n{}",
        b"Content-Length: 99999999999\r\n\r\n{}" + NEXT,
        framed([1, 2, 3]) + NEXT,
        framed({"method": "initialize", "params": None}) + NEXT,
        b"\xff\xfe\x00 not a protocol\r\n" + NEXT,
    ],
    ids=[
        "initialize",
        "another",
        "nothing",
        "cut off",
        "no number",
        "endless",
        "a list",
        "no params",
        "binary",
    ],
)
def test_a_reader_gets_every_byte_whatever_the_first_message_is(
    codeface_home: Path,
    pipe: tuple[BinaryIO, BinaryIO],
    monkeypatch: pytest.MonkeyPatch,
    sent: bytes,
    step: int,
) -> None:
    monkeypatch.setenv("CODEFACE_ENGINE__AUTOSTART", "false")
    reader, writer = pipe
    writer.write(sent)
    writer.close()
    assert everything(early.Opening(reader), step) == sent
    assert early.take() is None


@pytest.mark.parametrize(
    "options",
    [
        {"engine": {"autostart": False}},
        {"codeface": {"engine": {"autostart": False}}},
        {"endpoints": [{"name": "other", "url": "http://127.0.0.1:9"}]},
    ],
)
def test_settings_that_want_no_engine_start_none(codeface_home: Path, options: dict[str, Any]) -> None:
    assert early.start(options) is None


def test_no_second_engine_is_started_beside_one_that_runs(codeface_home: Path) -> None:
    with runtime.lock():
        assert early.start({}) is None


def test_an_interpreter_that_is_not_there_is_not_run(codeface_home: Path) -> None:
    with pytest.raises(EndpointUnreachable, match=r"engine\.python"):
        early.start({"engine": {"python": "/nowhere/python"}})
