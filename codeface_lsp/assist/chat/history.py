"""What of a conversation the model is shown: the system prompt always, the newest turns as far as the budget goes."""

from __future__ import annotations

from collections.abc import Sequence

from codeface_lsp.assist.chat.conversation import Turn
from codeface_lsp.context.parts import TokenCounter
from codeface_lsp.endpoints.types import Message


def messages(system: Message, turns: Sequence[Turn], budget: int, counter: TokenCounter) -> list[Message]:
    """System prompt and turns for the model, oldest turns dropped first once they cost more than `budget` tokens.

    The last turn, the question, always stays. What is kept begins with a user's turn. In older turns what the user
    typed counts, not what was attached to it: attachments belong to the question that they came with.
    """
    *past, question = turns
    kept: list[Message] = [Message("user", question.prompt or question.content)]
    spent = counter.count(kept[0].content)
    for turn in reversed(past):
        spent += counter.count(turn.content)
        if spent > budget:
            break
        kept.insert(0, Message(turn.role, turn.content))
    while kept[0].role != "user":
        kept.pop(0)
    return [system, *kept]
