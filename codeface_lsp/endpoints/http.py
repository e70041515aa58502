"""One HTTP client per server: keep-alive pool, no proxy on loopback, errors turned into sentences."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx2

from codeface_lsp.errors import EndpointBusy, EndpointError, EndpointRejected, EndpointUnreachable

_MAX_EVENT_BYTES = 4 * 1024 * 1024
_BUSY = frozenset({429, 503})


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    host = httpx2.URL(url).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ServerClient:
    """Sends JSON to one server and reads JSON or server-sent events."""

    def __init__(self, name: str, url: str, *, api_key: str | None = None, timeout_s: float = 60) -> None:
        """`name` is used in messages; `timeout_s` is the longest silence."""
        self.name = name
        self.url = url.rstrip("/").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx2.AsyncClient(
            base_url=self.url,
            headers=headers,
            # With a proxy in the environment, a loopback request would carry the user's code to it.
            trust_env=not is_loopback(self.url),
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 10)),
            limits=httpx2.Limits(max_keepalive_connections=16, keepalive_expiry=30),
            follow_redirects=False,
        )

    async def get(self, path: str, *, timeout_s: float | None = None) -> Any:
        """GET JSON."""
        return await self._json("GET", path, None, timeout_s)

    async def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """POST JSON, return JSON."""
        return await self._json("POST", path, body, timeout_s)

    async def _json(self, method: str, path: str, body: Any, timeout_s: float | None) -> Any:
        timeout = httpx2.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s
        try:
            response = await self._http.request(method, path, json=body, timeout=timeout)
        except httpx2.HTTPError as error:
            raise self._unreachable(error, answering=False) from error
        if response.is_error:
            raise self._rejected(response)
        try:
            return response.json()
        except ValueError as error:
            raise EndpointRejected(
                f"{self.name} at {self.url} did not answer with JSON; is it a model server?", status=502
            ) from error

    async def events(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
        timeout_s: float | None = None,
    ) -> AsyncGenerator[dict[str, Any]]:
        """POST and yield the JSON of each event until the stream ends or says `[DONE]`.

        Lines are either server-sent events (`data: {...}`) or bare JSON (Ollama's own routes). Closing the iterator
        closes the connection. Raises `EndpointUnreachable` when the connection breaks before the stream's end.
        """
        answering = False
        timeout = httpx2.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s
        try:
            async with self._http.stream(method, path, json=body, timeout=timeout) as response:
                if response.is_error:
                    await response.aread()
                    raise self._rejected(response)
                lines = _sse_lines(response) if _is_sse(response) else _json_lines(response)
                async with aclosing(lines):
                    async for line in lines:
                        answering = True
                        if line == "[DONE]":
                            return
                        if line:
                            yield self._event(line)
        except httpx2.HTTPError as error:
            raise self._unreachable(error, answering=answering) from error

    def _event(self, line: str) -> dict[str, Any]:
        try:
            event = json.loads(line)
        except ValueError as error:
            raise EndpointRejected(
                f"{self.name} sent a broken event; see the server's log.", status=502
            ) from error
        if not isinstance(event, dict):
            raise EndpointRejected(
                f"{self.name} sent an event that is not an object; is it a model server?", status=502
            )
        if event.get("error"):
            raise self._error(event, 500)
        return event

    def _unreachable(self, error: httpx2.HTTPError, *, answering: bool) -> EndpointUnreachable:
        if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
            said = f"{self.name} at {self.url} was silent for too long; try again or raise its timeout."
            return EndpointUnreachable(said, kind="endpoint_timeout")
        if answering:
            return EndpointUnreachable(
                f"{self.name} went away while it was answering; try again, the next request reconnects.",
                kind="endpoint_broken",
            )
        return EndpointUnreachable(
            f"Nothing answers at {self.url} ({self.name}); start it or check its address."
        )

    def _rejected(self, response: httpx2.Response) -> EndpointRejected:
        try:
            body = response.json()
        except ValueError:
            body = {}
        return self._error(body if isinstance(body, dict) else {}, response.status_code)

    def _error(self, body: Mapping[str, Any], status: int) -> EndpointRejected:
        raw = body.get("error")
        detail = (
            raw if isinstance(raw, dict) else {"message": raw or body.get("detail") or body.get("message")}
        )
        message = str(detail.get("message") or f"HTTP {status}")
        kind = detail.get("code") if isinstance(detail.get("code"), str) else None
        if isinstance(detail.get("code"), int):
            status = int(str(detail["code"]))
        if status in (401, 403):
            message = f"it refuses the key ({message}); set the endpoint's `api_key` or `api_key_env`"
        if status in _BUSY:
            return EndpointBusy(f"{self.name} is busy: {message}", status=status, kind=kind)
        return EndpointRejected(f"{self.name}: {message}", status=status, kind=kind)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()


def _is_sse(response: httpx2.Response) -> bool:
    return response.headers.get("content-type", "").startswith("text/event-stream")


async def _sse_lines(response: httpx2.Response) -> AsyncGenerator[str]:
    """Data of each event. OpenAI's and llama-server's streams put one JSON document into one `data:` field."""
    source = httpx2.EventSource(response, max_event_size=_MAX_EVENT_BYTES)
    async for event in source:
        yield event.data


async def _json_lines(response: httpx2.Response) -> AsyncGenerator[str]:
    async for line in response.aiter_lines():
        yield line.strip()


def refused_before_first_byte(error: EndpointError) -> bool:
    """Whether nothing was heard of an answer, so that asking again cannot repeat anything."""
    return isinstance(error, EndpointUnreachable) and error.kind == EndpointUnreachable.kind
