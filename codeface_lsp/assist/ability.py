"""Whether the model in the chat role can chat at all, and what to say and give when it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from codeface_lsp.endpoints.local_models import chat_trained
from codeface_lsp.endpoints.types import Endpoint, ModelCard
from codeface_lsp.errors import EndpointError, EndpointRejected
from codeface_lsp.settings import Settings

BETTER = "qwen2.5-coder-1.5b-instruct"
"""The registry's smallest model that explains and edits code well."""

_NOTICE = {
    "en": (
        "`{model}` was trained to complete code, not to chat, so it writes no explanations or edits. "
        "`codeface models download {better}` and `codeface models default {better} --role chat` get one that does."
    ),
    "zh": (
        "`{model}` 只受过代码补全训练，不会对话，因此不能解释或修改代码。"
        "依次运行 `codeface models download {better}` 和 "
        "`codeface models default {better} --role chat`，即可换用会对话的模型。"
    ),
}
_FACTS_ONLY = {
    "en": "Certain facts from the parse tree (no model was asked):",
    "zh": "以下是语法树给出的确定事实（未询问模型）：",
}
_PASSAGES_ONLY = {
    "en": "The passages that match the question's words best (no model was asked):",
    "zh": "与问题用词最匹配的代码位置（未询问模型）：",
}


@dataclass(frozen=True, slots=True)
class ChatModel:
    """What is known about the model in the chat role."""

    name: str
    can_chat: bool
    context_tokens: int
    mock: bool = False

    def notice(self, human: str = "en") -> str:
        """Sentence that says the model cannot chat, and the command that gets one that can."""
        return _NOTICE[human].format(model=self.name, better=BETTER)

    def require(self) -> None:
        """Raise `EndpointRejected` with the notice if the model cannot chat."""
        if not self.can_chat:
            raise EndpointRejected(self.notice(), kind="cannot_chat")


class Notices:
    """What stands in for answers in one window, which says of each model only once that it cannot chat."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def facts(self, model: ChatModel, human: str, known: str) -> str:
        """Facts from the parse tree, marked as such."""
        return self._instead(model, human, _FACTS_ONLY[human], known)

    def passages(self, model: ChatModel, human: str, known: str) -> str:
        """Passages that were found, marked as such."""
        return self._instead(model, human, _PASSAGES_ONLY[human], known)

    def _instead(self, model: ChatModel, human: str, heading: str, known: str) -> str:
        parts = [heading, known] if known else []
        if not parts or model.name not in self._told:
            parts.insert(0, model.notice(human))
        self._told.add(model.name)
        return "\n\n".join(parts)


async def chat_model(endpoint: Endpoint, settings: Settings) -> ChatModel:
    """What is known about the model in the chat role.

    One on this machine that was not trained to chat is told by its own files, so that no engine starts for it; any
    other the endpoint is asked about. A model that nobody tells about is taken to be able to chat.
    """
    engine = settings.engine
    if (
        not (settings.endpoints or engine.mock or engine.command)
        and chat_trained(settings.model.chat) is False
    ):
        return ChatModel(settings.model.chat, False, 0)
    own = next((e for e in settings.endpoints if "chat" in e.roles), None)
    wanted = settings.model.chat if own is None else own.model
    window = own.context_tokens if own is not None else 4096
    card = await _card(endpoint, wanted)
    if not settings.endpoints and (card is None or card.chat is None):
        await endpoint.count_tokens("")  # a cold engine knows its model only once it is loaded
        card = await _card(endpoint, wanted)
    if card is None:
        return ChatModel(wanted or "the model", True, window)
    return ChatModel(card.id, card.chat is not False, card.context_tokens or window, card.mock)


async def _card(endpoint: Endpoint, wanted: str | None) -> ModelCard | None:
    """The card of a model; None if the server does not answer (the answer's own request will say why)."""
    try:
        cards = await endpoint.models()
    except EndpointError:
        return None
    return next((card for card in cards if card.id == wanted), cards[0] if cards and wanted is None else None)
