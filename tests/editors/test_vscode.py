"""VS Code in a browser, with the packaged extension, the real server and its engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.editors.conftest import ARTIFACTS, EDITORS, SHAPES, House, find_editor, house, keep_logs, until
from tests.editors.scripted import ScriptedServer
from tests.editors.slow_hub import slow_hub
from tests.unit.models.test_hub import REPO

pytestmark = [pytest.mark.editors, pytest.mark.timeout(600)]

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


def package() -> Path:
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


@pytest.fixture(scope="session")
def vsix() -> Path:
    """The packaged extension."""
    return package()


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


@pytest.fixture(scope="module")
def with_script(scripted: House, vsix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VsCode]:
    with vscode(scripted, vsix, tmp_path_factory.mktemp("code-scripted")) as code:
        yield code


@pytest.fixture(scope="module")
def with_model(bundled: House, vsix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VsCode]:
    with vscode(bundled, vsix, tmp_path_factory.mktemp("code-bundled")) as code:
        yield code


def three_windows(code: VsCode, house: House, project: Path) -> dict[str, Any]:
    """The engines of the house, and the resident MiB of each language server, with three windows on one folder."""
    files = [f"shapes_{number}.py" for number in range(3)]
    for file in files:
        (project / file).write_text(SHAPES)
    return code.run("threeWindows", project, home=str(house.path), files=files)


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


def test_a_model_named_in_the_picker_is_downloaded_with_progress_and_then_chosen(
    vsix: Path, project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "code"
    with (
        slow_hub() as hub,
        contextmanager(house)(
            HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf"), HF_HUB_DISABLE_XET="1"
        ) as home,
        vscode(home, vsix, folder) as code,
    ):
        settings = folder / "data" / "Machine" / "settings.json"
        result = code.run("download", project, model=REPO, settings=str(settings))
    assert 0 < int(re.search(r"(\d+)%", result["label"])[1]) < 100


@pytest.fixture(scope="module")
def bare_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PATH of one folder, without Python and without CodeFace."""
    return tmp_path_factory.mktemp("path")


@pytest.fixture(scope="module")
def bare(
    scripted: House, vsix: Path, bare_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VsCode]:
    """VS Code on a machine that has nothing."""
    house = House(scripted.path, {**scripted.environment, "PATH": str(bare_path)})
    with vscode(house, vsix, tmp_path_factory.mktemp("code-bare")) as code:
        yield code


def put(folder: Path, name: str, script: str) -> Path:
    """A program of a few lines."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_without_a_server_one_is_offered_and_installed(bare: VsCode, bare_path: Path, project: Path) -> None:
    configure(bare.folder)
    bare.run("installing", project, problem="needs Python 3.11 or later, and none was found")
    put(bare_path, "python3", "echo 3.9")
    bare.run("installing", project, problem="needs Python 3.11 or later, and this machine has 3.9")
    # A Python whose environments' pip installs this checkout's server.
    server = Path(sys.executable).with_name("codeface-lsp")
    pip = f'/bin/ln -s \'{server}\' "$(/usr/bin/dirname "$0")/codeface-lsp"'
    put(bare_path, "pip-of-the-environment", pip)
    make = f'/bin/mkdir -p "$3/bin" && /bin/cp {bare_path}/pip-of-the-environment "$3/bin/python"'
    put(bare_path, "python3", f'case "$2" in venv) {make};; *) echo 3.12;; esac')
    bare.run("installing", project)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with the wheel of this tree."""
    folder = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, EDITORS.parent], check=True, timeout=200)
    return folder


def test_the_offered_environment_is_made_and_the_wheel_installed_into_it(
    scripted: House, vsix: Path, wheels: Path, project: Path, tmp_path: Path
) -> None:
    """Python, venv, pip and the wheel are the real ones; what the server depends on is borrowed from the tests."""
    path = tmp_path / "path"
    path.mkdir()
    put(path, "python3", f"exec '{sys.executable}' \"$@\"")
    environment = {
        **scripted.environment,
        "PATH": str(path),
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_DEPS": "1",
        "PIP_IGNORE_INSTALLED": "1",
    }
    folder = tmp_path / "code"
    with vscode(House(scripted.path, environment), vsix, folder) as code:
        code.run("installing", project)
    (program,) = folder.glob("data/User/globalStorage/*/environment/bin/python")
    where = [program, "-c", "import codeface_lsp; print(codeface_lsp.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60)
    assert Path(found.stdout.strip()).is_relative_to(program.parents[1])


def test_a_server_that_crashes_is_given_up_with_a_message(
    bare: VsCode, project: Path, tmp_path: Path
) -> None:
    count = tmp_path / "starts"
    program = put(tmp_path, "crash.sh", f"echo start >> '{count}'\nexit 3")
    configure(bare.folder, **{"codeface.server.command": [str(program)]})
    bare.run("crashing", project)
    assert 3 <= len(count.read_text().splitlines()) <= 6


def test_a_server_of_another_version_is_told(bare: VsCode, project: Path) -> None:
    start = (
        "import codeface_lsp.lsp.base as base; base.VERSION = '9.1.0'; "
        "from codeface_lsp.server import serve_stdio; serve_stdio()"
    )
    configure(bare.folder, **{"codeface.server.command": [sys.executable, "-c", start]})
    bare.run("otherVersion", project)
