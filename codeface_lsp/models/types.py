"""What the generation loop needs to know about a loaded model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch

    from codeface_lsp.prompting.families import Family

Role = Literal["completion", "chat", "embedding"]


class Tokenizer(Protocol):
    """A checkpoint's tokenizer, as the engine uses it.

    `encode` never produces special tokens from text: a file that contains `<fim_middle>` is ordinary text.
    """

    vocab_size: int
    eos_ids: frozenset[int]
    eos_id: int | None
    """The one of them that a chat template calls `eos_token`."""
    bos_id: int | None
    chat_template: str | None

    def encode(self, text: str) -> list[int]:
        """Tokenize text, adding nothing and recognising no special token."""
        ...

    def encode_pieces(self, pieces: Sequence[tuple[str, bool]]) -> list[int]:
        """Tokenize `(text, whether it is a special token)` in order, as the checkpoint's own tokenizer would."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, special tokens left out; incomplete UTF-8 becomes U+FFFD."""
        ...

    def token_id(self, token: str) -> int | None:
        """Id of a special or ordinary token by its exact spelling, None if there is none."""
        ...

    def spelling(self, token_id: int) -> str | None:
        """The exact spelling of a token, special or ordinary."""
        ...

    def is_special(self, token: str) -> bool:
        """Whether a spelling is a special token, which text never becomes."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for; empty for special tokens."""
        ...


@dataclass(slots=True)
class LoadedModel:
    """A model in memory, ready to generate (or to embed)."""

    name: str
    source: str
    """Folder or hub id that it came from."""
    role: Role
    model: Any
    """A `transformers.PreTrainedModel` in eval mode, or a `models.llama.Llama`, which only the fused runner runs."""
    tokenizer: Tokenizer
    family: Family
    context_length: int
    device: torch.device
    dtype: torch.dtype
    quantization: str | None = None
    memory_bytes: int = 0
    parameters: int = 0
    defaults: dict[str, Any] = field(default_factory=dict)
    """Default sampling parameters of its registry entry."""
    chat_trained: bool = True
    min_confidence: float | None = None
    encoder_decoder: bool = False
