"""A conversation as tokens of one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codeface_lsp.prompting import chat
from codeface_lsp.prompting.chat import ChatPrompt
from codeface_lsp.serving.fit import Turn

if TYPE_CHECKING:
    from codeface_lsp.models.types import LoadedModel


class ChatRenderer:
    """Writes conversations down for a model and tells where its answer ends."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._tokenizer = model.tokenizer

    def _render(self, turns: Sequence[Turn]) -> ChatPrompt:
        tokenizer = self._tokenizer
        bos, eos = (
            None if token is None else tokenizer.spelling(token)
            for token in (tokenizer.bos_id, tokenizer.eos_id)
        )
        return chat.render(
            turns, family=self._model.family, template=tokenizer.chat_template, bos=bos, eos=eos
        )

    def ids(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids of the prompt; only what the template writes becomes special tokens."""
        return self._tokenizer.encode_pieces(self._render(turns).pieces(self._tokenizer.is_special))

    def stop_ids(self, turns: Sequence[Turn]) -> frozenset[int]:
        """Ends of the answer that are special tokens: decoded text leaves them out."""
        stops = self._render(turns[-1:]).stop
        found = (self._tokenizer.token_id(s) for s in stops if self._tokenizer.is_special(s))
        return self._tokenizer.eos_ids | {token for token in found if token is not None}

    def stop_strings(self, turns: Sequence[Turn]) -> tuple[str, ...]:
        """Ends of the answer that are ordinary text."""
        return tuple(s for s in self._render(turns[-1:]).stop if not self._tokenizer.is_special(s))
