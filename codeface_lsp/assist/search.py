"""Passages of the workspace that a question is about: by words and, where a model for embeddings is set, by meaning."""

from __future__ import annotations

from codeface_lsp.endpoints.types import Endpoint
from codeface_lsp.errors import DocumentError
from codeface_lsp.settings import Settings
from codeface_lsp.workspace.questions import Answer, Embedder
from codeface_lsp.workspace.workspace import Workspace


def embedder(endpoint: Endpoint, settings: Settings) -> Embedder | None:
    """The model for embeddings that is configured; None if there is none."""
    if settings.endpoints:
        serving = next((each for each in settings.endpoints if "embedding" in each.roles), None)
        model = None if serving is None else serving.model or serving.name
    else:
        model = settings.model.embedding
    return None if model is None else Embedder(model, endpoint.embed)


async def passages(workspace: Workspace, question: str, embeds: Embedder | None) -> list[Answer]:
    """The best passages for a question, best first, secrets masked. Raises `DocumentError` if there are none."""
    if not workspace.indexes:
        raise DocumentError("A search needs the symbol index; set `context.index` to true and open a folder.")
    found = await workspace.ask(question, embedder=embeds)
    if found:
        return found
    if not workspace.indexed:
        raise DocumentError("The symbol index is still being built; ask again when that is done.")
    raise DocumentError("Nothing in this workspace matches the question's words; ask in other words.")
