"""The checks of `codeface doctor` on what answers: torch and GPU, models, the engine, endpoints."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator

from codeface_lsp import paths, runtime
from codeface_lsp.cli.doctor_check import Check
from codeface_lsp.errors import CodeFaceError
from codeface_lsp.settings import Settings

INSTALL = 'Install it: pip install "codeface-lsp[local]".'

_PROBE = """
import json, torch, transformers
devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
mps = getattr(torch.backends, "mps", None)
print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "cuda": torch.version.cuda,
  "devices": devices, "mps": bool(mps and mps.is_available()),
  "memory": [torch.cuda.get_device_properties(i).total_memory for i in range(len(devices))]}))
"""


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
