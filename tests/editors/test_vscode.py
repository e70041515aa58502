"""VS Code in a browser, with the packaged extension, the real server and its engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.editors.conftest import ARTIFACTS, EDITORS, SHAPES, House, find_editor, until
from tests.editors.scripted import ScriptedServer

pytestmark = [pytest.mark.editors, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
EXTENSION = EDITORS / "vscode"
SETTINGS = {
    "chat.disableAIFeatures": True,
    "security.workspace.trust.enabled": False,
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "extensions.autoUpdate": False,
    "extensions.ignoreRecommendations": True,
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
    "files.autoSave": "off",
    "editor.suggestOnTriggerCharacters": False,
    "editor.quickSuggestions": {"other": False, "comments": False, "strings": False},
    "editor.parameterHints.enabled": False,
    "git.enabled": False,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.colorTheme": "Default Dark Modern",
}


@dataclass
class VsCode:
    """A running server of VS Code."""

    url: str
    folder: Path

    def run(self, scenario: str, project: Path, **more: Any) -> dict[str, Any]:
        """Run a scenario of `vscode/scenarios.mjs` in a browser; its result."""
        node, chromium = find_editor("code"), find_editor("chromium")
        config = {
            "scenario": scenario,
            "url": self.url,
            "folder": str(project),
            "playwright": node.more["playwright"],
            "chromium": chromium.executable,
            "chromiumEnvironment": chromium.environment,
            "artifacts": str(ARTIFACTS),
            **more,
        }
        file = self.folder / "scenario.json"
        file.write_text(json.dumps(config))
        answer = subprocess.run(
            [node.executable, str(HERE / "vscode" / "run.mjs"), str(file)],
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert answer.returncode == 0, answer.stderr
        return dict(json.loads(answer.stdout.splitlines()[-1]))


@pytest.fixture(scope="session")
def vsix() -> Path:
    """The extension as one command packages it."""
    node = find_editor("code")
    binaries = Path(node.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    lock, done = EXTENSION / "package-lock.json", EXTENSION / "node_modules" / ".installed"
    if not done.exists() or done.read_text() != lock.read_text():
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--loglevel=error"], cwd=EXTENSION, env=environment, check=True
        )
        done.write_text(lock.read_text())
    packaged = subprocess.run(
        ["npm", "run", "package"], cwd=EXTENSION, env=environment, capture_output=True, text=True, timeout=280
    )
    assert packaged.returncode == 0, packaged.stdout + packaged.stderr
    return EXTENSION / "dist" / "codeface.vsix"


@contextmanager
def vscode(house: House, vsix: Path, folder: Path, **settings: Any) -> Iterator[VsCode]:
    node = find_editor("code")
    for name in ("User", "Machine"):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "settings.json").write_text(json.dumps({**SETTINGS, **settings}))
    server_data = folder / "server" / "data" / "Machine"
    server_data.mkdir(parents=True)
    (server_data / "settings.json").write_text(json.dumps({**SETTINGS, **settings}))
    directories = [
        "--accept-server-license-terms",
        f"--user-data-dir={folder / 'data'}",
        f"--server-data-dir={folder / 'server'}",
        f"--extensions-dir={folder / 'extensions'}",
    ]
    main = [node.executable, node.more["server"], *directories]
    environment = {**os.environ, **house.environment}
    installed = subprocess.run(
        [*main, "--install-extension", str(vsix)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "successfully installed" in installed.stdout, installed.stdout + installed.stderr
    process = subprocess.Popen(
        [*main, "--without-connection-token", "--host=127.0.0.1", "--port=0", "--force-disable-user-env"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(iter(process.stdout.readline, "")), daemon=True)
    reader.start()
    try:
        port = until(lambda: re.search(r"listening on (\d+)", "".join(said)), lambda: "".join(said))
        yield VsCode(f"http://127.0.0.1:{port[1]}", folder)
    finally:
        process.terminate()
        process.wait(30)
        reader.join(5)
        process.stdout.close()
        for logs in folder.glob("*/logs"):
            shutil.copytree(logs, ARTIFACTS / "logs" / folder.name, dirs_exist_ok=True)


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


def test_a_suggestion_is_accepted_by_word_and_by_tab(with_script: VsCode, project: Path) -> None:
    with_script.run("acceptByWord", project)


def test_a_fix_is_applied_through_the_menu(
    with_script: VsCode, scripted_server: ScriptedServer, project: Path
) -> None:
    (project / "wrong.ts").write_text("export function double(x: number): number {\n  return y + x;\n}\n")
    scripted_server.answers["return y + x"] = (
        "```typescript\nexport function double(x: number): number {\n  return x + x;\n}\n```\n"
    )
    with_script.run("fixThroughMenu", project)


def test_chat_streams_completes_inserts_and_stops(
    with_script: VsCode, scripted_server: ScriptedServer, project: Path
) -> None:
    scripted_server.answers["What is the answer?"] = (
        "It is **forty-two**, see [here](https://example.org/x) ![pixel](https://example.org/pixel.png)\n\n"
        "<script>alert(1)</script> <img src=x>\n\n```python\nANSWER = 42\n```\n"
    )
    scripted_server.cut_off.clear()
    with_script.run("chat", project)
    assert scripted_server.cut_off.wait(30)


def test_status_pause_and_activation_time(with_script: VsCode, project: Path) -> None:
    result = with_script.run("statusAndActivation", project)
    keep_figures(activation_ms=result["activationMs"])
    assert result["activationMs"] <= 100


def test_a_hostile_workspace_chooses_nothing(
    with_script: VsCode, scripted_server: ScriptedServer, project: Path, tmp_path: Path
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
        with_script.run("hostile", project)
        assert thief.requests == []
    assert not trap.exists()


def test_a_server_that_crashes_is_given_up_with_a_message(
    scripted: House, vsix: Path, project: Path, tmp_path: Path
) -> None:
    count = tmp_path / "starts"
    program = tmp_path / "crash.sh"
    program.write_text(f"#!/bin/sh\necho start >> '{count}'\nexit 3\n")
    program.chmod(0o755)
    settings = {"codeface.server.command": [str(program)]}
    with vscode(scripted, vsix, tmp_path / "code", **settings) as code:
        code.run("crashing", project)
    assert 3 <= len(count.read_text().splitlines()) <= 6
