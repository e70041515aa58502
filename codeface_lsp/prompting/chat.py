"""Writes a conversation down the way a model was trained to read it.

The tokenizer's own Jinja chat template first (sandboxed, as transformers renders it), else the family's row in
`chat_formats.FORMATS`. What people and files say can never become special tokens: the characters that every special
token's spelling needs are replaced, in what was said, by private stand-ins while the template runs, and put back when
the prompt has been split into special tokens and ordinary text (`ChatPrompt.pieces`).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from codeface_lsp.prompting.chat_formats import FORMATS, ChatFormat
from codeface_lsp.prompting.families import FAMILIES, Family

_log = logging.getLogger(__name__)

_SHIELDED = "<>[]|｜"
"""Every special token's spelling holds at least one of these."""
_STAND_INS = range(0x10F000, 0x10FFF0, len(_SHIELDED))
_CANDIDATE = re.compile(r"<[^\s<>]{1,60}>|\[/?[A-Za-z_]{1,40}\]")
_TURN_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|EOT|>",
    "<|end_of_text|>",
    "<step>",
    "<|endoftext|>",
    "<｜end▁of▁sentence｜>",
)


class Turn(Protocol):
    """One turn of a conversation: `role` is `system`, `user` or `assistant`."""

    @property
    def role(self) -> str:
        """Who speaks."""
        ...

    @property
    def content(self) -> str:
        """What was said."""
        ...


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A conversation written down for one model, up to where its answer begins.

    `stop` are at most four stop strings. Those that are special tokens of the tokenizer must be stopped at by id,
    because decoded text leaves special tokens out. The beginning-of-sequence token, where the format has one, is part
    of the prompt already.
    """

    shielded: str
    stand_ins: str
    stop: tuple[str, ...]
    source: str
    """`template` (the tokenizer's own) or the name of the format in the table."""

    @property
    def text(self) -> str:
        """The prompt as a string, for looking at: only `pieces` tells typed text from special tokens."""
        return _unshield(self.shielded, self.stand_ins)

    def pieces(self, is_special: Callable[[str], bool]) -> list[tuple[str, bool]]:
        """Split into `(special token, True)` and `(ordinary text, False)`, in order.

        `is_special` says whether a spelling is a special token of the tokenizer. Ordinary text must be encoded without
        recognising special tokens; template text and what was said stand in it side by side, so that merges
        across their border are those the tokenizer itself would have made.
        """
        pieces: list[tuple[str, bool]] = []
        done = 0
        for match in _CANDIDATE.finditer(self.shielded):
            if is_special(match.group()):
                pieces += [(self.shielded[done : match.start()], False), (match.group(), True)]
                done = match.end()
        pieces.append((self.shielded[done:], False))
        return [(_unshield(text, self.stand_ins), special) for text, special in pieces if text]


def render(
    messages: Sequence[Turn],
    *,
    family: Family = FAMILIES["plain"],
    template: str | None = None,
    bos: str | None = None,
    eos: str | None = None,
) -> ChatPrompt:
    """Write `messages` down for a model, ending where its answer begins.

    `template` is the tokenizer's own Jinja chat template; without one, or where it cannot take this conversation even
    with the system prompt moved into the first user turn, the family's row of `FORMATS` is used. `bos` and `eos`
    are the tokenizer's spellings.
    """
    stand_ins = _free_stand_ins(message.content for message in messages)
    turns = [{"role": m.role, "content": _shield(m.content, stand_ins)} for m in messages]
    row = FORMATS[family.chat_format]
    if template:
        for attempt in (turns, _alternating(turns)):
            try:
                text = _compiled(template).render(
                    messages=attempt, add_generation_prompt=True, bos_token=bos or "", eos_token=eos or ""
                )
            except (TemplateError, TypeError, KeyError, AttributeError) as error:
                _log.debug("the tokenizer's chat template refused the conversation: %s", type(error).__name__)
            else:
                return ChatPrompt(text, stand_ins, _stops(template, row, eos), "template")
    text = _format(turns, row, bos or "", eos or "")
    if family.needs_bos and bos and not text.startswith(bos):
        text = bos + text
    return ChatPrompt(text, stand_ins, _stops("", row, eos), family.chat_format)


def template_in(folder: Path) -> str | None:
    """The chat template that a checkpoint's tokenizer brings, None if it has none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    template = config.get("chat_template") if isinstance(config, dict) else None
    if isinstance(template, list):
        named = {str(t.get("name")): t.get("template") for t in template if isinstance(t, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _format(turns: Sequence[dict[str, str]], row: ChatFormat, bos: str, eos: str) -> str:
    said = [dict(t, content=t["content"].strip()) if row.strip else t for t in turns]
    system = "\n\n".join(t["content"] for t in said if t["role"] == "system")
    talk = [t for t in said if t["role"] != "system"]
    text = row.start.format(bos=bos)
    if row.system is not None and (system or row.default_system is not None):
        text += row.system.format(content=system or row.default_system, bos=bos, eos=eos)
    asked = [index for index, turn in enumerate(talk) if turn["role"] == "user"]
    takes_system = asked[0 if row.system_where == "first" else -1] if asked and system else None
    for index, turn in enumerate(talk):
        content = turn["content"]
        if row.system is None and index == takes_system:
            content = row.system_in_user.format(system=system, content=content)
        pattern = row.assistant if turn["role"] == "assistant" else row.user
        text += pattern.format(content=content, bos=bos, eos=eos)
    return text + row.cue.format(bos=bos, eos=eos)


def _alternating(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The same conversation for templates that know no system role and insist on user and assistant in turn."""
    system = "\n\n".join(t["content"] for t in turns if t["role"] == "system")
    merged: list[dict[str, str]] = []
    for turn in turns:
        if turn["role"] == "system":
            continue
        if merged and merged[-1]["role"] == turn["role"]:
            merged[-1] = dict(turn, content=f"{merged[-1]['content']}\n\n{turn['content']}")
        else:
            merged.append(dict(turn))
    if not merged or merged[0]["role"] != "user":
        merged.insert(0, {"role": "user", "content": ""})
    if system:
        merged[0]["content"] = f"{system}\n\n{merged[0]['content'].strip()}".rstrip()
    return merged


def _stops(template: str, row: ChatFormat, eos: str | None) -> tuple[str, ...]:
    """The ends of a turn that the template writes, else the row's; the tokenizer's end of text always."""
    found = [end for end in _TURN_ENDS if end in template] if template else list(row.stop)
    wanted = [*([eos] if eos else []), *found, *(row.stop if not found else ())]
    return tuple(dict.fromkeys(wanted))[:4]


def _free_stand_ins(contents: Iterable[str]) -> str:
    """Private characters, one for each shielded one, that occur in none of the texts."""
    used = {char for content in contents for char in content if ord(char) >= _STAND_INS.start}
    for start in _STAND_INS:
        stand_ins = "".join(map(chr, range(start, start + len(_SHIELDED))))
        if used.isdisjoint(stand_ins):
            return stand_ins
    raise ValueError("the conversation uses every private character")


def _shield(text: str, stand_ins: str) -> str:
    return text.translate(str.maketrans(_SHIELDED, stand_ins))


def _unshield(text: str, stand_ins: str) -> str:
    return text.translate(str.maketrans(stand_ins, _SHIELDED))


class _Generation(Extension):
    """`{% generation %}`: marks the assistant's words for training; here only its body counts."""

    tags = {"generation"}  # noqa: RUF012  (jinja2 reads a plain set)

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Take the body, drop the tag."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


@lru_cache(maxsize=16)
def _compiled(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template)
