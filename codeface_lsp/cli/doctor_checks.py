"""The checks of `codeface doctor`: each says how it stands and, if it does not stand well, what to do next."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codeface_lsp import paths, runtime
from codeface_lsp.errors import CodeFaceError, SettingsError
from codeface_lsp.settings import Settings, load

INSTALL = 'Install it: pip install "codeface-lsp[local]".'
_PROBE = """
import json, torch, transformers
devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
mps = getattr(torch.backends, "mps", None)
print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "cuda": torch.version.cuda,
  "devices": devices, "mps": bool(mps and mps.is_available()),
  "memory": [torch.cuda.get_device_properties(i).total_memory for i in range(len(devices))]}))
"""
_EDITORS = {
    "Visual Studio Code": ("code", (1, 105)),
    "Neovim": ("nvim", (0, 10)),
    "Helix": ("hx", (24, 3)),
    "Emacs": ("emacs", (29, 1)),
    "Vim": ("vim", (8, 2)),
    "Kate": ("kate", (21, 12)),
    "Zed": ("zed", (0, 150)),
}
_EXTENSION = "codeface-lsp.codeface"


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check; `next_step` is empty when there is nothing to do."""

    name: str
    status: Literal["ok", "warning", "error"]
    message: str
    next_step: str = ""


def run_all() -> Iterator[Check]:
    """Every check, in the order in which one would look for a fault; none of them raises."""
    yield from _guarded("Python", python)
    yield from _guarded("installation", installation)
    try:
        settings = load()
        known = paths.config_file().exists()
        state = "is valid" if known else "does not exist; the defaults are in force"
        yield Check("settings", "ok", f"{paths.config_file()} {state}.")
    except SettingsError as error:
        yield Check(
            "settings",
            "error",
            error.message,
            f"Correct {paths.config_file()}; the defaults are used until then.",
        )
        settings = Settings()
    yield from _guarded("files", files)
    yield from _guarded("torch", lambda: torch_and_gpu(settings))
    yield from _guarded("memory", memory)
    yield from _guarded("models", lambda: models(settings))
    yield from _guarded("engine", lambda: engine(settings))
    yield from _guarded("endpoints", lambda: endpoints(settings))
    yield from _guarded("editors", editors)


def _guarded(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from check()
    except CodeFaceError as error:
        yield Check(name, "error", error.message)
    except Exception as error:  # a check that fails itself must not hide the ones after it
        yield Check(
            name,
            "warning",
            f"could not be checked ({type(error).__name__}: {error}).",
            "Report this as a bug.",
        )


def python() -> Iterator[Check]:
    """The interpreter that runs the server."""
    where = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    yield Check("Python", "ok", f"{where}, {platform.system()} {platform.machine()}.")


def installation() -> Iterator[Check]:
    """The distribution and its console script."""
    script = shutil.which("codeface-lsp")
    beside = Path(sys.executable).with_name("codeface-lsp.exe" if os.name == "nt" else "codeface-lsp")
    version = runtime.own_version()
    if script is None:
        step = f"Add {beside.parent} to the PATH, or give editors the whole path {beside}."
        yield Check(
            "installation", "warning", f"codeface-lsp {version}, which editors do not find on the PATH.", step
        )
    elif Path(script).resolve() != beside.resolve() and beside.exists():
        step = f"Remove one of the two, or give editors the path {beside}."
        yield Check(
            "installation",
            "warning",
            f"codeface-lsp {version}, but the PATH has another one: {script}.",
            step,
        )
    else:
        yield Check("installation", "ok", f"codeface-lsp {version} at {script}.")


def files() -> Iterator[Check]:
    """Directories must be writable and have room."""
    for name, folder in (
        ("state", paths.home()),
        ("cache", paths.cache_dir()),
        ("runtime", paths.runtime_dir()),
    ):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not os.access(existing, os.W_OK):
            step = f"Make {existing} writable, or set CODEFACE_HOME to a directory that is."
            yield Check("files", "error", f"The {name} directory {folder} cannot be written.", step)
            return
    free = (
        shutil.disk_usage(next(p for p in (paths.home(), *paths.home().parents) if p.exists())).free / 2**30
    )
    if free < 2:
        yield Check(
            "files", "warning", f"{free:.1f} GiB are free.", "Make room: models take 0.1 to 20 GiB each."
        )
    else:
        yield Check("files", "ok", f"State in {paths.home()}, {free:.0f} GiB free.")


def torch_and_gpu(settings: Settings) -> Iterator[Check]:
    """PyTorch, asked in a process of its own: importing it is slow, and a broken one may crash."""
    interpreter = settings.engine.python or sys.executable
    answer = subprocess.run(
        [interpreter, "-c", _PROBE], capture_output=True, text=True, timeout=120, check=False
    )
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or [f"status {answer.returncode}"])[-1]
        if settings.endpoints:
            yield Check("torch", "ok", f"not usable here ({last}); endpoints are configured instead.")
        else:
            step = f"{INSTALL} Or name a model server in `endpoints`."
            yield Check("torch", "error", f"{interpreter} cannot run models ({last}).", step)
        return
    found = json.loads(answer.stdout)
    yield Check("torch", "ok", f"torch {found['torch']}, transformers {found['transformers']}.")
    if found["devices"]:
        named = ", ".join(
            f"{name} ({size / 2**30:.0f} GiB)"
            for name, size in zip(found["devices"], found["memory"], strict=True)
        )
        yield Check("GPU", "ok", f"{named}, CUDA {found['cuda']}.")
    elif found["mps"]:
        yield Check("GPU", "ok", "Apple's GPU (mps).")
    elif settings.engine.device.startswith("cuda"):
        step = "Install a driver and a CUDA build of torch, or set engine.device to auto."
        yield Check(
            "GPU", "error", f"engine.device is {settings.engine.device}, but torch sees no GPU.", step
        )
    elif shutil.which("nvidia-smi"):
        step = f"Install a CUDA build of torch (this one is {found['torch']}), then restart the engine."
        yield Check("GPU", "warning", "This machine has an NVIDIA driver, but torch sees no GPU.", step)
    else:
        yield Check("GPU", "ok", "none; models run on the processor, in 8 bits.")


def memory() -> Iterator[Check]:
    """Total and free memory of the machine."""
    if not hasattr(os, "sysconf"):
        return
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES") / 2**30
    available = _available_gib()
    shown = f"{total:.0f} GiB" + (f", {available:.0f} GiB available" if available is not None else "")
    if available is not None and available < 1:
        yield Check("memory", "warning", f"{shown}.", "Close something, or lower engine.max_cached_models.")
    else:
        yield Check("memory", "ok", f"{shown}, {os.cpu_count()} processors.")


def _available_gib() -> float | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    return int(found[1]) / 2**20 if found else None


def models(settings: Settings) -> Iterator[Check]:
    """The configured models must be known, and on the disk if they are to answer at once."""
    if importlib.util.find_spec("huggingface_hub") is None:
        if not settings.endpoints:
            yield Check(
                "models", "error", "Local models need huggingface_hub, which is not installed.", INSTALL
            )
        return
    from codeface_lsp.models import catalogue, registry

    known = registry.read()
    roles = {
        "completion": settings.model.completion,
        "chat": settings.model.chat,
        "embedding": settings.model.embedding,
    }
    for role, name in roles.items():
        if name is None:
            continue
        info = catalogue.describe(known.find(name))
        size = f", {info.disk_bytes / 2**20:.0f} MiB" if info.disk_bytes else ""
        if info.problem:
            step = f"codeface models download {name}"
            yield Check("models", "error", f"The {role} model {name} cannot be loaded: {info.problem}", step)
        elif info.state == "available":
            step = f"codeface models download {name}"
            yield Check("models", "warning", f"The {role} model {name} is not on this machine yet.", step)
        else:
            yield Check("models", "ok", f"{role}: {name} ({info.state}{size}).")


def engine(settings: Settings) -> Iterator[Check]:
    """The engine of this user, if it runs."""
    found = runtime.read()
    if found is None or not runtime.held():
        yield Check("engine", "ok", "does not run; an editor starts it.")
        return
    from codeface_lsp.endpoints.http import ServerClient

    async def ask() -> str:
        client = ServerClient("The engine", found.url, api_key=found.token, timeout_s=5)
        try:
            health = await client.get("/health")
        finally:
            await client.aclose()
        return str(health["status"])

    try:
        state = asyncio.run(ask())
    except CodeFaceError as error:
        yield Check("engine", "error", error.message, "codeface engine stop, then open a file in an editor.")
        return
    if found.version != runtime.own_version():
        step = "codeface engine stop; the next editor starts this version."
        yield Check(
            "engine", "warning", f"runs as version {found.version}, not {runtime.own_version()}.", step
        )
    else:
        yield Check("engine", "ok", f"runs ({state}), pid {found.pid}, port {found.port}.")


def endpoints(settings: Settings) -> Iterator[Check]:
    """Every configured model server must answer and list a model."""
    if not settings.endpoints:
        yield Check("endpoints", "ok", "none configured; the local engine serves.")
        return
    from codeface_lsp.endpoints.remote import RemoteServer

    for endpoint in settings.endpoints:

        async def ask(server: RemoteServer) -> list[str]:
            try:
                return [card.id for card in await server.models()]
            finally:
                await server.aclose()

        try:
            names = asyncio.run(ask(RemoteServer(endpoint)))
        except CodeFaceError as error:
            step = f"Start the server, or correct `endpoints` in {paths.config_file()}."
            yield Check("endpoints", "error", f"{endpoint.name} ({endpoint.url}): {error.message}", step)
            continue
        if endpoint.model and endpoint.model not in names:
            step = f"Set its model to one of: {', '.join(names[:5]) or 'none'}."
            yield Check("endpoints", "warning", f"{endpoint.name} does not list {endpoint.model}.", step)
        else:
            yield Check(
                "endpoints", "ok", f"{endpoint.name} answers and serves {', '.join(names[:3]) or 'no model'}."
            )


def editors() -> Iterator[Check]:
    """Editors on the PATH: their versions, and whether VS Code has the extension."""
    seen = False
    for name, (command, oldest) in _EDITORS.items():
        program = shutil.which(command)
        if program is None:
            continue
        seen = True
        version = _version(program)
        if version and version < oldest:
            wanted = ".".join(map(str, oldest))
            step = f"Update {name} to {wanted} or later."
            yield Check("editors", "warning", f"{name} {'.'.join(map(str, version))} is too old.", step)
        elif command == "code" and _EXTENSION not in _output([program, "--list-extensions"]).lower():
            step = f"code --install-extension {_EXTENSION}"
            yield Check("editors", "warning", "Visual Studio Code has no CodeFace extension.", step)
        else:
            yield Check(
                "editors", "ok", f"{name} {'.'.join(map(str, version)) if version else ''} at {program}."
            )
    if not seen:
        yield Check("editors", "ok", "none of the known ones is on the PATH; any LSP client will do.")


def _version(program: str) -> tuple[int, ...] | None:
    found = re.search(r"\d+(?:\.\d+)+", _output([program, "--version"]))
    return tuple(int(part) for part in found[0].split(".")) if found else None


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
