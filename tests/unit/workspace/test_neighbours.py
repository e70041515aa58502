"""Which whole files the engine may learn from beside the one that is typed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeface_lsp.settings import Settings, load
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.neighbours import (
    LONGEST_FILE,
    MOST_CHARS,
    MOST_FILES,
    Neighbour,
    NeighbourTexts,
    nearest,
)
from codeface_lsp.workspace.workspace import Workspace

GITHUB_TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"


def anything(file: Path) -> bool:
    return True


def test_open_in_the_folder_comes_before_imported_open_elsewhere_and_the_folder_s_rest() -> None:
    opened = [("web/last.py", ""), ("shop/open.py", ""), ("shop/main.py", "")]
    folder = ["shop/aa.py", "shop/main_test.py", "shop/open.py", "shop/notes.md"]
    found = nearest("shop/main.py", Path("/w"), opened, ["core/imported.py"], folder, anything)
    assert [each.name for each in found] == [
        "shop/open.py",
        "core/imported.py",
        "web/last.py",
        "shop/main_test.py",
        "shop/aa.py",
    ]


def test_what_no_model_may_see_and_more_than_a_dozen_are_left_out() -> None:
    folder = [f"file{number:02}.py" for number in range(40)]
    found = nearest("main.py", Path("/w"), [], [], folder, lambda file: file.name != "file03.py")
    assert len(found) == MOST_FILES
    assert "file03.py" not in {each.name for each in found}


def test_texts_are_masked_bounded_and_read_again_only_when_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, large = tmp_path / "secret.py", tmp_path / "large.py"
    secret.write_text(f"token = '{GITHUB_TOKEN}'\n")
    large.write_text("x = 1\n" * MOST_CHARS)
    gone = Neighbour("gone.py", tmp_path / "gone.py")
    others = [Neighbour(f"{number}.py", large, "y = 2\n" * LONGEST_FILE) for number in range(5)]
    texts = NeighbourTexts()
    read = texts.read([Neighbour("secret.py", secret), gone, Neighbour("large.py", large), *others])
    assert "REDACTED" in read["secret.py"] and GITHUB_TOKEN not in str(read)
    assert len(read["large.py"]) == LONGEST_FILE
    assert sum(map(len, read.values())) <= MOST_CHARS
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda file: b"never read")
        again = texts.read([Neighbour("secret.py", secret), Neighbour("large.py", large)])
    assert again["secret.py"] is read["secret.py"] and again["large.py"] is read["large.py"]
    secret.write_text("token = None\n")
    assert texts.read([Neighbour("secret.py", secret)])["secret.py"] == "token = None\n"


def test_the_editor_s_text_counts_and_ignored_or_unwanted_files_do_not(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("build/\nlocal.py\n")

    def document(name: str, text: str) -> Snapshot:
        file = tmp_path / name
        return Snapshot(file.as_uri(), str(file), "python", 1, text)

    workspace = Workspace([tmp_path], load({"context": {"index": False}}))
    main = document("main.py", "import util\n")
    for each in (main, document("util.py", "as in the editor\n"), document("local.py", "ignored\n")):
        workspace.opened(each)
    found = workspace.neighbours(main)
    assert [(each.name, each.text) for each in found] == [("util.py", "as in the editor\n")]
    workspace.use(Settings.model_validate({"context": {"enabled": False}}))
    assert workspace.neighbours(main) == []
    assert workspace.neighbours(Snapshot("untitled:1", None, "python", 1, "")) == []
