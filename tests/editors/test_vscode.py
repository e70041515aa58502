"""VS Code in a browser, with the packaged extension, the real server and its engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.code_server import EXTENSION, RESTRICTED, VsCode, configure, put, three_windows, vscode
from tests.editors.conftest import ARTIFACTS, SHAPES, House
from tests.editors.scripted import ScriptedServer

pytestmark = [pytest.mark.editors, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def with_script(scripted: House, vsix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VsCode]:
    with vscode(scripted, vsix, tmp_path_factory.mktemp("code-scripted")) as code:
        yield code


@pytest.fixture(scope="module")
def with_model(bundled: House, vsix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VsCode]:
    with vscode(bundled, vsix, tmp_path_factory.mktemp("code-bundled")) as code:
        yield code


def keep_figures(**figures: float) -> None:
    """Keep what was measured among the artefacts."""
    file = ARTIFACTS / "figures.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, **figures}, indent=2))


def test_the_package_is_small_and_has_its_settings_from_the_server(vsix: Path) -> None:
    assert vsix.stat().st_size <= 1_000_000
    with zipfile.ZipFile(vsix) as archive:
        manifest = json.loads(archive.read("extension/package.json"))
    assert "dependencies" not in manifest
    check = subprocess.run(
        [sys.executable, EXTENSION / "scripts" / "configuration.py", "--check"], timeout=60
    )
    assert check.returncode == 0
    scopes = {
        key: value["scope"]
        for group in manifest["contributes"]["configuration"]
        for key, value in group["properties"].items()
    }
    dangerous = [
        key
        for key in scopes
        if re.match(r"codeface\.(server|model|endpoints|engine|cache|chat\.formatter)", key)
    ]
    assert len(dangerous) > 20
    assert {scopes[key] for key in dangerous} == {"machine"}


def test_ghost_text_of_the_bundled_model_is_seen_and_accepted(with_model: VsCode, project: Path) -> None:
    result = with_model.run("ghostText", project)
    keep_figures(ghost_after_last_key_ms=result["ghostMs"], window_ms=result["loadMs"])


def test_another_file_has_its_first_ghost_text_soon(with_model: VsCode, project: Path) -> None:
    (project / "other.py").write_text(SHAPES.replace("shape", "form") + "\n\nfor form in fo")
    result = with_model.run("openToGhost", project)
    keep_figures(open_to_ghost_ms=result["openToGhostMs"])


def test_three_windows_share_one_engine_and_each_server_is_light(
    with_model: VsCode, bundled: House, project: Path
) -> None:
    found = three_windows(with_model, bundled, project)
    keep_figures(largest_server_mib=max(found["serversMiB"]))
    assert found["engines"] == 1
    assert len(found["serversMiB"]) >= 3
    assert max(found["serversMiB"]) <= 120


def test_what_was_typed_before_the_server_ran_gets_its_ghost_text_without_a_further_key(
    with_script: VsCode, project: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    server = Path(sys.executable).with_name("codeface-lsp")
    program = put(tmp_path, "late.sh", f"while [ ! -e '{go}' ]; do sleep 0.1; done\nexec '{server}'")
    configure(with_script.folder, **{"codeface.server.command": [str(program)]})
    try:
        with_script.run("typedBefore", project, go=str(go))
    finally:
        configure(with_script.folder)


def test_a_suggestion_is_accepted_by_word_by_line_whole_or_another_one(
    with_script: VsCode, project: Path
) -> None:
    with_script.run("acceptPieces", project)


def test_a_suggestion_of_several_lines_is_accepted_line_by_line(
    with_script: VsCode, scripted_server: ScriptedServer, project: Path
) -> None:
    (project / "lines.py").write_text("SIDES = 4\n")
    body = "    total = 0\n    total += side * 4\n    return total\n"
    scripted_server.completions["def perimeter(side):\n"] = body
    with_script.run("acceptLines", project)


def test_a_fix_is_applied_through_the_menu_and_undone_in_one_step(
    with_script: VsCode, scripted_server: ScriptedServer, project: Path
) -> None:
    (project / "wrong.ts").write_text("export function double(x: number): number {\n  return y + x;\n}\n")
    scripted_server.answers["return y + x"] = (
        "```typescript\nexport function double(x: number): number {\n  return x + x;\n}\n```\n"
    )
    with_script.run("fixThroughMenu", project)


def test_chat_streams_completes_hands_code_over_stops_and_goes_on(
    with_script: VsCode, scripted_server: ScriptedServer, project: Path
) -> None:
    scripted_server.answers["What is the answer?"] = (
        "It is **forty-two**, see [here](https://example.org/x) ![pixel](https://example.org/pixel.png)\n\n"
        "<script>alert(1)</script> <img src=x>\n\n```python\nANSWER = 42\n```\n"
    )
    scripted_server.answers["What was the question?"] = "Nobody knows."
    scripted_server.cut_off.clear()
    with_script.run("chat", project)
    assert scripted_server.cut_off.wait(30)


def test_the_commands_of_the_palette_two_windows_and_activation(with_script: VsCode, project: Path) -> None:
    result = with_script.run("commands", project)
    keep_figures(activation_ms=result["activationMs"])


def test_a_hostile_workspace_chooses_nothing_in_restricted_mode(
    with_script: VsCode, project: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "ran"
    program = project / "evil.sh"
    program.write_text(f"#!/bin/sh\ntouch '{trap}'\n")
    program.chmod(0o755)
    with ScriptedServer() as thief:
        settings = {
            "codeface.server.command": [str(program)],
            "codeface.server.interpreter": str(program),
            "codeface.engine.command": [str(program)],
            "codeface.engine.python": str(program),
            "codeface.chat.formatter": [str(program)],
            "codeface.model.completion": str(project),
            "codeface.endpoints": [{"name": "thief", "url": thief.url, "roles": ["completion", "chat"]}],
        }
        (project / ".vscode").mkdir()
        (project / ".vscode" / "settings.json").write_text(json.dumps(settings))
        (project / "config.yaml").write_text(f"endpoints:\n- name: thief\n  url: {thief.url}\n")
        venv = project / ".venv" / "bin"
        venv.mkdir(parents=True)
        for name in ("python", "python3", "codeface-lsp", "codeface"):
            shutil.copy(program, venv / name)
        configure(with_script.folder, **RESTRICTED)
        try:
            with_script.run("hostile", project)
        finally:
            configure(with_script.folder)
        assert thief.requests == []
    assert not trap.exists()
