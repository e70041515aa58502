"""A checkpoint's tokenizer on `tokenizers.Tokenizer`, with the two traps of code prompts taken out.

1. Text must never become special tokens. `special: true` in tokenizer.json does not say which tokens those are (Qwen
   and CodeGemma mark their FIM tokens as ordinary), so markers are also told by their spelling.
2. SentencePiece puts a dummy space in front of a text. `encode` adds none; who wants one writes a blank.

Views of one file, all blind to markers: `encode` (a piece of a text), `encode_prompt` (a whole text, as transformers
would encode it), `encode_pieces` (a text whose markers are told apart). Who wants a marker names it to `token_id`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.prompting.chat import template_in
from codeface_lsp.prompting.families import FAMILIES
from codeface_lsp.prompting.fim import special_spellings

_MARKER = re.compile(r"^▁?<(\[.*\]|[|｜].*[|｜])>$")
_KNOWN = frozenset(marker for family in FAMILIES.values() for marker in special_spellings(family))
_BYTE_TOKEN = re.compile(r"^<0x([0-9A-Fa-f]{2})>$")


class CheckpointTokenizer:
    """Implements `codeface_lsp.models.types.Tokenizer`. Thread-safe: nothing changes after construction."""

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        eos_ids: frozenset[int] = frozenset(),
        eos_id: int | None = None,
        bos_id: int | None = None,
        chat_template: str | None = None,
    ) -> None:
        """Take the parsed content of a tokenizer.json."""
        self._spec = spec
        self._markers = {t["content"]: int(t["id"]) for t in spec.get("added_tokens", []) if _is_marker(t)}
        self._marker_ids = frozenset(self._markers.values())
        self._plain = _build(_without_dummy_space(_blind(spec, self._markers)), blind=True)
        self._takes_left = {t["content"] for t in spec.get("added_tokens", []) if t.get("lstrip")}
        self._takes_right = {t["content"] for t in spec.get("added_tokens", []) if t.get("rstrip")}
        self._dummy_space = _dummy_space(spec)
        self._added = {int(t["id"]): str(t["content"]) for t in spec.get("added_tokens", [])}
        self._vocabulary = self._plain.get_vocab(with_added_tokens=True)
        self.vocab_size = max(self._vocabulary.values(), default=-1) + 1
        self.eos_ids = eos_ids
        self.eos_id = eos_id if eos_id is not None else min(eos_ids, default=None)
        self.bos_id = bos_id
        self.chat_template = chat_template

    def encode(self, text: str) -> list[int]:
        """Tokenize a piece of text: no BOS, no dummy space, no special tokens."""
        return self._strictly_plain(self._plain, text, add_special_tokens=False)

    def encode_prompt(self, text: str) -> list[int]:
        """Tokenize a whole text as transformers' tokenizer does (BOS, CLS, dummy space), yet blind to markers in it."""
        return self._strictly_plain(self._blind, text, add_special_tokens=True)

    def encode_pieces(self, pieces: Sequence[tuple[str, bool]]) -> list[int]:
        """Tokenize a text split into markers and what stands between them, as transformers tokenizes it whole.

        Each piece is `(text, whether it is a marker)`. A marker takes the blanks beside it that its entry claims
        (Phi-3's do), and a text gets a dummy space where the tokenizer has one.
        """
        ids: list[int] = []
        for index, (text, marked) in enumerate(pieces):
            if marked and text in self._markers:
                ids.append(self._markers[text])
                continue
            if index and pieces[index - 1][0] in self._takes_right:
                text = text.lstrip()
            if index + 1 < len(pieces) and pieces[index + 1][0] in self._takes_left:
                text = text.rstrip()
            spaced = self._dummy_space == "always" or (self._dummy_space == "first" and index == 0)
            tokenizer = self._blind if spaced else self._plain
            ids += self._strictly_plain(tokenizer, text, add_special_tokens=False) if text else []
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, special tokens left out; incomplete UTF-8 becomes U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def token_id(self, token: str) -> int | None:
        """Id of a special or ordinary token by its exact spelling, None if there is none."""
        return self._vocabulary.get(token)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for; empty for special tokens and ids outside the vocabulary."""
        table = self._bytes
        return table[token_id] if 0 <= token_id < len(table) else b""

    def spelling(self, token_id: int) -> str | None:
        """The exact spelling of a token, the other way round of `token_id`."""
        return self._spellings.get(token_id)

    def is_special(self, token: str) -> bool:
        """Whether a spelling is one of the markers, which text never becomes."""
        return token in self._markers

    @cached_property
    def _spellings(self) -> dict[int, str]:
        return {token_id: token for token, token_id in self._vocabulary.items()}

    @cached_property
    def _blind(self) -> Tokenizer:
        return _build(_blind(self._spec, self._markers), blind=True)

    @cached_property
    def _bytes(self) -> list[bytes]:
        to_bytes = _byte_reader(self._spec)
        table = [b""] * self.vocab_size
        for token, token_id in self._vocabulary.items():
            table[token_id] = to_bytes(token)
        for token_id, content in self._added.items():
            table[token_id] = b"" if token_id in self._marker_ids else content.encode()
        return table

    def _strictly_plain(self, tokenizer: Tokenizer, text: str, *, add_special_tokens: bool) -> list[int]:
        """Encode, and where the vocabulary itself spells a marker (Unigram), break that marker in two."""
        ids = list(tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)
        own = set(tokenizer.encode("", add_special_tokens=add_special_tokens).ids)
        if not (self._marker_ids - own).intersection(ids):
            return ids
        at = min(
            (text.find(m.removeprefix("▁")) for m in self._markers if m.removeprefix("▁") in text), default=-1
        )
        if at < 0:
            return ids
        head = list(tokenizer.encode(text[: at + 1], add_special_tokens=add_special_tokens).ids)
        return head + self.encode(text[at + 1 :])


def from_folder(
    folder: Path, *, eos_ids: Iterable[int] = (), bos_id: int | None = None, rows: int | None = None
) -> CheckpointTokenizer:
    """Read a checkpoint's tokenizer; `eos_ids` and `bos_id` (of its config) complete what the files say.

    Added tokens beyond the model's `rows` embeddings (CodeLlama's `<FILL_ME>`) do not exist for us.

    Raises `ModelLoadError` (`tokenizer_missing`, `tokenizer_broken`, `tokenizer_unsupported`).
    """
    file = folder / "tokenizer.json"
    config = _read_json(folder / "tokenizer_config.json")
    spec = _read_json(file, required=True) if file.is_file() else _convert(folder)
    if not isinstance(spec.get("model"), dict):
        raise _broken(file)
    if rows:
        spec["added_tokens"] = [t for t in spec.get("added_tokens", []) if int(t["id"]) < rows]
    added = {str(t["content"]): int(t["id"]) for t in spec.get("added_tokens", [])}
    vocabulary = spec["model"].get("vocab")
    ordinary = vocabulary if isinstance(vocabulary, dict) else {}

    def named(key: str) -> int | None:
        value = config.get(key)
        spelling = value.get("content") if isinstance(value, dict) else value
        return added.get(spelling, ordinary.get(spelling)) if isinstance(spelling, str) else None

    eos, bos = named("eos_token"), named("bos_token")
    try:
        return CheckpointTokenizer(
            spec,
            eos_ids=frozenset(eos_ids) | ({eos} if eos is not None else set()),
            eos_id=eos,
            bos_id=bos if bos is not None else bos_id,
            chat_template=template_in(folder),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise _broken(file) from error


def _is_marker(token: dict[str, Any]) -> bool:
    content = str(token["content"])
    return bool(token.get("special")) or content.removeprefix("▁") in _KNOWN or bool(_MARKER.match(content))


def _build(spec: dict[str, Any], *, blind: bool = False) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(json.dumps(spec))
    except Exception as error:
        raise ValueError(f"tokenizers cannot read it: {error}") from error
    tokenizer.encode_special_tokens = blind
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _blind(spec: dict[str, Any], markers: dict[str, int]) -> dict[str, Any]:
    """All markers called special, which `encode_special_tokens` then reads as text.

    They keep their place: without one of them, the ids of the others would move.
    """
    tokens = [{**t, "special": t["content"] in markers} for t in spec.get("added_tokens", [])]
    return {**spec, "added_tokens": tokens}


def _without_dummy_space(spec: dict[str, Any]) -> dict[str, Any]:
    spec = {**spec, **{part: copy.deepcopy(spec.get(part)) for part in ("normalizer", "pre_tokenizer")}}
    spec["normalizer"] = _drop_prepend(spec["normalizer"])
    for step in _steps(spec["pre_tokenizer"], "pretokenizers"):
        if step.get("type") == "Metaspace":
            step["prepend_scheme"] = "never"
            step.pop("add_prefix_space", None)
        elif step.get("type") == "ByteLevel":
            step["add_prefix_space"] = False
    return spec


def _dummy_space(spec: dict[str, Any]) -> Literal["never", "first", "always"]:
    """Which stretches between markers get a dummy space: none, the one that begins the text, or each."""
    if any(step.get("type") == "Prepend" for step in _steps(spec.get("normalizer"), "normalizers")):
        return "always"
    for step in _steps(spec.get("pre_tokenizer"), "pretokenizers"):
        if step.get("type") == "Metaspace":
            scheme = step.get("prepend_scheme") or (
                "always" if step.get("add_prefix_space", True) else "never"
            )
            return "first" if scheme == "first" else "always" if scheme == "always" else "never"
        if step.get("type") == "ByteLevel" and step.get("add_prefix_space"):
            return "always"
    return "never"


def _drop_prepend(normalizer: dict[str, Any] | None) -> dict[str, Any] | None:
    if normalizer is None or normalizer.get("type") == "Prepend":
        return None
    if normalizer.get("type") == "Sequence":
        normalizer["normalizers"] = [n for n in normalizer["normalizers"] if n.get("type") != "Prepend"]
    return normalizer


def _steps(part: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    if part is None:
        return []
    return list(part[key]) if part.get("type") == "Sequence" else [part]


def _byte_reader(spec: dict[str, Any]) -> Any:
    kinds = {step.get("type") for step in _steps(spec.get("decoder"), "decoders")}
    kinds |= {step.get("type") for step in _steps(spec.get("pre_tokenizer"), "pretokenizers")}
    if "ByteLevel" in kinds:
        table = _byte_level_alphabet()
        return lambda token: (
            bytes(table[c] for c in token) if all(c in table for c in token) else token.encode()
        )
    if spec["model"].get("type") == "WordPiece":
        lead = spec["model"].get("continuing_subword_prefix", "##")
        return lambda token: (token.removeprefix(lead) if token.startswith(lead) else " " + token).encode()
    return _sentencepiece_bytes


def _sentencepiece_bytes(token: str) -> bytes:
    byte = _BYTE_TOKEN.match(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace("▁", " ").encode()


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's mapping of bytes to printable characters, turned round."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    rest = [byte for byte in range(256) if byte not in set(printable)]
    return alphabet | {chr(256 + offset): byte for offset, byte in enumerate(rest)}


def _convert(folder: Path) -> dict[str, Any]:
    """A checkpoint without tokenizer.json (SentencePiece, vocab.json + merges.txt): transformers converts it."""
    if not any(
        (folder / name).is_file() for name in ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
    ):
        raise ModelLoadError(
            f"{folder} has no tokenizer (tokenizer.json or tokenizer.model); download the checkpoint again.",
            kind="tokenizer_missing",
        )
    from transformers import AutoTokenizer

    try:
        backend = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False).backend_tokenizer
        spec: dict[str, Any] = json.loads(backend.to_str())
    except (ImportError, AttributeError) as error:
        raise ModelLoadError(
            f"The tokenizer in {folder} cannot be converted ({error}); use a checkpoint with a tokenizer.json.",
            kind="tokenizer_unsupported",
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise _broken(folder) from error
    return spec


def _read_json(file: Path, *, required: bool = False) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        if required:
            raise _broken(file) from error
        return {}
    return data if isinstance(data, dict) else {}


def _broken(file: Path) -> ModelLoadError:
    return ModelLoadError(
        f"The tokenizer {file} cannot be read; download the checkpoint again.", kind="tokenizer_broken"
    )


def from_gguf(folder: Path, name: str) -> CheckpointTokenizer:
    """Read the tokenizer inside a `.gguf` file, through transformers' converter."""
    from transformers import AutoTokenizer

    converted = AutoTokenizer.from_pretrained(str(folder), gguf_file=name)
    return CheckpointTokenizer(
        json.loads(converted.backend_tokenizer.to_str()),
        eos_ids=frozenset({converted.eos_token_id} - {None}),
        bos_id=converted.bos_token_id,
        chat_template=converted.chat_template,
    )
