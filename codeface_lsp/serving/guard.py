"""Who may talk to the engine: holders of the token, from this machine, and no web page.

A loopback port can be reached by every process and, through DNS rebinding or a form post, by every web page that the
user opens. So the token is wanted on every route, the `Host` must be a loopback name, and a request with an `Origin`
(browsers send it, editors do not) is refused. No CORS headers are ever sent.
"""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from codeface_lsp.serving.failures import failure

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Guard:
    """ASGI middleware that answers 401 or 403 itself."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if _host(headers.get("host", "")) not in _LOOPBACK_NAMES:
            refusal = failure(403, "The engine answers only to 127.0.0.1 and localhost.", "forbidden_host")
        elif "origin" in headers:
            refusal = failure(403, "The engine does not answer web pages.", "forbidden_origin")
        elif not hmac.compare_digest(headers.get("authorization", "").encode(), self._expected):
            refusal = failure(401, "Send the engine's token as `Authorization: Bearer`.", "invalid_api_key")
            refusal.headers["WWW-Authenticate"] = "Bearer"
        else:
            await self._app(scope, receive, send)
            return
        await refusal(scope, receive, send)


def _host(header: str) -> str:
    """Host name of a `Host` header, without the port."""
    name, separator, port = header.rpartition(":")
    return (name if separator and port.isdigit() else header).lower()
