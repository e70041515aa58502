"""What `pip install codeface-lsp` gives: a wheel that carries prompts, config and the model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.lsp_client import language_server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
    ]
    subprocess.run([*build, str(ROOT)], check=True, timeout=100)
    return next(folder.glob("codeface_lsp-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with only the wheel; its dependencies are borrowed from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    install = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet", "--no-deps"]
    subprocess.run([*install, str(wheel)], check=True, timeout=100)
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_carries_what_the_program_needs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "prompts/system.md",
        "config/default.yaml",
        "config/models.yaml",
        "bundled/codeface-tiny/config.json",
    ):
        assert f"codeface_lsp/_data/{needed}" in names
    assert any(name.startswith("codeface_lsp/_data/bundled/codeface-tiny/model") for name in names)
    assert not any("node_modules" in name or name.startswith("tests/") for name in names)


def test_the_commands_run_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "import codeface_lsp.paths as p; print(p.shipped('bundled'))"
    where = subprocess.run(
        [installed / "python", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "_data" in where.stdout
    version = subprocess.run(
        [installed / "codeface", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("codeface ")


async def test_an_editor_gets_an_answer_from_the_wheel(installed: Path, codeface_home: Path) -> None:
    environ = {"CODEFACE_CONTEXT__INDEX": "false"}
    async with language_server(
        codeface_home, environ=environ, command=[str(installed / "codeface-lsp")]
    ) as client:
        await client.initialize()
        states = client.notifications["codeface/didChangeStatus"]
        await client.until(lambda: states and states[-1]["state"] == "ready", timeout=100)
        uri = "file:///project/main.py"
        client.open(uri, "import os\n\ndef read(path):\n    with open(path) as file:\n        return file.")
        items = await client.inline(uri, 4, 20)
        assert items is not None
        assert (await client.request("codeface/status", {}))["lastCompletion"]["promptTokens"] > 0
        await client.shutdown()
    stop = await asyncio.create_subprocess_exec(str(installed / "codeface"), "engine", "stop")
    assert await asyncio.wait_for(stop.wait(), 60) == 0
