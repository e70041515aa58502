"""VS Code on machines that lack something: the server, its Python, a model; and servers that fail."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.editors.code_server import VsCode, configure, put, vscode
from tests.editors.conftest import EDITORS, House, house
from tests.editors.slow_hub import slow_hub
from tests.hub_server import REPO

pytestmark = [pytest.mark.editors, pytest.mark.timeout(600)]


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
