from __future__ import annotations

from pathlib import Path

from codeface_lsp import paths
from codeface_lsp.models.documentation import markdown
from codeface_lsp.models.registry import read
from codeface_lsp.prompting.families import FAMILIES


def test_the_document_is_what_the_code_says(tmp_path: Path) -> None:
    written = (paths.shipped("config").parent / "docs" / "MODELS.md").read_text(encoding="utf-8")
    assert written == markdown(read(tmp_path / "none.yaml")), (
        "run `python -m codeface_lsp.models.documentation > docs/MODELS.md`"
    )


def test_it_has_every_family_and_every_name(tmp_path: Path) -> None:
    registry = read(tmp_path / "none.yaml")
    text = markdown(registry)
    assert all(f"| `{name}` |" in text for name in [*FAMILIES, *registry.entries])
