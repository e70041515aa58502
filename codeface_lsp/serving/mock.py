"""A scripted model behind the same API, for development and client tests; it needs no torch.

Its answers depend on the prompt alone: a chat prompt is answered with the last line asked and a fenced block, any other
prompt with a line of code.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codeface_lsp.errors import InvalidRequest, ModelLoadError
from codeface_lsp.inference.types import Delta, FinishReason, GenerationRequest, TokenLogprob, Usage
from codeface_lsp.models.catalogue import ModelInfo
from codeface_lsp.models.types import LoadedModel, Role
from codeface_lsp.prompting.families import FAMILIES
from codeface_lsp.settings import Settings

if TYPE_CHECKING:
    from codeface_lsp.models.manager import ModelEvent

NAME = "mock"
DESCRIPTION = "A scripted model for development: its answers are not a language model's."
CONTEXT = 8192
_CUE = "Assistant:"
_END = 256
_DIMENSIONS = 64
_STEP_S = 0.002


class MockTokenizer:
    """One token per byte, and one that ends the text."""

    vocab_size = 257
    eos_ids = frozenset({_END})
    eos_id: int | None = _END
    bos_id: int | None = None
    chat_template: str | None = None

    def encode(self, text: str) -> list[int]:
        """The bytes of the text."""
        return list(text.encode())

    def encode_pieces(self, pieces: Sequence[tuple[str, bool]]) -> list[int]:
        """The bytes of all of them."""
        return self.encode("".join(text for text, _ in pieces))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of bytes."""
        return bytes(i for i in ids if i < _END).decode("utf-8", "replace")

    def token_id(self, token: str) -> int | None:
        """A byte's id."""
        raw = token.encode()
        return raw[0] if len(raw) == 1 else None

    def spelling(self, token_id: int) -> str | None:
        """The character of a byte."""
        return chr(token_id) if token_id < _END else None

    def is_special(self, token: str) -> bool:
        """Nothing is."""
        return False

    def token_bytes(self, token_id: int) -> bytes:
        """The byte itself."""
        return bytes([token_id]) if token_id < _END else b""


def script(prompt: str) -> str:
    """What the mock answers to a prompt."""
    if prompt.rstrip().endswith(_CUE):
        asked = re.findall(r"User: (.*)", prompt)
        last = asked[-1].strip() if asked else ""
        return f" This is CodeFace's mock model. You asked: {last}\n\n```python\nprint('mock')\n```\n"
    line = prompt.rpartition("\n")[2]
    if line.strip().endswith(":"):
        return f"\n{' ' * (len(line) - len(line.lstrip()) + 4)}return mock()  # mock\n"
    return "mock()  # mock\n"


class MockEngine:
    """Streams the script, word by word; stops at stop strings, at `max_tokens` and when its iterator is closed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def generate(self, model: LoadedModel, request: GenerationRequest) -> AsyncGenerator[Delta]:
        """Stream the answer to a prompt."""
        started = time.perf_counter()
        text = script(model.tokenizer.decode(request.prompt))
        if request.heal and not text.encode().startswith(request.heal):
            text = request.heal.decode("utf-8", "ignore") + text
        text = text.encode().removeprefix(request.heal).decode("utf-8", "replace")
        finish: FinishReason = "eos"
        stop = min((s for s in request.stop if s and s in text), key=text.index, default=None)
        if stop is not None:
            text, finish = text[: text.index(stop)], "stop"
        sent = 0
        for word in re.findall(r"\s*\S+|\s+", text):
            room = request.max_tokens - sent
            piece = word.encode()[:room].decode("utf-8", "ignore")
            if not piece:
                break
            sent += len(piece.encode())
            yield Delta(text=piece, tokens=tuple(TokenLogprob(byte, -0.01) for byte in piece.encode()))
            await asyncio.sleep(_STEP_S)
        if sent >= request.max_tokens and sent < len(text.encode()):
            finish, stop = "length", None
        usage = Usage(
            prompt_tokens=len(request.prompt), completion_tokens=sent, decode_s=time.perf_counter() - started
        )
        yield Delta(finish_reason=finish, stop_string=stop, usage=usage)

    async def generate_batch(
        self, model: LoadedModel, requests: Sequence[GenerationRequest]
    ) -> list[list[Delta]]:
        """The answers to many prompts."""
        return [[delta async for delta in self.generate(model, request)] for request in requests]

    async def embed(self, model: LoadedModel, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Hash the words of each text into a unit vector; returns the vectors and the number of tokens."""
        return [_embedding(text) for text in texts], sum(len(model.tokenizer.encode(text)) for text in texts)

    def set_document(self, model: LoadedModel, document: str, text: str) -> None:
        """The script needs no document."""

    def set_neighbours(self, model: LoadedModel, document: str, neighbours: Mapping[str, str]) -> None:
        """The script needs no neighbours."""

    def forget_document(self, model: LoadedModel, document: str) -> None:
        """The script needs no document."""

    def is_ready(self, model: LoadedModel) -> bool:
        """The script is ready."""
        return True

    def prepare(self, model: LoadedModel) -> None:
        """The script is ready."""

    def forget(self, model: LoadedModel) -> None:
        """There is no KV to drop."""

    def close(self) -> None:
        """There is no thread to stop."""


class MockManager:
    """The one model that there is, always loaded; the API of `codeface_lsp.models.manager.ModelManager`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events: Callable[[ModelEvent], None] | None = None
        self.on_unload: Callable[[LoadedModel], None] | None = None
        self._model = mock_model()

    async def acquire(self, name: str | None, role: Role) -> LoadedModel:
        """The mock, whatever is asked for."""
        return self._model

    def holds(self, name: str | None, role: Role) -> bool:
        """The mock is always there."""
        return True

    def release(self, model: LoadedModel) -> None:
        """Nothing is counted."""

    def loaded(self) -> list[LoadedModel]:
        """The mock."""
        return [self._model]

    def list(self) -> list[ModelInfo]:
        """The mock."""
        return [self.info(NAME)]

    def info(self, name: str) -> ModelInfo:
        """The mock's card; raises `ModelLoadError` for any other name."""
        if name != NAME:
            raise ModelLoadError(
                f"The engine runs in mock mode and serves `{NAME}` alone.", kind="unknown_model"
            )
        return ModelInfo(
            name=NAME,
            source=NAME,
            description=DESCRIPTION,
            roles=("completion", "chat", "embedding"),
            state="loaded",
            architecture=NAME,
            family=self._model.family.name,
            context_length=CONTEXT,
            chat_trained=True,
            default_for=("completion", "chat", "embedding"),
        )

    def set_default(self, name: str, role: Role) -> ModelInfo:
        """Only the mock can be it."""
        return self.info(name)

    async def unload(self, name: str) -> None:
        """Refused: there is nothing else."""
        raise InvalidRequest("The engine runs in mock mode; the mock cannot be unloaded.")

    async def unload_all(self) -> None:
        """Leaves the mock."""

    async def move(self, name: str, device: str) -> ModelInfo:
        """Refused: the mock is nowhere."""
        raise InvalidRequest("The engine runs in mock mode; the mock is on no device.")

    async def download(self, name: str) -> Path:
        """Refused."""
        raise InvalidRequest("The engine runs in mock mode and downloads nothing.")

    async def remove(self, name: str) -> int:
        """Refused."""
        raise InvalidRequest("The engine runs in mock mode and removes nothing.")

    async def aclose(self) -> None:
        """Nothing to let go."""


def mock_model() -> LoadedModel:
    """The mock as the generation routes see a model."""
    nowhere: Any = NAME
    return LoadedModel(
        name=NAME,
        source=NAME,
        role="completion",
        model=None,
        tokenizer=MockTokenizer(),
        family=FAMILIES["plain"],
        context_length=CONTEXT,
        device=nowhere,
        dtype=nowhere,
        chat_trained=True,
    )


def _embedding(text: str) -> list[float]:
    vector = [0.0] * _DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        digest = hashlib.sha256(word.encode()).digest()
        vector[digest[0] % _DIMENSIONS] += 1.0 if digest[1] % 2 else -1.0
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]
