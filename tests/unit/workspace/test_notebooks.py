from __future__ import annotations

from pathlib import Path

from codeface_lsp.context.parts import Budget
from codeface_lsp.endpoints.token_counter import EstimatedCounter
from codeface_lsp.settings import Settings
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace

COUNTER = EstimatedCounter()


def cell(number: int, text: str, language: str = "python", version: int = 0) -> Snapshot:
    return Snapshot(f"vscode-notebook-cell:/w/n.ipynb#{number}", None, language, version, text)


def notebook() -> Workspace:
    workspace = Workspace([Path("/w")], Settings.model_validate({"context": {"index": False}}))
    cells = [
        cell(0, "import math\nradius = 3"),
        cell(1, "# Prose", "markdown"),
        cell(2, "area = "),
        cell(3, "print(area)"),
    ]
    for each in cells:
        workspace.opened(each)
    workspace.notebook("file:///w/n.ipynb", "/w/n.ipynb", [each.uri for each in cells])
    return workspace


def test_cells_before_are_the_prefix_and_cells_after_the_suffix() -> None:
    parts = notebook().build(cell(2, "area = "), 7, Budget(600, 0, 100), COUNTER)
    assert parts.prefix == "import math\nradius = 3\n\narea = "
    assert parts.suffix.strip() == "print(area)"
    assert parts.path == "n.ipynb"


def test_cells_of_another_language_and_other_documents_stay_apart() -> None:
    workspace = notebook()
    parts = workspace.build(cell(1, "# Prose", "markdown"), 7, Budget(600, 0, 100), COUNTER)
    assert parts.prefix == "# Prose"
    alone = Snapshot("file:///w/a.py", "/w/a.py", "python", 0, "x = ")
    assert workspace.build(alone, 4, Budget(600, 0, 100), COUNTER).prefix == "x = "


def test_cells_that_move_or_go_away_are_followed() -> None:
    workspace = notebook()
    workspace.notebook("file:///w/n.ipynb", "/w/n.ipynb", [cell(3, "").uri, cell(2, "").uri])
    parts = workspace.build(cell(2, "area = "), 7, Budget(600, 0, 100), COUNTER)
    assert parts.prefix == "print(area)\n\narea = " and parts.suffix == ""
    workspace.notebook_closed("file:///w/n.ipynb")
    assert workspace.build(cell(2, "area = "), 7, Budget(600, 0, 100), COUNTER).prefix == "area = "
