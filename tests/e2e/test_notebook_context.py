"""A notebook's cells are one document to the model: asked through `codeface/context`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.lsp_client import LspClient, language_server

ENVIRON = {"CODEFACE_ENGINE__AUTOSTART": "false", "CODEFACE_CONTEXT__INDEX": "false"}
NOTEBOOK = "file:///project/n.ipynb"
CELLS = [f"vscode-notebook-cell:/project/n.ipynb#{number}" for number in range(3)]


def document(number: int, text: str) -> dict[str, Any]:
    return {"uri": CELLS[number], "languageId": "python", "version": 1, "text": text}


async def prefix(client: LspClient, number: int, character: int) -> str:
    place = {"textDocument": {"uri": CELLS[number]}, "position": {"line": 0, "character": character}}
    return str((await client.request("codeface/context", place))["prefix"])


async def test_cells_join_change_and_move(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        await client.initialize()
        cells = [{"kind": 2, "document": CELLS[0]}, {"kind": 2, "document": CELLS[1]}]
        client.notify(
            "notebookDocument/didOpen",
            {
                "notebookDocument": {
                    "uri": NOTEBOOK,
                    "notebookType": "jupyter-notebook",
                    "version": 1,
                    "cells": cells,
                },
                "cellTextDocuments": [document(0, "radius = 3"), document(1, "area = ")],
            },
        )
        assert await prefix(client, 1, 7) == "radius = 3\n\narea = "
        edit = {
            "range": {"start": {"line": 0, "character": 9}, "end": {"line": 0, "character": 10}},
            "text": "42",
        }
        changed = {"document": {"uri": CELLS[0], "version": 2}, "changes": [edit]}
        notebook = {"uri": NOTEBOOK, "version": 2}
        client.notify(
            "notebookDocument/didChange",
            {"notebookDocument": notebook, "change": {"cells": {"textContent": [changed]}}},
        )
        assert await prefix(client, 1, 7) == "radius = 42\n\narea = "
        structure = {
            "array": {"start": 0, "deleteCount": 0, "cells": [{"kind": 2, "document": CELLS[2]}]},
            "didOpen": [document(2, "import math")],
        }
        client.notify(
            "notebookDocument/didChange",
            {"notebookDocument": notebook | {"version": 3}, "change": {"cells": {"structure": structure}}},
        )
        assert await prefix(client, 1, 7) == "import math\n\nradius = 42\n\narea = "
        assert await client.shutdown() == 0
