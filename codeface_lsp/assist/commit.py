"""A commit message for what is staged."""

from __future__ import annotations

from pathlib import Path

from codeface_lsp.assist import ability, answers, git, target
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.endpoints.types import Endpoint, Message
from codeface_lsp.errors import CodeFaceError
from codeface_lsp.prompting import code_blocks, templates
from codeface_lsp.prompting.languages import answer_language
from codeface_lsp.settings import Settings
from codeface_lsp.workspace.ignore import IgnoreRules

_SUBJECT = 72


async def message_for(endpoint: Endpoint, settings: Settings, folder: Path) -> str:
    """The message: a subject of at most 72 characters, and a body if there is something to say.

    Raises `DocumentError` if nothing is staged, `EndpointError`, and `CodeFaceError` if the answer is no message.
    """
    model = await ability.chat_model(endpoint, settings)
    model.require()
    room = target.Room(model.context_tokens // 2, open_counter(settings, "chat"))
    diff, _ = room.cut(await git.staged(folder, IgnoreRules([folder]).reason))
    system = answers.system_prompt(answer_language(settings.chat.language, ""), "")
    prompt = templates.render("commit", diff=diff, log=await git.subjects(folder))
    request = answers.request([system, Message("user", prompt)], settings, model)
    answer = await answers.collect(answers.stream(endpoint, request))
    return tidy(answer.text)


def tidy(answer: str) -> str:
    """The message of an answer: out of its code block or quotes, with a subject that fits. Raises `CodeFaceError`."""
    blocks = code_blocks.extract(answer)
    text = (blocks[0].code if blocks else answer).strip()
    if not text:
        raise CodeFaceError("The model wrote no commit message; ask again.", kind="no_message")
    subject, _, body = text.partition("\n")
    subject = subject.removeprefix("Subject:").strip(' "*`').rstrip(".")
    if len(subject) > _SUBJECT:
        cut = subject[: _SUBJECT - 3].rsplit(" ", 1)[0]
        body = f"...{subject[len(cut) :]}\n{body}"
        subject = cut + "..."
    return f"{subject}\n\n{body.strip()}".strip()
