"""Everything that the handlers and the command line call, wired together once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codeface_lsp.assist.ability import Notices
from codeface_lsp.assist.chat import ChatService
from codeface_lsp.assist.edits import EditJobs
from codeface_lsp.assist.explain import Explainer
from codeface_lsp.assist.inline import InlineCompleter
from codeface_lsp.assist.stats import Statistics
from codeface_lsp.endpoints.router import Router, open_endpoint
from codeface_lsp.settings import Settings
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace


@dataclass(slots=True)
class Services:
    """The use cases of one window (or of one command)."""

    settings: Settings
    endpoint: Router
    workspace: Workspace
    completer: InlineCompleter
    explainer: Explainer
    edits: EditJobs
    chat: ChatService
    stats: Statistics

    def document_opened(self, snapshot: Snapshot) -> None:
        """A document appeared."""
        self.workspace.opened(snapshot)
        self.completer.opened(snapshot)

    def document_changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        """A document moved on; each edit refers to the text that the one before it left."""
        self.workspace.changed(snapshot, edits)
        self.completer.changed(snapshot, edits)
        self.edits.changed(snapshot, edits)

    def document_closed(self, uri: str) -> None:
        """A document went away."""
        self.completer.closed(uri)
        self.edits.closed(uri)
        self.workspace.closed(uri)

    def use(self, settings: Settings) -> None:
        """Put new settings in force everywhere; what runs goes on with the old ones."""
        self.settings = settings
        for part in (
            self.workspace,
            self.completer,
            self.explainer,
            self.edits,
            self.chat,
            self.stats,
            self.endpoint,
        ):
            part.use(settings)

    async def aclose(self) -> None:
        """Stop everything, finish what must be written."""
        await self.completer.aclose()
        await self.workspace.aclose()
        await self.endpoint.aclose()
        self.stats.close()


def build(settings: Settings, roots: Sequence[Path]) -> Services:
    """Compose the services; nothing is started and no model is loaded."""
    endpoint = open_endpoint(settings)
    workspace = Workspace(roots, settings)
    stats = Statistics(settings)
    notices = Notices()
    return Services(
        settings=settings,
        endpoint=endpoint,
        workspace=workspace,
        completer=InlineCompleter(endpoint, workspace, settings, stats),
        explainer=Explainer(endpoint, workspace, settings, notices),
        edits=EditJobs(endpoint, workspace, settings),
        chat=ChatService(endpoint, workspace, settings, notices),
        stats=stats,
    )
