"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codeface_lsp.errors import CodeFaceError, EngineError, InvalidRequest, QueueFull

_log = logging.getLogger(__name__)

RETRY_AFTER_S = 1

_STATUS = {"not_found": 404, "unknown_model": 404, "no_model": 404, "not_downloaded": 404, "gated": 403}
"""HTTP status of error kinds where the class alone does not tell it."""


class ParameterError(InvalidRequest):
    """A parameter that makes no sense; `param` names it."""

    def __init__(self, message: str, param: str | None = None, *, kind: str | None = None) -> None:
        super().__init__(message, kind=kind)
        self.param = param


def error_body(message: str, status: int, code: str | None, param: str | None = None) -> dict[str, Any]:
    """Return the JSON of an error."""
    if status in (401, 403):
        kind = "authentication_error"
    else:
        kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def failure(status: int, message: str, code: str | None, param: str | None = None) -> JSONResponse:
    """Return the response of an error."""
    response = JSONResponse(error_body(message, status, code, param), status)
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def describe(error: Exception) -> tuple[int, dict[str, Any]]:
    """HTTP status and body of an exception; one that is nobody's fault but ours is logged and told as such."""
    if isinstance(error, CodeFaceError):
        status = error.status if isinstance(error, EngineError) else 400
        if not isinstance(error, QueueFull):
            status = _STATUS.get(error.kind, status)
        return status, error_body(error.message, status, error.kind, getattr(error, "param", None))
    _log.error("unexpected error", exc_info=error)
    message = f"The engine failed unexpectedly ({type(error).__name__}); see its log."
    return 500, error_body(message, 500, "internal_error")


async def answer_error(request: Request, error: Exception) -> Response:
    """Exception handler of the app."""
    if isinstance(error, HTTPException):
        return failure(error.status_code, f"{error.detail}: {request.url.path}", "unknown_url")
    status, body = describe(error)
    response = JSONResponse(body, status)
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
