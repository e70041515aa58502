"""Takes a model's stray markers out of its answer, while it streams.

A marker of turns in prose ends the answer (the model went on to play the user); one at the very start is dropped, and
so is a reasoning block there. Inside code, fenced or inline, everything stays: an answer may well be about chat
formats. Text is held back only while it could still become a marker.
"""

from __future__ import annotations

import re

from codeface_lsp.prompting.code_blocks import fence_after

_ENDS = (
    "<|im_end|>",
    "<|im_start|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|endoftext|>",
    "<|end|>",
    "<|user|>",
    "<|system|>",
    "<|EOT|>",
    "<EOT>",
    "<end_of_turn>",
    "<start_of_turn>",
    "<|start_of_role|>",
    "<empty_output>",
    "<｜end▁of▁sentence｜>",
    "<step>",
    "[INST]",
    "<<SYS>>",
    "</s>",
)
_DROPPED = ("<|assistant|>", "[/INST]", "<s>", "<｜begin▁of▁sentence｜>", "<|begin_of_text|>")
_LEADING = (
    *_DROPPED,
    "Assistant:",
    "ASSISTANT:",
    "### Response:",
    "### Response\n",
    "<|im_start|>assistant\n",
)
_THINK, _THOUGHT = "<think>", "</think>"

_MARKER = re.compile("|".join(map(re.escape, sorted((*_ENDS, *_DROPPED), key=len, reverse=True))))
_STARTS = sorted({marker[:end] for marker in (*_ENDS, *_DROPPED) for end in range(1, len(marker))}, key=len)
_LONGEST = len(_STARTS[-1])


class AnswerCleaner:
    """Feed it an answer's pieces; what it returns, joined, is the clean answer."""

    def __init__(self) -> None:
        self.ended = False
        """Whether a marker ended the answer; the rest of the stream says nothing."""
        self._pending = ""
        self._started = False
        self._stripped = False
        self._line = ""
        self._fence = ""

    def feed(self, text: str) -> str:
        """Take a piece, return what is certain by now."""
        if self.ended:
            return ""
        self._pending += text
        if not self._started and not self._begin(final=False):
            return ""
        return self._release(len(self._pending) - self._open_marker())

    def finish(self) -> str:
        """Return what was held back."""
        if self.ended:
            return ""
        if not self._started:
            self._begin(final=True)
        return self._release(len(self._pending))

    def _begin(self, *, final: bool) -> bool:
        """Drop what stands before the answer proper; False while that cannot be told yet."""
        while True:
            text = self._pending.lstrip()
            if text.startswith(_THINK):
                if _THOUGHT not in text:
                    self._pending = "" if final else self._pending
                    return final
                text = text.split(_THOUGHT, 1)[1].lstrip()
            elif found := next((mark for mark in _LEADING if text.startswith(mark)), None):
                text = text[len(found) :].lstrip()
            elif not final and any(mark.startswith(text) for mark in (*_LEADING, _THINK)):
                return False  # also while there is nothing but blank space
            else:
                self._pending = text if self._stripped else self._pending.lstrip("\r\n")
                self._started = True
                return True
            self._pending, self._stripped = text, True

    def _open_marker(self) -> int:
        """Length of the pending text's end that could become a marker."""
        tail = self._pending[-_LONGEST:]
        return next((len(start) for start in reversed(_STARTS) if tail.endswith(start)), 0)

    def _release(self, upto: int) -> str:
        out: list[str] = []
        done = 0
        for match in _MARKER.finditer(self._pending, 0, max(upto, 0)):
            out.append(self._track(self._pending[done : match.start()]))
            done = match.end()
            if self._in_code():
                out.append(self._track(match.group()))
            elif match.group() in _ENDS:
                self.ended = True
                return "".join(out)
        out.append(self._track(self._pending[done:upto]))
        self._pending = self._pending[upto:]
        return "".join(out)

    def _track(self, text: str) -> str:
        """Follow fences and the current line through `text`, and return it."""
        for line in text.splitlines(keepends=True):
            self._line += line
            if line.endswith("\n"):
                self._fence = fence_after(self._fence, self._line)
                self._line = ""
        return text

    def _in_code(self) -> bool:
        fence = fence_after(self._fence, self._line + "\n") if not self._fence else self._fence
        return bool(fence) or self._line.count("`") % 2 == 1


def clean(answer: str) -> str:
    """A whole answer without stray markers and without blank space around it."""
    cleaner = AnswerCleaner()
    return (cleaner.feed(answer) + cleaner.finish()).strip()
