"""Explains a piece of code, streamed; what the parse tree knows for certain stands in where no model can chat."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from codeface_lsp.assist import ability, answers, facts, target
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.endpoints.types import ChatRequest, Chunk, Endpoint, Message
from codeface_lsp.prompting import templates
from codeface_lsp.prompting.languages import answer_language, code_of
from codeface_lsp.settings import Settings
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace import redaction
from codeface_lsp.workspace.workspace import Workspace

_DEFINITION_TOKENS = 600


class Explainer:
    """The use case behind `codeface/explain`, the command and the terminal."""

    def __init__(
        self,
        endpoint: Endpoint,
        workspace: Workspace,
        settings: Settings,
        notices: ability.Notices | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._workspace = workspace
        self._settings = settings
        self._notices = notices or ability.Notices()

    def use(self, settings: Settings) -> None:
        """Put new settings in force."""
        self._settings = settings

    async def explain(
        self, snapshot: Snapshot, start: int, end: int, *, question: str = ""
    ) -> AsyncGenerator[Chunk]:
        """Stream an explanation of `[start, end)`, or of the scope at `start` if the range is empty.

        Ends with a chunk that has a `finish_reason`. Closing the generator stops the model. Raises `DocumentError`
        if no model may see the file or there is no code, and `EndpointError`.
        """
        target.check_allowed(self._workspace, snapshot)
        start, end = target.of_selection(self._workspace.tree(snapshot), snapshot, start, end)
        model = await ability.chat_model(self._endpoint, self._settings)
        if not model.can_chat:
            human = code_of(self._settings.chat.language, question)
            known = self._facts(snapshot, start, end, question)
            yield Chunk(self._notices.facts(model, human, known), finish_reason="stop")
            return
        request, note = self._request(model, snapshot, start, end, question)
        if note:
            yield Chunk(note)
        async with aclosing(answers.stream(self._endpoint, request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _request(
        self, model: ability.ChatModel, snapshot: Snapshot, start: int, end: int, question: str
    ) -> tuple[ChatRequest, str]:
        """The request, and a sentence for the user about what had to be left out."""
        chat = self._settings.chat
        counter = open_counter(self._settings, "chat")
        room = max(256, model.context_tokens - min(chat.max_new_tokens, model.context_tokens // 2) - 400)
        extra = min(_DEFINITION_TOKENS, room // 4)
        code, omitted = target.Room(room - extra, counter).cut(snapshot.text[start:end])
        messages = [
            answers.system_prompt(answer_language(chat.language, question), snapshot.language),
            Message(
                "user",
                templates.render(
                    "explain",
                    path=target.shown_path(self._workspace, snapshot),
                    language=snapshot.language,
                    code=redaction.redact_range(snapshot.text, start, start + len(code)),
                    context=target.definitions(self._workspace, snapshot, end, extra, counter),
                    question=question,
                    facts=self._facts(snapshot, start, end, question),
                ),
            ),
        ]
        note = ""
        if omitted:
            note = (
                f"_The selection is longer than the model's context: its last {omitted} lines "
                "were left out._\n\n"
            )
        return answers.request(messages, self._settings, model), note

    def _facts(self, snapshot: Snapshot, start: int, end: int, question: str) -> str:
        tree = self._workspace.tree(snapshot)
        if tree is None:
            return ""
        human = code_of(self._settings.chat.language, question)
        return facts.markdown(facts.of_range(tree, start, end), snapshot.language, human)
