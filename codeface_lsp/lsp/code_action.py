"""`textDocument/codeAction`: what CodeFace can do here, told from the parse tree alone.

Each action carries a command; `execute_command` starts the job. No `codeAction/resolve`: it has no progress, and some
editors time out on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from codeface_lsp.context import scopes
from codeface_lsp.errors import DocumentError
from codeface_lsp.lsp import chat_document
from codeface_lsp.text.snapshot import Snapshot

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

_REWRITE = "refactor.rewrite.codeface"
_STUB = re.compile(
    r"\b(TODO|FIXME)\b|NotImplemented|^\s*(pass|\.\.\.)\s*$|\bunimplemented!|\btodo!|\bnot implemented\b",
    re.MULTILINE,
)
_MOST_DIAGNOSTICS = 3


def register(server: CodeFaceServer) -> None:
    """Register the handler."""
    kinds: list[types.CodeActionKind | str] = [
        types.CodeActionKind.QuickFix,
        types.CodeActionKind.RefactorRewrite,
        "refactor.codeface",
        "codeface",
    ]

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=kinds))
    def code_action(ls: CodeFaceServer, params: types.CodeActionParams) -> list[types.CodeAction]:
        try:
            snapshot = ls.snapshot(params.text_document.uri)
        except DocumentError:
            return []
        if ls.services.workspace.excluded(snapshot.path):
            return []
        offered = (
            chat_document.actions(ls, snapshot, params.range)
            if chat_document.is_chat(snapshot)
            else _actions(ls, snapshot, params)
        )
        only = [str(getattr(kind, "value", kind)) for kind in params.context.only or ("",)]
        return [action for action in offered if any(_within(str(action.kind), kind) for kind in only)]


def _within(kind: str, wanted: str) -> bool:
    """Whether a kind is the wanted one or below it; everything is below the empty one."""
    return not wanted or kind == wanted or kind.startswith(wanted + ".")


def _actions(
    ls: CodeFaceServer, snapshot: Snapshot, params: types.CodeActionParams
) -> Iterator[types.CodeAction]:
    diagnostics = list(params.context.diagnostics)
    for diagnostic in diagnostics[:_MOST_DIAGNOSTICS]:
        title = f"CodeFace: fix “{_short(_message(diagnostic))}”"
        yield _action(title, "quickfix", "codeface.fix", snapshot, params, [diagnostic])
    if len(diagnostics) > 1:
        yield _action(
            "CodeFace: fix all problems here", "quickfix", "codeface.fixAll", snapshot, params, diagnostics
        )
    start, end = ls.offset(snapshot, params.range.start), ls.offset(snapshot, params.range.end)
    tree = ls.services.workspace.tree(snapshot)
    scope = scopes.smallest(tree, snapshot.text, min(start, end), max(start, end))
    code = snapshot.text[scope.start : scope.end]
    if not code.strip():
        return
    name = f" `{scope.name}`" if scope.name and scope.kind in ("function", "class") else ""
    if _STUB.search(code[:20_000]):
        yield _action(
            f"CodeFace: complete{name or ' this stub'}",
            f"{_REWRITE}.complete",
            "codeface.completeStub",
            snapshot,
            params,
        )
    yield _action(f"CodeFace: explain{name}", "codeface.explain", "codeface.explain", snapshot, params)
    if scope.kind in ("function", "class"):
        verb = "rewrite the documentation of" if scope.docstring else "document"
        yield _action(
            f"CodeFace: {verb}{name}", f"{_REWRITE}.docstring", "codeface.docstring", snapshot, params
        )
        if snapshot.path is not None:
            yield _action(
                f"CodeFace: write tests for{name or ' this code'}",
                "refactor.codeface.tests",
                "codeface.tests",
                snapshot,
                params,
            )
    yield _action(
        f"CodeFace: simplify{name or ' this code'}",
        f"{_REWRITE}.simplify",
        "codeface.simplify",
        snapshot,
        params,
    )
    yield _action(
        f"CodeFace: refactor{name or ' this code'} as I say...",
        f"{_REWRITE}.refactor",
        "codeface.refactor",
        snapshot,
        params,
    )


def _action(
    title: str,
    kind: str,
    command: str,
    snapshot: Snapshot,
    params: types.CodeActionParams,
    diagnostics: list[types.Diagnostic] | None = None,
) -> types.CodeAction:
    argument: dict[str, Any] = {"uri": snapshot.uri, "version": snapshot.version, "range": params.range}
    if diagnostics:
        argument["diagnostics"] = diagnostics
    return types.CodeAction(
        title, kind, diagnostics, command=types.Command(title, command, arguments=[argument])
    )


def _message(diagnostic: types.Diagnostic) -> str:
    message: Any = diagnostic.message  # LSP 3.18 lets it be MarkupContent
    return message if isinstance(message, str) else str(getattr(message, "value", message))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 50 else line[:47] + "..."
