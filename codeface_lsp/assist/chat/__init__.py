"""Conversations: history, references, slash commands, the chat document."""

from codeface_lsp.assist.chat.conversation import Conversation, ConversationStore, Reference, Turn
from codeface_lsp.assist.chat.place import Place
from codeface_lsp.assist.chat.service import ChatService, Event, Reply

__all__ = ["ChatService", "Conversation", "ConversationStore", "Event", "Place", "Reference", "Reply", "Turn"]
