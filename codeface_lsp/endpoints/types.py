"""The seam between the language server's use cases and any model server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from codeface_lsp.context.parts import Parts

FinishReason = Literal["stop", "length", "eos", "time", "cancelled"]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Whole texts of files next to a document, by name; the same object as long as they are the same texts."""

    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The whole text of the open file, for the engine's n-gram index; other servers never see it.

    Its neighbours go to the engine on this machine only.
    """

    id: str
    version: int
    text: str
    neighbours: Neighbours | None = None


@dataclass(frozen=True, slots=True)
class InfillRequest:
    """One completion at a cursor."""

    parts: Parts
    max_tokens: int
    stop: tuple[str, ...] = ()
    """At most four: compatible servers take no more."""
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    time_budget_ms: int | None = None
    heal: bool = True
    """Token healing: roll back to a stable token boundary and constrain to the characters typed."""
    document: DocumentText | None = None
    priority: Literal["inline", "prefetch"] = "inline"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One answer to a conversation."""

    messages: Sequence[Message]
    max_tokens: int = 2048
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 50
    stop: tuple[str, ...] = ()
    seed: int | None = None
    draft_from: str | None = None
    """A text that the answer is likely to copy from (the edited file); our engine drafts from it."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Figures of one generation, as the server measured them; a server that does not tell leaves zeros."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    prompt_ms: float = 0.0
    predicted_ms: float = 0.0
    queue_ms: float = 0.0
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed answer; the last one has `finish_reason` and `timings`.

    `logprob` is the summed log-probability (nats) of the `tokens` in this piece, None if the server does not tell.
    While `waiting`, the server starts or loads its model; the first chunk without it says that the model begins.
    """

    text: str = ""
    tokens: int = 0
    logprob: float | None = None
    finish_reason: FinishReason | None = None
    timings: Timings = field(default_factory=Timings)
    model: str = ""
    waiting: bool = False

    @property
    def says_something(self) -> bool:
        """Whether the answer has begun, so that another server's would repeat it."""
        return bool(self.text or self.tokens or self.finish_reason)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a server says about a model it serves."""

    id: str
    context_tokens: int | None = None
    fim: bool | None = None
    chat: bool | None = None
    """False when the model was not trained to chat; None when unknown."""
    mock: bool = False
    min_confidence: float | None = None
    """Tuned show/hide bar: mean log-probability per token (nats), below which a suggestion is hidden."""


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """What the local engine is doing, for the status that an editor shows."""

    state: Literal["starting", "loading", "ready", "error", "stopped"]
    message: str = ""
    """One sentence, for `error` what to do next."""
    progress: float | None = None
    """Share done, 0 to 1; None when unknown."""
    model: str = ""


class Endpoint(Protocol):
    """A model server, or a router over several.

    Every iterator ends with a chunk that has a `finish_reason`, or raises an `EndpointError`. Closing an iterator
    early (`aclose`) closes the connection, which stops the generation at the server's next step.
    """

    def infill(self, request: InfillRequest) -> AsyncIterator[Chunk]:
        """Stream a completion at the cursor."""
        ...

    def chat(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        """Stream the answer to a conversation."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts; raises `EndpointRejected` where no embedding model is served."""
        ...

    async def models(self) -> list[ModelCard]:
        """List what the server serves."""
        ...

    async def count_tokens(self, text: str) -> int:
        """Count tokens of the chat model."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
