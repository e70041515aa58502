from __future__ import annotations

from pathlib import Path

import pytest

from codeface_lsp.workspace.ignore import IgnoreRules, looks_secret

SECRET_NAMES = """
.env .env.local .env.production prod.env server.pem tls.key cert.crt id_rsa id_ed25519 store.p12 app.jks .npmrc .pypirc
.netrc credentials credentials.json secrets.yaml terraform.tfvars terraform.tfstate service-account.json vault.kdbx
a/.ssh/config .aws/credentials
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_files_that_hold_secrets_are_known_by_name(name: str) -> None:
    assert looks_secret(name)
    assert "secrets" in (IgnoreRules([Path("/w")]).reason(Path("/w") / name) or "")


@pytest.mark.parametrize(
    "name",
    [
        ".env.example",
        "environment.py",
        "keys.py",
        "key.go",
        "secrets.py",
        "credentials.ts",
        "README.md",
        "envs.txt",
    ],
)
def test_ordinary_files_are_not(name: str) -> None:
    assert not looks_secret(name)
    assert IgnoreRules([Path("/w")]).reason(Path("/w") / name) is None


def test_ignore_files_count_in_every_directory(tmp_path: Path) -> None:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("build/\n*.gen.py\n")
    (tmp_path / "src" / ".codefaceignore").write_text("private.py\n!keep.gen.py\n")
    rules = IgnoreRules([tmp_path])
    assert rules.reason(tmp_path / "build" / "x.py") == ".gitignore names it"
    assert rules.reason(tmp_path / "a.gen.py") == ".gitignore names it"
    assert rules.reason(tmp_path / "src" / "deep" / "private.py") == ".codefaceignore names it"
    assert rules.reason(tmp_path / "src" / "keep.gen.py") is None
    assert rules.reason(tmp_path / "src" / "ok.py") is None
    assert rules.reason(tmp_path / ".git" / "config") == "it lies in .git"


def test_nothing_below_an_ignored_directory_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("out/\n!out/keep.py\n")
    assert IgnoreRules([tmp_path]).reason(tmp_path / "out" / "keep.py") == ".gitignore names it"


def test_a_change_of_an_ignore_file_counts_at_once(tmp_path: Path) -> None:
    rules = IgnoreRules([tmp_path])
    assert rules.reason(tmp_path / "a.py") is None
    (tmp_path / ".codefaceignore").write_text("a.py\n")
    assert rules.changed([tmp_path / ".codefaceignore"])
    assert rules.reason(tmp_path / "a.py") == ".codefaceignore names it"


def test_a_path_cannot_climb_out_of_its_directory(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("hidden/\n")
    assert IgnoreRules([tmp_path]).reason(f"{tmp_path}/src/../hidden/x.py") == ".gitignore names it"


def test_a_pattern_that_makes_no_sense_is_skipped(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("!\n[\n*.log\n")
    assert IgnoreRules([tmp_path]).reason(tmp_path / "a.log") == ".gitignore names it"


def test_files_outside_of_every_root_are_judged_by_name_alone(tmp_path: Path) -> None:
    rules = IgnoreRules([tmp_path / "w"])
    assert rules.reason(tmp_path / "other.py") is None
    assert rules.reason(tmp_path / ".env") is not None


def test_what_codeface_keeps_is_no_context_wherever_it_lies_but_may_be_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "state"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("CODEFACE_HOME", str(tmp_path / "link"))
    for rules in (IgnoreRules([tmp_path]), IgnoreRules([home]), IgnoreRules([])):
        for folder in (home, tmp_path / "link"):
            assert not rules.shown(folder / "chats" / "a.md")
            assert not rules.shown(str(folder / "cache" / "index" / "a.md"))
            assert rules.reason(folder / "chats" / "a.md") is None
        assert rules.shown(tmp_path / "chats" / "a.md") and not rules.shown(tmp_path / ".env")
    rules = IgnoreRules([tmp_path])
    assert rules.ignored_directory(tmp_path, home) and not rules.ignored_directory(tmp_path, tmp_path / "src")
