"""The errors that a user may see.

    CodeFaceError
    ├── SettingsError          a setting that is unknown, of the wrong type, or not allowed where it stands
    ├── PromptError            a prompt template with unknown or missing variables
    ├── DocumentError          a document that is not open, not text, or a position outside of it
    ├── EditRefused            an edit that would break the file, or whose document moved on
    ├── EndpointError          a model server that could not do what was asked
    │   ├── EndpointUnreachable    nothing listens, or the connection broke
    │   ├── EndpointRejected       it answered with an error (bad request, wrong key, unsupported)
    │   └── EndpointBusy           its queue is full; try again
    └── EngineError            raised inside the engine
        ├── ModelLoadError         a model that cannot be had; the message says what to do
        ├── InvalidRequest         parameters that make no sense
        ├── QueueFull              more requests than the bounded queue takes
        └── OutOfMemory            the device has no memory left, even after dropping cached KV

Every message is one sentence for the user: what happened and what to do next. Details belong in the log.
"""

from __future__ import annotations


class CodeFaceError(Exception):
    """An error whose message can be shown to the user as it stands.

    `kind` is a short stable slug (`"gated"`, `"out_of_memory"`), used as `error_type` in metrics and as
    `code` in OpenAI-shaped error bodies.
    """

    kind = "error"

    def __init__(self, message: str, *, kind: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if kind is not None:
            self.kind = kind


class SettingsError(CodeFaceError):
    """A setting is unknown, has the wrong type, or may not be set where it was set."""

    kind = "invalid_settings"


class PromptError(CodeFaceError):
    """A prompt template cannot be rendered; the message names every unknown and missing variable."""

    kind = "invalid_prompt"


class DocumentError(CodeFaceError):
    """The document is not open, is not text, is too large, or the position lies outside of it."""

    kind = "invalid_document"


class EditRefused(CodeFaceError):
    """An edit was not applied: it would break the file, or the document changed meanwhile."""

    kind = "edit_refused"


class EndpointError(CodeFaceError):
    """A model server could not do what was asked of it."""

    kind = "endpoint_error"


class EndpointUnreachable(EndpointError):
    """Nothing answers at the address, or the connection broke in mid-stream."""

    kind = "endpoint_unreachable"


class EndpointRejected(EndpointError):
    """The server answered with an error; `status` is its HTTP status."""

    kind = "endpoint_rejected"

    def __init__(self, message: str, *, status: int = 400, kind: str | None = None) -> None:
        super().__init__(message, kind=kind)
        self.status = status


class EndpointBusy(EndpointRejected):
    """The server's queue is full; the same request may succeed later."""

    kind = "endpoint_busy"


class EngineError(CodeFaceError):
    """Raised inside the engine; the HTTP layer turns it into an OpenAI-shaped error body."""

    kind = "engine_error"
    status = 500


class ModelLoadError(EngineError):
    """A model cannot be loaded; `kind` says why (`not_found`, `gated`, `pickle_only`, `out_of_memory`, ...)."""

    kind = "model_load"
    status = 503


class InvalidRequest(EngineError):
    """The request's parameters make no sense."""

    kind = "invalid_request_error"
    status = 400


class QueueFull(EngineError):
    """The bounded queue is full; answered as HTTP 503 with `Retry-After`."""

    kind = "busy"
    status = 503


class OutOfMemory(EngineError):
    """The device has no memory left for this request, even after cached KV was dropped."""

    kind = "out_of_memory"
    status = 507
