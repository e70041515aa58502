"""Greedy completion with plain transformers, token healing and the cache mixture: what the engine does, spelled out."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, DynamicCache

from codeface_lsp.inference.ngram import NgramIndex

SUFFIX_SHARE = 0.25
Distribution = NDArray[np.float32]


@dataclass
class Completion:
    """What was generated, and how sure the model was: the mean log-probability of its tokens."""

    text: str
    confidence: float


@dataclass
class Prompt:
    """Token ids of a prompt without its healed end, and the bytes that the first tokens must spell."""

    ids: list[int]
    typed: bytes = b""
    local: list[int] = field(default_factory=list)
    """The prefix's own tokens, the context of the n-gram index."""


class Vocabulary:
    """The bytes of every token; special tokens have none and are never generated but the end of text."""

    def __init__(self, words: Tokenizer) -> None:
        self.words = words
        self._encoded: dict[str, list[int]] = {}
        special = words.get_added_tokens_decoder()
        self.special = {token.content: index for index, token in special.items()}
        size = words.get_vocab_size()
        self.bytes = [b"" if index in special else self._bytes_of(index) for index in range(size)]

    def _bytes_of(self, index: int) -> bytes:
        return bytes(_BYTE_OF[character] for character in self.words.id_to_token(index))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, remembered: the same files are asked for again and again."""
        if text not in self._encoded:
            self._encoded[text] = list(self.words.encode(text).ids)
        return self._encoded[text]

    def allowed(self, typed: bytes) -> NDArray[np.bool_]:
        """Tokens that spell a part of `typed`, or `typed` and more."""
        return np.array([bool(t) and (t.startswith(typed) or typed.startswith(t)) for t in self.bytes])


def _byte_characters() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes, read backwards."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_ins = {chr(byte): byte for byte in printable}
    for shift, byte in enumerate(byte for byte in range(256) if byte not in printable):
        stand_ins[chr(256 + shift)] = byte
    return stand_ins


_BYTE_OF = _byte_characters()


def infill_prompt(
    vocabulary: Vocabulary,
    path: str,
    prefix: str,
    suffix: str,
    budget: int,
    extra: list[tuple[str, str]] | None = None,
    *,
    heal: bool = True,
    suffix_share: float = SUFFIX_SHARE,
) -> Prompt:
    """The suffix-first prompt in at most `budget` tokens; the prefix loses whole lines at its front."""
    special, words = vocabulary.special, vocabulary.words
    head: list[int] = []
    for name, text in extra or []:
        excerpt = words.encode(f"{name}\n{text}").ids
        if len(head) + len(excerpt) < budget // 3:
            head += [special["<file_sep>"], *excerpt]
    head += [special["<file_sep>"], *words.encode(path + "\n").ids]
    after = words.encode(suffix[: budget * 8]).ids[: int(suffix_share * budget)]
    room = budget - len(head) - len(after) - 3
    kept, typed = heal_end(words, prefix) if heal else (prefix, "")
    before = words.encode(kept).ids
    if len(before) > room:
        kept = kept[len(words.decode(before[: len(before) - room], skip_special_tokens=False)) :]
        kept = kept[kept.find("\n") + 1 :] if "\n" in kept else kept
        before = words.encode(kept).ids
    ids = [*head, special["<fim_prefix>"], special["<fim_suffix>"], *after, special["<fim_middle>"], *before]
    return Prompt(ids, typed.encode(), before)


def heal_end(words: Tokenizer, prefix: str) -> tuple[str, str]:
    """Split off the last pre-token: the only piece that what follows the cursor can change."""
    tail = prefix[prefix.rfind("\n", 0, max(len(prefix) - 80, 0)) + 1 :]
    pieces = words.pre_tokenizer.pre_tokenize_str(tail)
    at = len(prefix) - len(tail) + (pieces[-1][1][0] if pieces else len(tail))
    return prefix[:at], prefix[at:]


class Decoder:
    """One model (or none: then the n-gram index alone speaks)."""

    def __init__(self, model: AutoModelForCausalLM | None, vocabulary: Vocabulary) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self.uniform = np.full(len(vocabulary.bytes), 1 / len(vocabulary.bytes), np.float32)

    @torch.no_grad()
    def prefill(self, prompt: Prompt) -> tuple[DynamicCache | None, Distribution]:
        """KV cache and next-token probabilities after the prompt; shared by the systems that are compared."""
        if self.model is None:
            return None, self.uniform
        cache = DynamicCache(config=self.model.config)
        logits = self.model(torch.tensor([prompt.ids]), past_key_values=cache, logits_to_keep=1).logits[0, -1]
        return cache, torch.softmax(logits.float(), -1).numpy()

    @torch.no_grad()
    def complete(
        self,
        prompt: Prompt,
        state: tuple[DynamicCache | None, Distribution],
        index: NgramIndex | None,
        most_tokens: int,
        lines: int = 1,
    ) -> Completion:
        """Greedy tokens after the typed bytes, until `lines` newlines, the end of text, or `most_tokens`."""
        cache, probabilities = copy.deepcopy(state[0]), state[1]
        context, typed, made, sureness = list(prompt.local), prompt.typed, b"", []
        stop = self.vocabulary.special["<|endoftext|>"]
        for _ in range(most_tokens + 4):
            mixed = index.mix(context, probabilities) if index is not None else probabilities
            if typed:
                mixed = np.where(self.vocabulary.allowed(typed), mixed, 0.0)
                mixed = mixed / max(mixed.sum(), 1e-12)
            token = int(mixed.argmax())
            if token == stop:
                break
            spelled = self.vocabulary.bytes[token]
            if not spelled:
                break
            new, typed = spelled[len(typed) :], typed[len(spelled) :]
            made += new
            context.append(token)
            if new:
                sureness.append(float(np.log(max(mixed[token], 1e-9))))
            if made.count(b"\n") >= lines:
                break
            if self.model is not None:
                logits = self.model(torch.tensor([[token]]), past_key_values=cache).logits[0, -1]
                probabilities = torch.softmax(logits.float(), -1).numpy()
        text = "\n".join(made.decode("utf-8", "ignore").split("\n")[:lines])
        return Completion(text, float(np.mean(sureness)) if sureness else -20.0)
