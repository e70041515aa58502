"""Edits that can be trusted: ask the model, vet the answer, try once more with the error, then refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from codeface_lsp.assist import ability, answers, formatting, target
from codeface_lsp.assist.answers import Answer
from codeface_lsp.assist.edits import blocks, candidate, imports, region, test_files, vetting
from codeface_lsp.assist.edits.candidate import Candidate, Problem
from codeface_lsp.assist.edits.proposal import Proposal
from codeface_lsp.assist.edits.region import Region
from codeface_lsp.assist.edits.tasks import TITLES, EditRequest, variables
from codeface_lsp.assist.edits.test_files import TestFile
from codeface_lsp.assist.edits.tracking import Follower, TrackedRange
from codeface_lsp.context.parts import TokenCounter
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.endpoints.types import ChatRequest, Endpoint, Message
from codeface_lsp.errors import DocumentError, EditRefused
from codeface_lsp.prompting import templates
from codeface_lsp.settings import Settings
from codeface_lsp.text import edits as text_edits
from codeface_lsp.text.diff import minimal_edits
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace import redaction
from codeface_lsp.workspace.workspace import Workspace

_DEFINITION_TOKENS = 500
_EDIT_TEMPERATURE = 0.0
"""Edits are greedy: the same question gives the same edit, and our engine can draft from the old text."""

Result = TypeVar("Result")
FollowerT = TypeVar("FollowerT", bound=Follower)
Check = Callable[[Answer], Result]


class EditJobs:
    """The edits that run in one window."""

    def __init__(self, endpoint: Endpoint, workspace: Workspace, settings: Settings) -> None:
        self._endpoint = endpoint
        self._workspace = workspace
        self._settings = settings
        self._followers: list[Follower] = []

    def use(self, settings: Settings) -> None:
        """Put new settings in force."""
        self._settings = settings

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        """A document moved on; `edits`, applied one after the other, lead to it."""
        for follower in list(self._followers):
            if follower.snapshot.uri == snapshot.uri:
                follower.changed(snapshot, edits)

    def closed(self, uri: str) -> None:
        """A document was closed."""
        for follower in list(self._followers):
            if follower.snapshot.uri == uri:
                follower.closed()

    @contextmanager
    def following(self, follower: FollowerT) -> Iterator[FollowerT]:
        """Let `follower` hear what happens to its document during the block."""
        self._followers.append(follower)
        try:
            yield follower
        finally:
            self._followers.remove(follower)

    async def propose(self, request: EditRequest) -> Proposal:
        """Ask for an edit and vet it; cancelling stops the model.

        Raises `EditRefused` if no answer can be trusted or the document moved on inside the scope, `DocumentError` if
        there is nothing to edit or no model may see the file, and `EndpointError`.
        """
        snapshot = request.snapshot
        target.check_allowed(self._workspace, snapshot)
        model = await ability.chat_model(self._endpoint, self._settings)
        model.require()
        counter = open_counter(self._settings, "chat")
        budget = max(128, model.context_tokens // 3)
        place = region.around(snapshot, self._workspace.tree(snapshot), *_span(request), budget, counter)
        if not snapshot.text[place.start : place.end].strip():
            raise DocumentError("There is no code at the cursor; select some and try again.")
        if request.task == "tests":
            return await self._tests(request, model, place, counter)
        with self.following(TrackedRange(snapshot, place.start, place.end)) as tracked:
            prompt, values = variables(
                request,
                redaction.redact_range(snapshot.text, place.start, place.end),
                target.shown_path(self._workspace, snapshot),
                self._definitions(snapshot, place, counter),
            )
            chat = self._request(templates.render(prompt, **values), snapshot, model)
            return await self._ask(
                chat, request, lambda answer: self._vetted(answer, request, place, tracked)
            )

    def rebased(self, proposal: Proposal, newest: Snapshot) -> Proposal | None:
        """The proposal for a newer snapshot; None if it is not newer. Raises `EditRefused` if it no longer fits."""
        if newest.version == proposal.snapshot.version or not proposal.edits:
            return None
        first = min(edit.start for edit in proposal.edits)
        tracked = TrackedRange(proposal.snapshot, first, max(edit.end for edit in proposal.edits))
        tracked.move_to(newest)
        tracked.check()
        shift = tracked.start - first
        moved = tuple(TextEdit(edit.start + shift, edit.end + shift, edit.text) for edit in proposal.edits)
        return Proposal(proposal.title, newest, moved)

    def apply_block(self, snapshot: Snapshot, code: str, start: int, end: int) -> Proposal:
        """Put a code block of an answer where the definition of its name stands, else over `[start, end)`.

        Raises `EditRefused` if it matches nothing there or would break the file.
        """
        target.check_allowed(self._workspace, snapshot)
        code = formatting.formatted(code, "x\n", self._settings.chat.formatter)
        return blocks.matched(self._workspace.tree(snapshot), snapshot, code, start, end)

    def insert_block(self, snapshot: Snapshot, code: str, offset: int) -> Proposal:
        """Insert a code block of an answer below the line of `offset`."""
        target.check_allowed(self._workspace, snapshot)
        code = formatting.formatted(code, "x\n", self._settings.chat.formatter)
        return blocks.inserted(snapshot, code, offset)

    def _vetted(self, answer: Answer, request: EditRequest, place: Region, tracked: TrackedRange) -> Proposal:
        """The proposal for the document as it is now. Raises `Problem`, and `EditRefused` if it moved on."""
        tracked.check()
        now, language = tracked.snapshot, request.snapshot.language
        old = now.text[tracked.start : tracked.end]
        found = candidate.from_answer(answer, place, old, now.text, language)
        found = Candidate(formatting.formatted(found.code, old, self._settings.chat.formatter), found.imports)
        if request.task == "docstring":
            vetting.check_only_documented(old, found.code, language)
        elif request.task in ("fix", "fix_all"):
            vetting.check_small(old, found.code)
        after = text_edits.apply(now.text, [TextEdit(tracked.start, tracked.end, found.code)])
        if (added := imports.insertion(after, list(found.imports), language)) is not None:
            after = text_edits.apply(after, [added])
        vetting.check_syntax(now.text, after, found.code, language)
        return Proposal(TITLES[request.task], now, tuple(minimal_edits(now.text, after)))

    async def _tests(
        self, request: EditRequest, model: ability.ChatModel, place: Region, counter: TokenCounter
    ) -> Proposal:
        snapshot = request.snapshot
        if snapshot.path is None:
            raise DocumentError("Save the file first, so that its tests get a place.", kind="untitled")
        source = Path(snapshot.path)
        file = test_files.find(source, self._workspace, snapshot.language)
        prompt = templates.render(
            "tests",
            path=self._workspace.relative(source),
            language=snapshot.language,
            code=redaction.redact_range(snapshot.text, place.start, place.end),
            context=self._definitions(snapshot, place, counter),
            existing="".join((file.text or "").splitlines(keepends=True)[:60]),
            **file.variables(self._workspace),
        )
        chat = self._request(prompt, snapshot, model)
        return await self._ask(chat, request, lambda answer: _new_tests(answer, file, snapshot))

    async def _ask(self, chat: ChatRequest, request: EditRequest, check: Check[Result]) -> Result:
        """Ask; an answer that cannot be used gets one more try with what is wrong with it."""
        answer = await answers.collect(answers.stream(self._endpoint, chat))
        try:
            return check(answer)
        except Problem as problem:
            retry = templates.render(
                "retry", language=request.snapshot.language, answer=answer.text, problem=f"it {problem}."
            )
        again = replace(chat, messages=[*chat.messages, Message("user", retry)])
        second = await answers.collect(answers.stream(self._endpoint, again))
        try:
            return check(second)
        except Problem as problem:
            raise EditRefused(
                f"The edit was not applied, because the model's answer {problem}; "
                "select less code, say more precisely what to do, or use a larger model."
            ) from problem

    def _request(self, prompt: str, snapshot: Snapshot, model: ability.ChatModel) -> ChatRequest:
        system = answers.system_prompt("", snapshot.language)
        asked = answers.request([system, Message("user", prompt)], self._settings, model)
        return replace(asked, temperature=_EDIT_TEMPERATURE, draft_from=snapshot.text)

    def _definitions(self, snapshot: Snapshot, place: Region, counter: TokenCounter) -> Sequence[object]:
        return target.definitions(self._workspace, snapshot, place.end, _DEFINITION_TOKENS, counter)


def _span(request: EditRequest) -> tuple[int, int]:
    """What a request is about: its diagnostics, clipped to the document, else its range."""
    size = len(request.snapshot.text)
    if request.task not in ("fix", "fix_all") or not request.diagnostics:
        return min(request.start, size), min(request.end, size)
    starts = [min(p.start, size) for p in request.diagnostics]
    return min(starts), max(max(min(p.end, size) for p in request.diagnostics), min(starts))


def _new_tests(answer: Answer, file: TestFile, snapshot: Snapshot) -> Proposal:
    code = candidate.whole_block(answer, snapshot.language)
    before = file.text or ""
    joined = before if not before or before.endswith("\n") else before + "\n"
    after = f"{joined}\n\n{code}" if joined.strip() else code
    vetting.check_syntax(before, after, code, snapshot.language)
    return Proposal(
        TITLES["tests"], snapshot, new_file=file.path, new_text=after[len(before) :], existing=file.text
    )
