"""Every setting, with its type, bounds, default and description.

A workspace may set only keys marked `workspace`: opening a folder must never choose a model, an address, a command or
an interpreter. `config/default.yaml` is the documentation of all of them, written by `codeface settings --defaults`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

_HARMLESS: dict[str, Any] = {"workspace": True}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelSettings(_Section):
    """Which model serves which role: a registry name, a hub id, or a local path."""

    completion: str = Field("codeface-tiny", description="Model for ghost text.")
    chat: str = Field("codeface-tiny", description="Model for chat, explain and edits.")
    embedding: str | None = Field(
        None, description="Model for semantic search; none means words only (BM25)."
    )


class CompletionSettings(_Section):
    """Inline completion."""

    enabled: bool = Field(True, description="Offer ghost text at all.", json_schema_extra=_HARMLESS)
    multiline: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Several lines: where the syntax asks for them, always, or never.",
        json_schema_extra=_HARMLESS,
    )
    max_tokens: int = Field(128, ge=1, le=2048, description="Most tokens of one suggestion.")
    time_budget_ms: int = Field(
        2000, ge=50, le=60_000, description="After this long a suggestion shows what is whole so far."
    )
    in_comments: bool = Field(False, description="Complete inside comments.", json_schema_extra=_HARMLESS)
    in_strings: bool = Field(False, description="Complete inside strings.", json_schema_extra=_HARMLESS)
    min_confidence: float | None = Field(
        None,
        description=(
            "Lowest mean log-probability (nats/token), of all of it and of its first line, that is shown; "
            "none takes the model's tuned value."
        ),
    )
    prefetch: bool = Field(True, description="Compute the next suggestion as if this one were accepted.")
    low_power: bool = Field(False, description="Longer pauses and no prefetch.", json_schema_extra=_HARMLESS)
    alternatives: int = Field(3, ge=1, le=10, description="How many suggestions an explicit request gives.")
    disabled_languages: list[str] = Field(
        default_factory=list, description="Language ids that get no ghost text.", json_schema_extra=_HARMLESS
    )
    disabled_paths: list[str] = Field(
        default_factory=list,
        description="Git-ignore patterns of files without ghost text.",
        json_schema_extra=_HARMLESS,
    )
    next_edit: bool = Field(
        True, description="Propose the next edit after a change.", json_schema_extra=_HARMLESS
    )


class ContextSettings(_Section):
    """What a model is shown beside the text around the cursor."""

    enabled: bool = Field(True, description="Add extra context to completions.", json_schema_extra=_HARMLESS)
    budget_tokens: int = Field(
        1500,
        ge=64,
        le=1_000_000,
        description="Prompt tokens of one completion, all parts together; the model's context also bounds it.",
    )
    extra_share: float = Field(0.4, ge=0, le=0.9, description="Share of the budget for extra context.")
    suffix_share: float = Field(
        0.15, ge=0, le=0.9, description="Share of the budget for what follows the cursor."
    )
    definitions: bool = Field(
        True, description="Definitions of the names in sight.", json_schema_extra=_HARMLESS
    )
    recent_edits: bool = Field(True, description="What was edited recently.", json_schema_extra=_HARMLESS)
    similar: bool = Field(True, description="Similar chunks of open files.", json_schema_extra=_HARMLESS)
    index: bool = Field(True, description="Index the workspace's symbols.", json_schema_extra=_HARMLESS)
    max_file_kb: int = Field(1024, ge=1, description="Larger files are not indexed.")


class ChatSettings(_Section):
    """Chat, explain and edits."""

    language: str = Field(
        "auto",
        description="Language of answers: `auto` follows the question, or e.g. `en`, `zh`.",
        json_schema_extra=_HARMLESS,
    )
    max_history_tokens: int = Field(4096, ge=128, description="Oldest turns are dropped above this.")
    max_new_tokens: int = Field(2048, ge=1, description="Longest answer, in tokens.")
    temperature: float = Field(0.7, ge=0, le=2, description="0 is greedy.")
    top_p: float = Field(0.95, gt=0, le=1, description="Nucleus sampling.")
    top_k: int = Field(50, ge=0, description="0 switches it off.")
    formatter: list[str] = Field(
        default_factory=list,
        description="Command that formats an edit (text on stdin and stdout), e.g. [ruff, format, -].",
    )


ServedRole = Literal["completion", "chat", "embedding"]


def _completion_and_chat() -> list[ServedRole]:
    return ["completion", "chat"]


class EndpointSettings(_Section):
    """A model server that the user runs or rents; without any, CodeFace starts its own engine."""

    name: str = Field(description="Name shown in messages.")
    url: str = Field(description="Base URL, e.g. http://127.0.0.1:8000 (with or without /v1).")
    dialect: Literal["auto", "codeface", "llama-server", "openai", "ollama"] = Field(
        "auto", description="What the server speaks; `auto` asks it."
    )
    roles: list[ServedRole] = Field(default_factory=_completion_and_chat, description="What it is used for.")
    model: str | None = Field(None, description="Model name sent to it; none takes the first it lists.")
    fim: str | None = Field(
        None, description="Fill-in-the-middle family, if it cannot be told from the model's name."
    )
    api_key: SecretStr | None = Field(None, description="Bearer token.")
    api_key_env: str | None = Field(None, description="Environment variable that holds the bearer token.")
    timeout_s: float = Field(60, gt=0, description="Longest silence before the request fails.")
    context_tokens: int = Field(
        4096, ge=256, description="Context length to assume if the server does not tell."
    )


class EngineSettings(_Section):
    """The local engine."""

    autostart: bool = Field(True, description="Start the engine when an editor starts.")
    python: str | None = Field(
        None, description="Interpreter of another environment that has codeface-lsp[local]."
    )
    command: list[str] = Field(
        default_factory=list,
        description="Another server to launch instead, e.g. [llama-server, -m, m.gguf, --port, '{port}'].",
    )
    port: int = Field(0, ge=0, le=65535, description="0 takes a free one.")
    idle_stop_minutes: float = Field(
        30, gt=0, description="Stop when no window has been connected for so long."
    )
    start_timeout_s: float = Field(120, gt=0, description="How long a start may take.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="Weights' type.")
    int8: bool = Field(True, description="On a CPU, hold linear weights in 8 bits (fast).")
    capture: bool = Field(True, description="On CUDA, replay decode steps as a captured graph (fast).")
    quantization: Literal["8bit", "4bit"] | None = Field(
        None, description="bitsandbytes, for models without their own entry."
    )
    attention: Literal["auto", "sdpa", "flash_attention_2", "eager"] = Field(
        "auto", description="Attention kernel."
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0 takes the physical cores less one, at least 1.")
    prefill_chunk_ms: int = Field(160, ge=5, description="A prefill yields to urgent work this often.")
    kv_cache_mb: int = Field(
        0, ge=0, description="Bound of the prefix cache; 0 takes min(1 GiB, 10 % of memory)."
    )
    max_queue: int = Field(64, ge=1, description="Requests waiting before `busy` is answered.")
    max_cached_models: int = Field(3, ge=1, description="Models held at once.")
    memory_threshold: float = Field(
        0.8, gt=0, le=1, description="Share of memory above which idle models are unloaded."
    )
    idle_unload_minutes: float = Field(20, gt=0, description="Unload a model that was not used for so long.")
    offload_folder: str | None = Field(None, description="Where weights that do not fit go.")
    trust_remote_code: bool = Field(False, description="Run code that comes with a checkpoint.")
    speculation: bool = Field(True, description="Draft chat and edit tokens from text in sight.")
    mixture: bool | None = Field(
        None, description="Mix n-grams of the open file in; none: only for small models."
    )
    beams: int = Field(
        0, ge=0, le=16, description="Lines weighed against each other (1: greedy); 0: 4 for small models."
    )
    mock: bool = Field(False, description="Serve a scripted model, for development of clients.")


class CacheSettings(_Section):
    """Cache of deterministic answers."""

    url: str | None = Field(None, description="redis://host:port/db; none keeps it in memory.")
    ttl_s: int = Field(3600, ge=1, description="Seconds an answer is kept.")
    max_entries: int = Field(1000, ge=0, description="Answers held in memory; 0 switches the cache off.")


class StatsSettings(_Section):
    """Local statistics, never any text."""

    enabled: bool = Field(True, description="Count suggestions and their fate on this machine.")


class LogSettings(_Section):
    """Logging."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged."
    )
    requests: bool = Field(
        False, description="Debug switch: log every request with its timings, never its text."
    )


class Settings(_Section):
    """All settings of one process. Immutable: a change makes a new object."""

    model: ModelSettings = ModelSettings()
    completion: CompletionSettings = CompletionSettings()
    context: ContextSettings = ContextSettings()
    chat: ChatSettings = ChatSettings()
    endpoints: list[EndpointSettings] = Field(
        default_factory=list, description="Model servers; empty: the local engine."
    )
    engine: EngineSettings = EngineSettings()
    cache: CacheSettings = CacheSettings()
    stats: StatsSettings = StatsSettings()
    log: LogSettings = LogSettings()


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


ALL_KEYS: tuple[str, ...] = tuple(key for key, _ in _fields(Settings))
WORKSPACE_KEYS: frozenset[str] = frozenset(
    key
    for key, field in _fields(Settings)
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("workspace")
)
