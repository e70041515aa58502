"""What clients may send: the fields, their types and bounds. Unknown fields are ignored, as other servers do.

Numbers are bounded here so that nothing behind the API meets NaN, a negative count or ten thousand stop strings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from codeface_lsp.serving.failures import ParameterError

MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_CHOICES = 8
MAX_BATCH = 64
"""Prompts of a request that is not streamed; more than a few are padded into batches."""
MAX_TOKENS = 32_768
MAX_INPUTS = 256
"""Most texts in one embeddings request."""

_B = TypeVar("_B", bound="Body")


def _as_list(value: Any) -> Any:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _no_seed(value: Any) -> Any:
    """llama-server's clients send -1 for "any"."""
    return None if value == -1 else value


Stop = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARS)]],
    BeforeValidator(_as_list),
    Field(max_length=MAX_STOPS),
]
Seed = Annotated[Annotated[int, Field(ge=0, lt=2**63)] | None, BeforeValidator(_no_seed)]
Temperature = Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=MAX_TOKENS)]


class Body(BaseModel):
    """A request's JSON object."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class SamplingFields(Body):
    """How tokens are drawn; what is None takes the model's default."""

    model: str | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=0, le=100_000)] | None = None
    min_p: Share | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Seed = None
    stop: Stop = Field(default_factory=list)
    stream: bool = False
    client: Annotated[str, Field(max_length=256, validation_alias=AliasChoices("client", "user"))] = ""


class StreamOptions(Body):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


class Document(Body):
    """The open file: whole (`text`), as one edit of the version `base`, or only named."""

    id: Annotated[str, Field(min_length=1, max_length=4096)]
    version: int
    text: str | None = None
    base: int | None = None
    start: Annotated[int, Field(ge=0)] | None = None
    end: Annotated[int, Field(ge=0)] | None = None


class Extra(Body):
    """Another file, or a piece of it."""

    filename: str = "tmp"
    text: str


class DocumentAction(Document):
    """`POST /codeface/document`."""

    client: Annotated[str, Field(max_length=64)] = ""
    model: str | None = None
    closed: bool = False
    neighbours: Annotated[list[Extra], Field(max_length=64)] | None = None


class Infill(SamplingFields):
    """`POST /infill`."""

    input_prefix: str
    input_suffix: str
    input_extra: Annotated[list[Extra], Field(max_length=256)] = Field(default_factory=list)
    prompt: str = ""
    n_predict: Annotated[int, Field(ge=-1, le=MAX_TOKENS)] = -1
    t_max_predict_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    response_fields: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=50)] | None = (
        None
    )
    filename: str = ""
    heal: bool = True
    order: Literal["psm", "spm", "spm2", "none"] | None = None
    document: Document | None = None
    priority: Literal["inline", "prefetch"] = "inline"


class Completion(SamplingFields):
    """`POST /v1/completions`."""

    prompt: str | list[str] | list[int] | list[list[int]]
    suffix: str | None = None
    max_tokens: Annotated[int, Field(ge=0, le=MAX_TOKENS)] | None = 16
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    best_of: int | None = None
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    stream_options: StreamOptions | None = None


class ContentPart(Body):
    """A part of a message's content; only text is understood."""

    type: str
    text: str = ""


class ChatMessage(Body):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None


class Chat(SamplingFields):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=2000)]
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    stream_options: StreamOptions | None = None
    tools: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    draft_from: str | None = None


class Embedding(Body):
    """`POST /v1/embeddings`."""

    input: str | list[str] | list[int] | list[list[int]]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class Tokenize(Body):
    """`POST /tokenize`."""

    content: str
    model: str | None = None
    role: Literal["completion", "chat"] = "completion"
    add_special: bool = False
    with_pieces: bool = False


class Detokenize(Body):
    """`POST /detokenize`."""

    tokens: list[Annotated[int, Field(ge=0)]]
    model: str | None = None
    role: Literal["completion", "chat"] = "completion"


class ModelAction(Body):
    """`POST /codeface/models/*`."""

    model: str | None = None
    role: Literal["completion", "chat", "embedding"] | None = None
    device: str | None = None


class StopAction(Body):
    """`POST /codeface/stop`."""

    if_unused: bool = False


def parse(kind: type[_B], raw: bytes) -> _B:
    """Parse a request's body. Raises `ParameterError` with a sentence that names the first bad field."""
    try:
        return kind.model_validate_json(raw or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise ParameterError(f"The body is not JSON: {first['msg']}.", kind="invalid_json") from None
        place = ".".join(str(part) for part in first["loc"])
        param = str(first["loc"][0]) if first["loc"] else None
        if not place:
            raise ParameterError("The body must be a JSON object.", kind="invalid_json") from None
        raise ParameterError(f"`{place}`: {first['msg']}.", param) from None
