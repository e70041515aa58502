"""What an editor can ask about CodeFace itself: models, status, context, and commands about the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.lsp_client import LspClient, language_server

MOCK = {"CODEFACE_ENGINE__MOCK": "true", "CODEFACE_CONTEXT__INDEX": "false"}
URI = "file:///project/main.py"


async def ready(client: LspClient) -> None:
    states = client.notifications["codeface/didChangeStatus"]
    await client.until(lambda: states and states[-1]["state"] == "ready", timeout=100)


async def command(client: LspClient, name: str, *arguments: Any) -> Any:
    return await client.request("workspace/executeCommand", {"command": name, "arguments": list(arguments)})


async def test_models_status_and_the_engines_commands(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=MOCK) as client:
        await client.initialize()
        await ready(client)
        models = (await client.request("codeface/models", {}))["models"]
        assert [model for model in models if model["mock"]], "a scripted model is marked as such"
        name = models[0]["id"]

        for action in ("load", "unload", "default"):
            client.notifications["$/progress"].clear()
            assert await command(client, f"codeface.model.{action}", name) is None  # answered at once
            progress = client.notifications["$/progress"]
            await client.until(lambda p=progress: any(step["value"]["kind"] == "end" for step in p))

        before = len(client.notifications["codeface/didChangeStatus"])
        await command(client, "codeface.restartEngine")
        states = client.notifications["codeface/didChangeStatus"]
        await client.until(
            lambda: (
                any(state["state"] == "starting" for state in states[before:])
                and states[-1]["state"] == "ready"
            ),
            timeout=100,
        )
        client.open(URI, "x = ")
        await client.inline(URI, 0, 4)
        assert (await client.request("codeface/status", {}))["state"] == "ready"
        assert await client.shutdown() == 0


async def test_what_the_model_sees_can_be_looked_at(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=MOCK) as client:
        await client.initialize()
        client.open(URI, "import os\n\n\ndef f():\n    return os.path\n\n\ndef g():\n    pass\n")
        position = {"line": 4, "character": 14}
        seen = await client.request("codeface/context", {"textDocument": {"uri": URI}, "position": position})
        assert seen["prefix"].endswith("return os.")
        assert "def g" in seen["suffix"]
        assert seen["site"]["enclosing"] == ["f"]
        assert seen["tokens"] > 0
