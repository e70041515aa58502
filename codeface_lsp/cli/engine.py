"""`codeface engine`: run, start, look at and stop the local engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from typing import Annotated, Any

import typer

from codeface_lsp import runtime, settings
from codeface_lsp.errors import EndpointError, EndpointUnreachable

app = typer.Typer(no_args_is_help=True, help="The local engine: one per user, shared by every window.")

_STOP_S = 5.0


def _mock(wanted: bool) -> None:
    if wanted:
        os.environ["CODEFACE_ENGINE__MOCK"] = "true"


Mock = Annotated[
    bool, typer.Option("--mock", callback=_mock, help="Serve a scripted model, for development.")
]


@app.command()
def run(mock: Mock = False) -> None:
    """Serve in the foreground until Ctrl-C."""
    from codeface_lsp.serving import main

    raise typer.Exit(main.run(settings.load(), foreground=True))


@app.command()
def start(mock: Mock = False) -> None:
    """Start the engine in the background, unless it runs already."""
    from codeface_lsp.endpoints.launcher import Launcher

    loaded = settings.load()
    found = asyncio.run(Launcher(loaded.engine).ensure())
    typer.echo(f"The engine runs: pid {found.pid}, port {found.port}.")


@app.command()
def status(
    as_json: bool = typer.Option(False, "--json", help="Print JSON: pid, port, token, models and more."),
) -> None:
    """Tell whether the engine runs, where, and what it holds. Exit status 1 if it does not run."""
    report = asyncio.run(_report())
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    elif not report["running"]:
        typer.echo("The engine does not run; `codeface engine start` starts it, and so does an editor.")
    else:
        loaded = ", ".join(model["name"] for model in report["models"]) or "none"
        typer.echo(f"The engine is {report['state']}: pid {report['pid']}, port {report['port']}.")
        typer.echo(
            f"Version {report['version']}, {report['windows']} windows attached, models loaded: {loaded}."
        )
        if report["message"]:
            typer.echo(report["message"])
    if not report["running"]:
        raise typer.Exit(1)


async def _report() -> dict[str, Any]:
    from codeface_lsp.endpoints.codeface import CodefaceServer
    from codeface_lsp.endpoints.http import ServerClient

    found = runtime.read()
    if found is None or not runtime.held():
        return {"running": False, "models": []}
    client = ServerClient("The engine", found.url, api_key=found.token, timeout_s=10)
    server = CodefaceServer(client)
    try:
        health = await server.health(timeout_s=5)
        models: list[dict[str, Any]] = []
        if health.get("status") != "starting":
            with suppress(EndpointError):
                models = (await server.manage("info", {}))["models"]
    except EndpointUnreachable:
        return {"running": False, "models": [], "pid": found.pid, "problem": "it does not answer"}
    finally:
        await client.aclose()
    return {
        "running": True,
        "state": "ready" if health["status"] == "ok" else health["status"],
        "message": health["message"],
        "pid": found.pid,
        "port": found.port,
        "token": found.token,
        "url": found.url,
        "version": health["version"],
        "windows": health["windows"],
        "models": [model for model in models if model["state"] == "loaded"],
    }


@app.command()
def stop() -> None:
    """Stop the engine; one that does not answer is killed."""
    found = runtime.read()
    if found is None or not runtime.held():
        typer.echo("The engine does not run.")
        return
    try:
        asyncio.run(_ask_to_stop(found))
    except EndpointError:
        with suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGTERM)
    if not _gone(_STOP_S):
        with suppress(ProcessLookupError):
            os.kill(found.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        _gone(_STOP_S)
    typer.echo("The engine has stopped.")


async def _ask_to_stop(found: runtime.Runtime) -> None:
    from codeface_lsp.endpoints.http import ServerClient

    client = ServerClient("The engine", found.url, api_key=found.token, timeout_s=3)
    try:
        await client.post("/codeface/stop", {})
    finally:
        await client.aclose()


def _gone(within_s: float) -> bool:
    """Wait until nobody holds the engine's lock."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not runtime.held():
            return True
        time.sleep(0.05)
    return False
