"""Repairs are applied exactly, and no wrong answer ever breaks a file.

Every breakage is one line of a real file. The scripted model answers from what it was shown, so a region that was cut
wrongly, a lost indentation or a stray blank would show as a difference from the original file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from codeface_lsp.assist.edits import EditJobs, EditRequest, Problemed
from codeface_lsp.context import syntax
from codeface_lsp.endpoints.types import ChatRequest, ModelCard
from codeface_lsp.errors import EditRefused
from codeface_lsp.prompting import code_blocks
from codeface_lsp.settings import Settings
from codeface_lsp.text import edits
from codeface_lsp.workspace.workspace import Workspace
from tests.scripted import ScriptedEndpoint
from tests.unit.assist.conftest import document
from tests.unit.assist.edits.breakages import Breakage, breakages

BREAKAGES = breakages()


def request_for(breakage: Breakage, workspace: Workspace) -> EditRequest:
    snapshot = document(breakage.broken, breakage.language, root=workspace.roots[0])
    start = snapshot.lines.starts[breakage.line]
    end = snapshot.lines.line_end(breakage.line)
    problem = Problemed(start, end, f"line {breakage.line + 1}: [checker] something is wrong here")
    return EditRequest("fix", snapshot, start, end, [problem])


async def repaired(
    breakage: Breakage, endpoint: ScriptedEndpoint, workspace: Workspace, settings: Settings
) -> str:
    request = request_for(breakage, workspace)
    proposal = await EditJobs(endpoint, workspace, settings).propose(request)
    assert proposal.snapshot.version == request.snapshot.version
    return edits.apply(breakage.broken, proposal.edits)


def test_there_are_enough_breakages_of_every_kind() -> None:
    assert len(BREAKAGES) >= 200
    kinds = Counter((b.language, b.kind) for b in BREAKAGES)
    for language in ("python", "javascript", "go"):
        for kind in ("bracket", "opener", "name", "order"):
            assert kinds[language, kind] >= 2, (language, kind)
    assert kinds["python", "import"] >= 3 and kinds["go", "import"] >= 1


async def test_every_right_answer_is_applied_exactly(workspace: Workspace, settings: Settings) -> None:
    """With a model that sees large functions whole, and one that sees only a window of them."""
    wrong = []
    for number, breakage in enumerate(BREAKAGES):
        card = ModelCard("scripted", context_tokens=(8192, 2048)[number % 2], chat=True)
        endpoint = ScriptedEndpoint(breakage.answer, card=card)
        try:
            exact = await repaired(breakage, endpoint, workspace, settings) == breakage.original
        except EditRefused as refusal:
            exact = False
            wrong.append((breakage.kind, breakage.language, breakage.line, refusal.message))
        if not exact:
            wrong.append((breakage.kind, breakage.language, breakage.line, "differs"))
        if len(endpoint.requests) != 1:
            wrong.append((breakage.kind, breakage.language, breakage.line, "asked twice"))
    assert wrong == []


Wrong = Callable[[str, str], str]
"""From the right code and the language to a wrong answer."""


def fence(code: str, language: str) -> str:
    return f"```{language}\n{code}\n```"


WRONG: dict[str, Wrong] = {
    "nothing": lambda code, language: "",
    "prose": lambda code, language: "You should add the missing bracket in the line that was reported.",
    "a refusal": lambda code, language: "I'm sorry, but I cannot help with that.",
    "an empty block": lambda code, language: fence("", language),
    "another language": lambda code, language: fence("SELECT * FROM users;", "sql"),
    "cut in the middle": lambda code, language: f"```{language}\n{code[: len(code) // 2]}",
    "half of it, closed": lambda code, language: fence(code[: len(code) // 2], language),
    "one bracket more": lambda code, language: fence(code.rstrip() + "\n)", language),
    "a brace more": lambda code, language: fence(code.rstrip() + "\n}", language),
    "an elision": lambda code, language: fence(
        code.splitlines()[0] + "\n    # ... rest of the code ...", language
    ),
    "only its first line": lambda code, language: fence(code.splitlines()[0], language),
    "all brackets gone": lambda code, language: fence(code.replace("(", "").replace("{", ""), language),
    "a diff": lambda code, language: fence(
        "--- a\n+++ b\n@@ -1 +1 @@\n-" + code.splitlines()[0] + "\n+x", language
    ),
    "conflict markers": lambda code, language: fence(
        f"<<<<<<< ours\n{code}\n=======\nx\n>>>>>>> theirs", language
    ),
    "something else altogether": lambda code, language: fence("print('hello')", language),
    "JSON": lambda code, language: fence('{"fixed": true, "code": [}', language),
    "the same again, twice": lambda code, language: fence(f"{code}\n\n{code}", language),
    "a quote that never ends": lambda code, language: fence(code.rstrip() + '\n"""`', language),
    "line numbers": lambda code, language: fence(
        "\n".join(f"{n}: {line}" for n, line in enumerate(code.splitlines(), 1)), language
    ),
    "the prompt's own words": lambda code, language: fence(
        "Correct this code from `main.py`.\n" + code, language
    ),
    "crooked indentation": lambda code, language: fence(
        "\n".join("   " * (n % 3) + line + " (" for n, line in enumerate(code.splitlines())), language
    ),
}


def test_wrong_answers_come_in_at_least_twenty_ways() -> None:
    assert len(WRONG) >= 20


@pytest.mark.parametrize("way", WRONG)
async def test_no_wrong_answer_breaks_a_file(way: str, workspace: Workspace, settings: Settings) -> None:
    """Applied or refused: what comes out has no syntax error that the file did not have."""
    for breakage in BREAKAGES[::25]:

        def answer(request: ChatRequest | object, breakage: Breakage = breakage) -> str:
            right = code_blocks.extract(breakage.answer(_first(request)))[0].code
            return WRONG[way](right.rstrip("\n"), breakage.language)

        endpoint = ScriptedEndpoint(answer)
        try:
            after = await repaired(breakage, endpoint, workspace, settings)
        except EditRefused as refusal:
            assert len(endpoint.requests) == 2, "an answer that cannot be used gets one more try"
            assert refusal.message.count(". ") == 0 and refusal.message.endswith(".")
        else:
            assert syntax.parses(after, breakage.language), (way, breakage.kind, breakage.line)


def _first(request: ChatRequest | object) -> ChatRequest:
    assert isinstance(request, ChatRequest)
    return ChatRequest(request.messages[:2])


async def test_the_second_try_is_told_what_was_wrong(workspace: Workspace, settings: Settings) -> None:
    breakage = next(b for b in BREAKAGES if b.kind == "bracket")
    endpoint = ScriptedEndpoint("I would add a bracket.", lambda request: breakage.answer(_first(request)))
    assert await repaired(breakage, endpoint, workspace, settings) == breakage.original
    retry = endpoint.requests[1]
    assert isinstance(retry, ChatRequest)
    assert "holds no code block" in retry.messages[-1].content
    assert "I would add a bracket." in retry.messages[-1].content
