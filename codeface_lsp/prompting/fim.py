"""Renders a completion prompt in the fill-in-the-middle form of a family, as tokens or as text.

What comes from a file is always ordinary text. In tokens that holds because special tokens are placed by id and text
is encoded without recognising any. A server that takes text recognises them itself, so there a marker that stands
in a file is broken with a blank.

Layout where the family is suffix-first: extra context, then the suffix, then the prefix; a typed key only appends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from codeface_lsp.errors import InvalidRequest
from codeface_lsp.prompting.families import Family, Fim, Order

_COMMENTS = {
    "//": "c h cc cpp hpp cs java js jsx ts tsx go rs swift kt scala php dart zig proto",
    "--": "sql lua hs elm ada",
    "%": "tex erl m",
    ";": "el clj lisp scm asm",
}
_COMMENT_OF = {suffix: lead for lead, suffixes in _COMMENTS.items() for suffix in suffixes.split()}


class Encoder(Protocol):
    """What rendering needs of a tokenizer; `codeface_lsp.models.types.Tokenizer` has more."""

    bos_id: int | None
    eos_ids: frozenset[int]

    def encode(self, text: str) -> list[int]:
        """Tokenize text, adding nothing and recognising no special token."""
        ...

    def token_id(self, token: str) -> int | None:
        """Id of a token by its exact spelling."""
        ...


@dataclass(frozen=True, slots=True)
class _Marker:
    token: str


_Piece = _Marker | str


def render_ids(
    family: Family,
    tokenizer: Encoder,
    *,
    prefix: str,
    suffix: str,
    extra: Sequence[tuple[str, str]] = (),
    filename: str = "",
    order: Order | None = None,
) -> list[int]:
    """Token ids of the prompt for what stands between `prefix` and `suffix`.

    `extra` are `(filename, text)` of other places. Raises `InvalidRequest` for an order that the family's tokens
    cannot spell or a marker that the tokenizer lacks (`models.loader` prevents the latter).
    """
    ids = [tokenizer.bos_id] if family.needs_bos and tokenizer.bos_id is not None else []
    for piece in _pieces(family, prefix, suffix, extra, filename, order):
        if isinstance(piece, str):
            ids += tokenizer.encode(piece)
            continue
        token = tokenizer.token_id(piece.token)
        if token is None:
            raise InvalidRequest(
                f"The tokenizer has no `{piece.token}`, so this model cannot fill in the middle; use order `none`."
            )
        ids.append(token)
    return ids


def render_text(
    family: Family,
    *,
    prefix: str,
    suffix: str,
    extra: Sequence[tuple[str, str]] = (),
    filename: str = "",
    order: Order | None = None,
) -> str:
    """The same prompt as text, without BOS (servers add it), for a server that recognises special tokens in text."""
    markers = special_spellings(family)

    def plain(text: str) -> str:
        for marker in markers:
            text = text.replace(marker, f"{marker[0]} {marker[1:]}")
        return text

    pieces = _pieces(
        family, plain(prefix), plain(suffix), [(plain(n), plain(t)) for n, t in extra], plain(filename), order
    )
    text = "".join(p if isinstance(p, str) else p.token.replace("▁<", " <") for p in pieces)
    return text.removeprefix(" ") if pieces and isinstance(pieces[0], _Marker) else text


def stop_ids(family: Family, tokenizer: Encoder) -> frozenset[int]:
    """Ids that end a completion: the tokenizer's ends of text and those of the family's stops that are one token."""
    found = (tokenizer.token_id(spelling) for stop in family.fim.stop for spelling in (stop, f"▁{stop}"))
    return tokenizer.eos_ids | {token for token in found if token is not None}


def special_spellings(family: Family) -> tuple[str, ...]:
    """Every marker of the family as it is spelled in text, longest first."""
    fim = family.fim
    tokens = (fim.prefix, fim.suffix, fim.middle, fim.file_separator, fim.repository, *fim.stop)
    spelled = {token.removeprefix("▁") for token in tokens if token and not token.startswith("\n")}
    return tuple(sorted(spelled, key=len, reverse=True))


def _pieces(
    family: Family,
    prefix: str,
    suffix: str,
    extra: Sequence[tuple[str, str]],
    filename: str,
    order: Order | None,
) -> list[_Piece]:
    fim = family.fim
    chosen = order or fim.orders[0]
    if chosen != "none" and not (fim.prefix and fim.suffix and (fim.middle or chosen == "spm")):
        raise InvalidRequest(
            f"Models of the family `{family.name}` know no `{chosen}` order; leave `order` out, or use `none`."
        )
    ahead, heading = _files(fim, extra, filename)
    prefix = heading + prefix
    if fim.spaced_prefix:
        prefix = " " + prefix
    pre, suf, mid = _Marker(fim.prefix), _Marker(fim.suffix), _Marker(fim.middle)
    body: list[_Piece]
    if chosen == "none":
        body = [prefix.removeprefix(" ") if fim.spaced_prefix else prefix]
    elif chosen == "spm2":
        body = [pre, suf, suffix, mid, prefix]
    elif chosen == "spm":
        body = [suf, suffix, pre, prefix, *([mid] if fim.middle else [])]
    else:
        cut = prefix.rfind("\n") + 1 if fim.line_after_middle else len(prefix)
        body = [pre, prefix[:cut], suf, suffix, mid, prefix[cut:]]
    return [piece for piece in (*ahead, *body) if piece != ""]


def _files(fim: Fim, extra: Sequence[tuple[str, str]], filename: str) -> tuple[list[_Piece], str]:
    """What stands in front of the FIM tokens, and what stands at the head of the prefix."""
    if fim.file_separator is None:
        blocks = [
            f"{_heading(fim, name)}{name}\n{_whole_lines(text)}{fim.after_file}" for name, text in extra
        ]
        own = f"{_heading(fim, filename)}{filename}\n" if blocks and filename else ""
        return [], "".join(blocks) + own
    separator = _Marker(fim.file_separator)
    ahead: list[_Piece] = []
    for name, text in extra:
        ahead += [separator, f"{name}\n{_whole_lines(text)}{fim.after_file}"]
    if not filename or not (extra or fim.always_path):
        return ahead, ""
    if fim.path_inside:
        return [*ahead, separator], f"{filename}\n"
    return [*ahead, separator, f"{filename}\n"], ""


def _whole_lines(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _heading(fim: Fim, filename: str) -> str:
    if fim.file_heading is not None:
        return fim.file_heading
    return _COMMENT_OF.get(PurePosixPath(filename).suffix.lstrip(".").lower(), "#") + " "
