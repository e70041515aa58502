"""initialize, initialized, shutdown: services are made from the settings, the engine starts, the index fills."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.uris import to_fs_path

from codeface_lsp.assist import services
from codeface_lsp.lsp import configuration, status

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer


def register(server: CodeFaceServer) -> None:
    """Register the handlers."""

    @server.feature(types.INITIALIZE)
    def initialize(ls: CodeFaceServer, params: types.InitializeParams) -> None:
        ls.configuration = configuration.initial(params.initialization_options)
        settings, ls.startup_problem = ls.configuration.load()
        ls.roots = _roots(params)
        ls.services = services.build(settings, ls.roots)
        ls.use_logging(settings)

    @server.feature(types.INITIALIZED)
    async def initialized(ls: CodeFaceServer, params: types.InitializedParams) -> None:
        if ls.startup_problem:
            ls.show_error(ls.startup_problem)
        ls.spawn(configuration.pull(ls))
        ls.spawn(configuration.watch_file(ls))
        ls.spawn(status.follow_endpoint(ls))
        ls.spawn(status.index_workspace(ls))
        _watch_files(ls)

    @server.feature(types.SHUTDOWN)
    async def shutdown(ls: CodeFaceServer, params: None) -> None:
        await ls.aclose()


def _roots(params: types.InitializeParams) -> list[Path]:
    uris = [folder.uri for folder in params.workspace_folders or []]
    if not uris and params.root_uri:
        uris = [params.root_uri]
    found = [path for uri in uris if (path := to_fs_path(uri))]
    if not found and params.root_path:
        found = [params.root_path]
    return [Path(path) for path in found]


def _watch_files(ls: CodeFaceServer) -> None:
    """Let the client watch files where it can; elsewhere the workspace watches by itself."""
    workspace = ls.client_capabilities.workspace
    watching = workspace.did_change_watched_files if workspace else None
    if watching is None or not watching.dynamic_registration:
        ls.spawn(ls.services.workspace.watch())
        return
    options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher("**/*")])
    registration = types.Registration("codeface-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
    ls.client_register_capability(types.RegistrationParams([registration]))
