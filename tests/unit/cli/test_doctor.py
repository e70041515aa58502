"""`codeface doctor` names what is wrong and the next step, and never fails itself."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from codeface_lsp.cli import doctor_checks, doctor_machine
from codeface_lsp.cli.doctor import doctor
from codeface_lsp.cli.doctor_check import Check
from codeface_lsp.errors import CodeFaceError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODEFACE_HOME", str(tmp_path / "codeface"))
    return tmp_path / "codeface"


def found(name: str) -> list[Check]:
    return [check for check in doctor_checks.run_all() if check.name == name]


def test_a_sound_machine_has_no_errors() -> None:
    checks = list(doctor_checks.run_all())
    assert [check for check in checks if check.status == "error"] == []
    wanted = [
        "Python",
        "installation",
        "settings",
        "files",
        "torch",
        "GPU",
        "memory",
        "models",
        "engine",
        "endpoints",
    ]
    assert set(wanted) <= {check.name for check in checks}


def test_everything_that_is_wrong_says_the_next_step(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFACE_ENGINE__PYTHON", "/bin/false")
    monkeypatch.setenv("CODEFACE_ENDPOINTS", "[]")
    monkeypatch.setenv("CODEFACE_MODEL__CHAT", "someone/never-downloaded")
    [torch] = found("torch")
    assert torch.status == "error" and "/bin/false" in torch.message and "pip install" in torch.next_step
    assert found("models")[1].next_step == "codeface models download someone/never-downloaded"


def test_a_wrong_setting_is_named(home: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("completion:\n  enabledd: true\n")
    [check] = found("settings")
    assert (
        check.status == "error" and "completion.enabled" in check.message and "config.yaml" in check.next_step
    )


def test_an_endpoint_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFACE_ENDPOINTS", '[{"name": "team", "url": "http://127.0.0.1:9"}]')
    [check] = found("endpoints")
    assert check.status == "error" and "team" in check.message and "Start the server" in check.next_step


def test_an_old_editor_is_told_to_be_updated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvim"
    program.write_text("#!/bin/sh\necho NVIM v0.9.5\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    [check] = [check for check in found("editors") if "Neovim" in check.message]
    assert check.status == "warning" and "0.10" in check.next_step


def test_the_report_as_json_carries_every_check_and_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(doctor)
    monkeypatch.setenv("CODEFACE_ENDPOINTS", '[{"name": "team", "url": "http://127.0.0.1:9"}]')
    result = CliRunner().invoke(app, ["--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 1 and report["ok"] is False
    assert {"name", "status", "message", "next_step"} == set(report["checks"][0])


def test_a_check_that_fails_itself_hides_no_other_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses() -> None:
        raise CodeFaceError("The runtime directory cannot be read; make it readable.")

    def breaks() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(doctor_machine, "files", refuses)
    monkeypatch.setattr(doctor_machine, "memory", breaks)
    checks = {check.name: check for check in doctor_checks.run_all()}
    assert checks["files"].status == "error" and checks["files"].next_step
    assert checks["memory"].status == "warning" and "RuntimeError: a defect" in checks["memory"].message
    assert checks["memory"].next_step and checks["editors"]
