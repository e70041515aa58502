"""Makes prompts fit a model's context, cutting where it hurts least: the cursor's surroundings go last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from codeface_lsp.models.types import Tokenizer

CHARS_PER_TOKEN = 16
"""More than any text has on average: longer texts are cut before they are tokenized, so that time stays bounded."""

_MARKERS = 8
"""Tokens kept free for a prompt's special tokens."""


@dataclass(frozen=True, slots=True)
class Hole:
    """What a fill-in-the-middle prompt shows."""

    prefix: str
    suffix: str
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation."""

    role: str
    content: str


def room(context_length: int, max_tokens: int) -> int:
    """Prompt tokens that leave space for the answer; an answer takes at most a quarter from the prompt."""
    return context_length - max(1, min(max_tokens, context_length // 4))


def fit_hole(
    render: Callable[[Hole], list[int]], tokenizer: Tokenizer, hole: Hole, limit: int
) -> tuple[list[int], bool]:
    """Token ids of a prompt of at most `limit` tokens, and whether something was cut.

    Extra files go first, the first ones before the later ones; then the suffix is cut at its end to a quarter, then
    the prefix at its beginning, both at a line's border if there is one.
    """
    short = _shorten(hole, limit * CHARS_PER_TOKEN)
    cut = short != hole
    hole = short
    ids = render(hole)
    while len(ids) > limit and hole.extra:
        cut = True
        hole = replace(hole, extra=_drop(hole.extra, len(ids) - limit, tokenizer))
        ids = render(hole)
    if len(ids) > limit:
        cut = True
        suffix = first_tokens(tokenizer, hole.suffix, limit // 4)
        left = limit - _MARKERS - len(tokenizer.encode(suffix))
        while len(ids) > limit and left > 0:
            ids = render(Hole(last_tokens(tokenizer, hole.prefix, left), suffix))
            left -= max(_MARKERS, len(ids) - limit)
    return ids[-limit:], cut


def _shorten(hole: Hole, chars: int) -> Hole:
    extra = tuple((name, text[:chars]) for name, text in hole.extra)
    return Hole(hole.prefix[-chars:], hole.suffix[:chars], extra)


def _drop(
    extra: tuple[tuple[str, str], ...], surplus: int, tokenizer: Tokenizer
) -> tuple[tuple[str, str], ...]:
    """Leave out the first files until `surplus` tokens are saved; at least one."""
    saved = 0
    for index, (name, text) in enumerate(extra):
        saved += len(tokenizer.encode(text)) + len(tokenizer.encode(name))
        if saved >= surplus:
            return extra[index + 1 :]
    return ()


def first_tokens(tokenizer: Tokenizer, text: str, count: int) -> str:
    """Return the beginning of a text, at most `count` tokens, up to a line's end if there is one."""
    ids = tokenizer.encode(text)
    if len(ids) <= count:
        return text
    kept = tokenizer.decode(ids[:count]).rstrip("\ufffd") if count > 0 else ""
    return kept[: kept.rfind("\n") + 1] or kept


def last_tokens(tokenizer: Tokenizer, text: str, count: int) -> str:
    """Return the end of a text, at most `count` tokens, from a line's start if there is one."""
    ids = tokenizer.encode(text)
    if len(ids) <= count:
        return text
    kept = tokenizer.decode(ids[-count:]).lstrip("\ufffd") if count > 0 else ""
    return kept[kept.find("\n") + 1 :] or kept


def fit_turns(
    render: Callable[[Sequence[Turn]], list[int]], tokenizer: Tokenizer, turns: Sequence[Turn], limit: int
) -> tuple[list[int], bool]:
    """Token ids of a conversation, and whether something was cut.

    The oldest turns go first, a system prompt never; what the last turn says is cut at its beginning if it alone is
    too long.
    """
    system = [turn for turn in turns if turn.role == "system"]
    talk = [turn for turn in turns if turn.role != "system"]
    chars = limit * CHARS_PER_TOKEN
    short = [replace(turn, content=turn.content[-chars:]) for turn in talk]
    cut = short != talk
    talk = short
    sizes = [len(tokenizer.encode(turn.content)) for turn in talk]
    while len(talk) > 1 and sum(sizes) > limit:
        talk, sizes, cut = talk[1:], sizes[1:], True
    ids = render([*system, *talk])
    while len(ids) > limit and len(talk) > 1:
        talk, cut = talk[1:], True
        ids = render([*system, *talk])
    if len(ids) > limit and talk:
        cut = True
        spare = max(0, len(tokenizer.encode(talk[0].content)) - (len(ids) - limit) - _MARKERS)
        ids = render([*system, replace(talk[0], content=last_tokens(tokenizer, talk[0].content, spare))])
    return ids[-limit:], cut or len(ids) > limit
