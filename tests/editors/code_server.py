"""VS Code in a browser: the server that serves it, with the packaged extension, and the scenarios that drive it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.editors.conftest import ARTIFACTS, EDITORS, SHAPES, House, find_editor, keep_logs, until

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

RESTRICTED = {
    "security.workspace.trust.enabled": True,
    "security.workspace.trust.startupPrompt": "never",
    "security.workspace.trust.banner": "never",
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
            timeout=400,
        )
        assert answer.returncode == 0, answer.stderr
        return dict(json.loads(answer.stdout.splitlines()[-1]))


def package(folder: Path) -> Path:
    """The extension as one command packages it, copied into `folder`; several tests may ask at the same time."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    with FileLock(str(ARTIFACTS / "package.lock")):
        return Path(shutil.copy(_package(), folder))


def _package() -> Path:
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


def configure(folder: Path, **settings: Any) -> None:
    """Write the settings of the user and of the machine, each for the keys that it may set."""
    for data in (folder / "data" / "User", folder / "data" / "Machine"):
        data.mkdir(parents=True, exist_ok=True)
        (data / "settings.json").write_text(json.dumps({**SETTINGS, **settings}))


@contextmanager
def vscode(house: House, vsix: Path, folder: Path, **settings: Any) -> Iterator[VsCode]:
    """A VS Code of its own with the extension; `settings` are the machine's, in force for each window opened later."""
    node = find_editor("code")
    configure(folder, **settings)
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
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(5)
        process.stdout.close()
        keep_logs(folder / "data" / "logs", folder.name)


def three_windows(code: VsCode, house: House, project: Path) -> dict[str, Any]:
    """The engines of the house, and the resident MiB of each language server, with three windows on one folder."""
    files = [f"shapes_{number}.py" for number in range(3)]
    for file in files:
        (project / file).write_text(SHAPES)
    return code.run("threeWindows", project, home=str(house.path), files=files)


def put(folder: Path, name: str, script: str) -> Path:
    """A program of a few lines."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program
