from __future__ import annotations

import os
from pathlib import Path

from codeface_lsp.workspace.sources import Sources

SECRET = "ghp_" + "a1B2" * 9
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----\n"


def test_lines_are_masked_however_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"one = 1\ntoken = '{SECRET}'\n{KEY}")
    lines = Sources(tmp_path).lines("a.py")
    for text in ("\n".join(lines), "\n".join(lines[0:9]), lines[1] + lines[3]):
        assert SECRET not in text and "MIIEow" not in text and "REDACTED_" in text
    assert len(lines) == 6 and lines[0] == "one = 1"


def test_a_changed_file_is_read_again_for_the_next_question(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("one = 1\n")
    sources = Sources(tmp_path)
    assert sources.lines("a.py")[0] == "one = 1"
    file.write_text("two = 2\n")
    os.utime(file, ns=(1, 1))
    assert sources.lines("a.py")[0] == "one = 1", "within one question it stays as it is"
    sources.look_again()
    assert sources.lines("a.py")[0] == "two = 2"


def test_what_cannot_be_read_has_no_lines(tmp_path: Path) -> None:
    assert list(Sources(tmp_path).lines("gone.py")) == []
