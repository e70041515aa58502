"""A model server whose every answer a test has written: OpenAI's API, streamed."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

COMPLETION = "mock()  # mock"
"""What every completion goes on to write."""
ALTERNATIVE = "other()  # other"
"""What a completion writes that is drawn by chance, for the suggestions beside the first."""


class ScriptedServer:
    """Completes every line with `COMPLETION`; answers chats with `answer`, or endlessly if the question says so."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answers: dict[str, str] = {}
        self.completions: dict[str, str] = {}
        """What is written behind a text, instead of `COMPLETION` for every line."""
        self.cut_off = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, question: str) -> str:
        """The answer whose key the question contains; the longest key wins."""
        found = [key for key in self.answers if key in question]
        return (
            self.answers[max(found, key=len)]
            if found
            else "A **scripted** answer.\n\n```python\nprint(42)\n```\n"
        )

    def completion(self, request: dict[str, Any]) -> str:
        """What is left to write where the prompt ends."""
        prefix = _prefix(request["prompt"])
        for before, whole in self.completions.items():
            typed = prefix.rpartition(before)[2] if before in prefix else None
            if typed is not None and whole.startswith(typed):
                return whole[len(typed) :]
        return _continued(prefix, ALTERNATIVE if request.get("temperature") else COMPLETION)

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._json({"object": "list", "data": [{"id": "scripted-chat", "object": "model"}]})

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append({"path": self.path, **request})
                if self.path.endswith("/completions") and "prompt" in request:
                    self._complete(server.completion(request))
                    return
                question = "\n".join(str(message["content"]) for message in request.get("messages", []))
                slow = "endless" in question
                words = ["word "] * 2000 if slow else _pieces(server.answer(question))
                if not request.get("stream"):
                    self._json(
                        {"choices": [{"message": {"content": "".join(words)}, "finish_reason": "stop"}]}
                    )
                    return
                self._stream(words, slow)

            def _stream(self, words: list[str], slow: bool) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    for word in words:
                        self._event(
                            {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
                        )
                        time.sleep(0.05 if slow else 0.002)  # the pace of a model, not a wait
                    self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    server.cut_off.set()

            def _complete(self, text: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self._event({"choices": [{"index": 0, "text": text, "finish_reason": None}]})
                self._event({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
                self.wfile.write(b"data: [DONE]\n\n")

            def _event(self, value: dict[str, Any]) -> None:
                self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
                self.wfile.flush()

            def _json(self, value: dict[str, Any]) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]


def _prefix(prompt: str) -> str:
    """The text before the cursor."""
    before, _, after = prompt.partition("<fim_middle>")
    return after or before.partition("<fim_prefix>")[2].partition("<fim_suffix>")[0]


def _continued(prefix: str, whole: str) -> str:
    """What `whole` has left of itself after the line that the prefix ends with."""
    line = prefix.rpartition("\n")[2]
    typed = next(at for at in range(len(whole), -1, -1) if line.endswith(whole[:at]))
    return whole[typed:] + "\n"
