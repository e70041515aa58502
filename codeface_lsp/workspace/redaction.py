"""Masks secrets in whatever leaves the process: whole values, with placeholders that stay the same.

    masked = redact(text)            # same number of lines; equal texts give equal results, so caches stay warm
    restore(answer)                  # placeholders back to what they stand for, for an answer that goes into the file
    Restorer().feed(piece)           # the same while the answer streams

Placeholders carry a few digits of a hash keyed with a random number of this process: the same secret gives the same
placeholder as long as the process lives, and nothing can be learned from it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator

from cachetools import LRUCache

from codeface_lsp.text.diff import changed_span

_KEY = secrets.token_bytes(16)
_KNOWN_LINES = 100_000
_KNOWN_DOCUMENTS = 32
_LONG_LINE = 20_000
_LONG_TEXT = 20_000
_PIECE = 10_000

_HINT = re.compile(r"[A-Za-z0-9_\-+/=.]{16}|://[^\s]*@|AKC|AP[0-9A-F]")
"""Every format has a run of 16 such characters, is a password in a URL, or an Artifactory key."""
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_KEY_MARK = "PRIVATE KEY"
_PUTTY = re.compile(r"PuTTY-User-Key-File-\d.*?(?:Private-MAC: *\w*|\Z)", re.DOTALL)
_LEFT = re.compile(r"[A-Za-z0-9_\-]*\Z")
_RIGHT = re.compile(r"[A-Za-z0-9_\-.+/=~]*")
_MARK = "REDACTED_"
_PLACEHOLDER = re.compile(rf"{_MARK}[A-Z0-9_]+_[0-9a-f]{{6}}")
_BEGUN = re.compile(
    rf"(?:{'|'.join(_MARK[:end] for end in range(1, len(_MARK)))}|{_MARK}[A-Z0-9_]{{0,80}}(?:_[0-9a-f]{{0,5}})?)\Z"
)
_ORDINARY = re.compile(r"^(?:[a-z]+|[A-Z_]+|x+|\*+|\.+|<.*|\$.*|%.*|\{.*)$")

_lines: dict[str, str] = {}
_values: dict[str, str] = {}
_documents: LRUCache[str, str] = LRUCache(_KNOWN_DOCUMENTS)
_searched = ""
"""The last text that was searched for key blocks and has none."""


def redact(text: str) -> str:
    """Return the text with every secret in it replaced; the text itself if there is none."""
    blocks = key_blocks(text)
    return _by_lines(_mask_blocks(text, blocks, 0, len(text)) if blocks else text)


def redact_range(text: str, start: int, end: int) -> str:
    """Redact `text[start:end]`, knowing that it may lie in the middle of a key block of `text`."""
    blocks = key_blocks(text)
    return _by_lines(_mask_blocks(text, blocks, start, end) if blocks else text[start:end])


def redact_document(uri: str, text: str) -> str:
    """Redact a whole document that is sent again and again: only the lines that changed are searched."""
    known = _documents.get(uri)
    span = changed_span(known, text) if known is not None else None
    if known is not None and not key_blocks(text):
        if span is None:
            return text
        start = text.rfind("\n", 0, span[0]) + 1
        end = text.find("\n", span[2])
        if not has_secret(text[start : len(text) if end < 0 else end]):
            _documents[uri] = text
            return text
    masked = redact(text)
    _documents.pop(uri, None)
    if masked == text:  # only a text without secrets can be followed by its changes
        _documents[uri] = text
    return masked


def redact_line(line: str) -> str:
    """Redact one line that is known to lie in no key block."""
    return _line(line)


def restore(text: str) -> str:
    """Put back the secrets that placeholders of this process stand for."""
    if _MARK not in text:
        return text
    return _PLACEHOLDER.sub(lambda match: _values.get(match[0], match[0]), text)


class Restorer:
    """`restore` for a streamed answer: what could be the beginning of a placeholder waits for the next piece."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Take a piece, return what is certain by now."""
        text = self._held + text
        begun = _BEGUN.search(text, max(0, len(text) - 100))
        self._held = begun[0] if begun else ""
        return restore(text[: len(text) - len(self._held)])

    def finish(self) -> str:
        """Return what was held back."""
        text, self._held = self._held, ""
        return restore(text)


def has_secret(text: str) -> bool:
    """Whether anything in the text would be masked."""
    return redact(text) != text


def secret_at(text: str, offset: int) -> bool:
    """Whether there is a secret on the line at `offset`, or the line lies within a key block."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    end = len(text) if end < 0 else end
    return redact_range(text, start, end) != text[start:end]


def key_blocks(text: str) -> list[tuple[int, int]]:
    """Where private keys stand, header and body."""
    global _searched  # one key asks for the same document several times
    if _searched is not text:
        if _KEY_MARK in text or "PuTTY-User-Key" in text:
            return _find_key_blocks(text)
        if (
            len(text) > _LONG_TEXT
        ):  # a document, and not one of the chunks that are searched between two questions for it
            _searched = text
    return []


def _find_key_blocks(text: str) -> list[tuple[int, int]]:
    return [match.span() for pattern in (_KEY_BLOCK, _PUTTY) for match in pattern.finditer(text)]


def _mask_blocks(text: str, blocks: list[tuple[int, int]], start: int, end: int) -> str:
    """Replace the lines of key blocks one by one, so that no line moves."""
    pieces, at = [], start
    for block_start, block_end in sorted(blocks):
        low, high = max(block_start, at), min(block_end, end)
        if low >= high:
            continue
        pieces.append(text[at:low])
        pieces.append(
            "\n".join(_key_line(line) if line.strip() else line for line in text[low:high].split("\n"))
        )
        at = high
    return "".join([*pieces, text[at:end]])


def _key_line(line: str) -> str:
    """The placeholder of a line of a key, known from here on where the line stands without its block too."""
    placeholder = _placeholder("PRIVATE_KEY", line)
    if _HINT.search(line):
        _lines[line] = placeholder
    return placeholder


def _by_lines(text: str) -> str:
    if not _HINT.search(text):
        return text
    lines = text.split("\n")
    masked = [_line(line) for line in lines]
    return text if masked == lines else "\n".join(masked)


def _line(line: str) -> str:
    known = _lines.get(line)
    if known is not None:
        return known
    if len(line) > _LONG_LINE:  # minified: in pieces, so that no pattern sees megabytes at once
        return "".join(_mask(piece) for piece in _pieces(line))
    if len(_lines) >= _KNOWN_LINES:
        _lines.clear()
    masked = _lines[line] = _mask(line) if _HINT.search(line) else line
    return masked


def _pieces(line: str) -> Iterator[str]:
    """Cut a long line where no value stands, if there is such a place."""
    start = 0
    while start < len(line):
        end = min(start + _PIECE, len(line))
        value = _LEFT.search(line, max(start, end - _PIECE // 10), end)
        if end < len(line) and value is not None and value.start() > start:
            end = value.start()
        yield line[start:end]
        start = end


def prepare() -> None:
    """Load the patterns, in a thread of the caller's: else the first line that may hold a secret waits 0.1 s for it."""
    from codeface_lsp.workspace.secret_patterns import detectors

    detectors()


def _mask(line: str) -> str:
    from codeface_lsp.workspace.secret_patterns import detectors  # what they import takes time: see `prepare`

    for name, detector in detectors():
        for pattern in detector.denylist:
            position = 0
            while (match := pattern.search(line, position)) is not None:
                start, end = match.span(1) if match.lastindex == 1 and match.group(1) else match.span()
                start, end = _whole(line, start, end)
                value = line[start:end]
                if not value or _PLACEHOLDER.search(value) or _ORDINARY.match(value):
                    position = max(match.end(), position + 1)
                    continue
                placeholder = _placeholder(name, value)
                line = line[:start] + placeholder + line[end:]
                position = start + len(placeholder)
    return line


def _whole(line: str, start: int, end: int) -> tuple[int, int]:
    """Grow a match to the whole value that it is a part of."""
    while start < end and line[start] in " \t=:\"'":
        start += 1
    while end > start and line[end - 1] in " \t\"',;":
        end -= 1
    left = _LEFT.search(line, max(0, start - 200), start)
    right = _RIGHT.match(line, end)
    return (left.start() if left else start), (right.end() if right else end)


def _placeholder(name: str, value: str) -> str:
    digest = hashlib.blake2b(value.encode("utf-8", "replace"), key=_KEY, digest_size=3).hexdigest()
    placeholder = f"REDACTED_{name}_{digest}"
    if len(_values) >= _KNOWN_LINES:
        _values.clear()
    _values[placeholder] = value
    return placeholder
