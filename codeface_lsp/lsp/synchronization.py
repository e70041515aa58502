"""Documents opened, saved and closed, notebooks, watched files. (Changes are applied in `protocol.py`.)"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.uris import to_fs_path

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer


def register(server: CodeFaceServer) -> None:
    """Register the handlers."""

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(ls: CodeFaceServer, params: types.DidOpenTextDocumentParams) -> None:
        _opened(ls, params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(ls: CodeFaceServer, params: types.DidCloseTextDocumentParams) -> None:
        ls.services.document_closed(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE, types.SaveOptions(include_text=False))
    def did_save(ls: CodeFaceServer, params: types.DidSaveTextDocumentParams) -> None:
        if path := to_fs_path(params.text_document.uri):
            ls.services.workspace.saved(Path(path))

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def did_open_notebook(ls: CodeFaceServer, params: types.DidOpenNotebookDocumentParams) -> None:
        for cell in params.cell_text_documents:
            _opened(ls, cell.uri)
        _notebook(ls, params.notebook_document.uri)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def did_change_notebook(ls: CodeFaceServer, params: types.DidChangeNotebookDocumentParams) -> None:
        cells = params.change.cells
        if cells is None:
            return
        for gone in (cells.structure.did_close or []) if cells.structure else []:
            ls.services.document_closed(gone.uri)
        for new in (cells.structure.did_open or []) if cells.structure else []:
            _opened(ls, new.uri)
        for changed in cells.text_content or []:
            ls.services.document_changed(ls.snapshot(changed.document.uri), [])
        _notebook(ls, params.notebook_document.uri)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def did_close_notebook(ls: CodeFaceServer, params: types.DidCloseNotebookDocumentParams) -> None:
        for cell in params.cell_text_documents:
            ls.services.document_closed(cell.uri)
        ls.services.workspace.notebook_closed(params.notebook_document.uri)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_watched_files(ls: CodeFaceServer, params: types.DidChangeWatchedFilesParams) -> None:
        paths = [Path(path) for change in params.changes if (path := to_fs_path(change.uri))]
        ls.services.workspace.files_changed(paths)


def _opened(ls: CodeFaceServer, uri: str) -> None:
    document = ls.protocol.workspace.open_document(uri)
    if document is not None:
        ls.services.document_opened(document.snapshot())


def _notebook(ls: CodeFaceServer, uri: str) -> None:
    """Tell the workspace which cells a notebook has, in their order."""
    notebook = ls.protocol.workspace.get_notebook_document(notebook_uri=uri)
    if notebook is not None:
        cells = [cell.document for cell in notebook.cells if cell.kind == types.NotebookCellKind.Code]
        ls.services.workspace.notebook(uri, to_fs_path(uri), cells)
