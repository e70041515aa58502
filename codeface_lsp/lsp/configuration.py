"""Settings at start, from the client, and on change.

A workspace's answer to `workspace/configuration` counts for harmless keys only: editors merge a repository's own
settings file into it, and opening a folder must never choose a model, an address or a command.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from watchfiles import awatch

from codeface_lsp import paths
from codeface_lsp import settings as layers
from codeface_lsp.errors import CodeFaceError, SettingsError
from codeface_lsp.settings import SECTION, Settings

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

log = logging.getLogger(__name__)


class Configuration:
    """The layers that came over LSP, kept so that each change merges all of them again."""

    def __init__(self, initialization_options: Mapping[str, Any]) -> None:
        self._initial = initialization_options
        self._workspace: Mapping[str, Any] = {}

    def load(self) -> tuple[Settings, str | None]:
        """Settings and a sentence about what is wrong with them; wrong ones fall back to the defaults."""
        try:
            return layers.load(self._initial, workspace=self._workspace), None
        except SettingsError as error:
            return Settings(), f"{error.message} CodeFace uses its defaults until then."

    def take_workspace(self, answer: Any) -> list[str]:
        """Keep what `workspace/configuration` (or didChangeConfiguration) said; return the keys it may not set."""
        self._workspace = answer if isinstance(answer, Mapping) else {}
        return layers.refused_keys(self._workspace)


def initial(options: Any) -> Configuration:
    """Configuration from `initializationOptions`, which may be the section itself or hold it."""
    return Configuration(layers.section(options))


async def pull(ls: CodeFaceServer) -> None:
    """Ask the client for the section, if it can answer, and apply what it says."""
    workspace = ls.client_capabilities.workspace
    if workspace is None or not workspace.configuration:
        return
    params = types.ConfigurationParams([types.ConfigurationItem(section=SECTION)])
    # A late reply to a cancelled wait would break pygls's read loop, hence the shield.
    answer = await asyncio.shield(ls.workspace_configuration_async(params))
    apply(ls, answer[0] if answer else None)


def apply(ls: CodeFaceServer, section: Any) -> None:
    """Merge a workspace's section in and hand the result to the services."""
    refused = ls.configuration.take_workspace(section)
    if refused:
        log.warning("ignored workspace settings that only the user may set: %s", ", ".join(refused))
    reload(ls)


def reload(ls: CodeFaceServer) -> None:
    """Merge all layers again."""
    settings, problem = ls.configuration.load()
    if problem:
        ls.show_error(problem)
        return
    if settings != ls.services.settings:  # most clients push what is in force already
        ls.use(settings)


async def watch_file(ls: CodeFaceServer) -> None:
    """Reload when the user's settings file changes."""
    file = paths.config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    async for changes in awatch(file.parent, recursive=False, step=100):
        if any(path == str(file) for _, path in changes):
            try:
                reload(ls)
            except CodeFaceError as error:
                ls.show_error(error.message)


def register(server: CodeFaceServer) -> None:
    """Register the handler."""

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(
        ls: CodeFaceServer, params: types.DidChangeConfigurationParams
    ) -> None:
        workspace = ls.client_capabilities.workspace
        if workspace is not None and workspace.configuration:
            await pull(ls)
            return
        pushed = params.settings
        apply(ls, pushed.get(SECTION) if isinstance(pushed, Mapping) else None)
