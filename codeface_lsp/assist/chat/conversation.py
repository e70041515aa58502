"""Conversations, kept on disk per workspace until they are deleted."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from codeface_lsp import paths
from codeface_lsp.errors import CodeFaceError

log = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Reference:
    """Lines of a file that were shown to the model; lines count from 1, both ends included."""

    path: str
    first_line: int
    last_line: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said. `prompt` is what the model was sent for a user's turn, with what was attached."""

    role: Literal["user", "assistant"]
    content: str
    prompt: str = ""
    references: tuple[Reference, ...] = ()


@dataclass(slots=True)
class Conversation:
    """Turns in order; `updated` is a Unix time."""

    id: str
    turns: list[Turn] = field(default_factory=list)
    updated: float = 0.0

    @property
    def title(self) -> str:
        """The first question, in one short line."""
        first = next((turn.content for turn in self.turns if turn.role == "user"), "")
        line = " ".join(first.split())
        return line if len(line) <= 60 else line[:57] + "..."


class ConversationStore:
    """One folder of JSON files for one workspace; a file that cannot be read is left alone and not listed."""

    def __init__(self, roots: Sequence[Path]) -> None:
        key = "\0".join(sorted(str(root) for root in roots))
        self.folder = paths.home() / "chats" / hashlib.sha256(key.encode()).hexdigest()[:16]

    def new(self) -> Conversation:
        """An empty conversation, on disk only once it is saved."""
        return Conversation(uuid.uuid4().hex[:12])

    def get(self, conversation_id: str) -> Conversation:
        """Read a conversation, by its id or as `last`. Raises `CodeFaceError` if there is none."""
        if conversation_id == "last":
            newest = self.list()
            if not newest:
                raise CodeFaceError("There is no conversation here yet.", kind="no_conversation")
            return newest[0]
        conversation = self._read(self._file(conversation_id))
        if conversation is None:
            raise CodeFaceError(
                "There is no such conversation; it may have been deleted.", kind="no_conversation"
            )
        return conversation

    def list(self) -> list[Conversation]:
        """All conversations in which something was said, newest first."""
        found = [c for file in self.folder.glob("*.json") if (c := self._read(file)) is not None and c.turns]
        return sorted(found, key=lambda conversation: -conversation.updated)

    def save(self, conversation: Conversation) -> None:
        """Write at once, so that a crash leaves the old or the new one."""
        conversation.updated = time.time()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self.folder, suffix=".tmp", delete=False
        ) as file:
            json.dump(asdict(conversation), file, ensure_ascii=False)
        Path(file.name).replace(self._file(conversation.id))

    def delete(self, conversation_id: str) -> None:
        """Delete a conversation for good, its document too; one that is gone already is fine."""
        self._file(conversation_id).unlink(missing_ok=True)
        self.document(conversation_id).unlink(missing_ok=True)

    def document(self, conversation_id: str) -> Path:
        """The Markdown file that shows a conversation to editors without a chat panel; it need not exist."""
        return self._file(conversation_id).with_name(f"chat-{conversation_id}.md")

    def of_document(self, path: str | None) -> Conversation | None:
        """The conversation that a chat document of this workspace shows, None for any other file."""
        file = Path(path or "")
        name = file.stem.removeprefix("chat-")
        if not _ID.fullmatch(name) or file.resolve() != self.document(name).resolve():
            return None
        return self._read(self._file(name)) or Conversation(name)

    def _file(self, conversation_id: str) -> Path:
        if not _ID.fullmatch(conversation_id):
            raise CodeFaceError(
                "There is no such conversation; it may have been deleted.", kind="no_conversation"
            )
        return self.folder / f"{conversation_id}.json"

    def _read(self, file: Path) -> Conversation | None:
        try:
            data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            turns = [
                Turn(t["role"], t["content"], t["prompt"], tuple(Reference(**r) for r in t["references"]))
                for t in data["turns"]
            ]
            return Conversation(data["id"], turns, float(data["updated"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the conversation %s cannot be read: %s", file.name, type(error).__name__)
            return None
