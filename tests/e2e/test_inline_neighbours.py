"""What an open file says is suggested in the one next to it, by the model in the box, through the real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.lsp_client import SERVER, language_server

QUIET = {"index": False, "similar": False, "definitions": False, "recent_edits": False}
"""No extra context: what the model knows of another file it knows by its n-grams."""
CALL = "    total = ledger_of_the_quarter.reconcile_with(previous_quarter)\n"
LEDGER = "".join(
    f"def close_{part}(ledger_of_the_quarter):\n{CALL}    return total\n\n\n" for part in "abcdef"
)
MAIN = "def close(ledger_of_the_quarter, previous_quarter):\n    total = ledger_of_the_quarter.rec"
ENVIRON = {"CODEFACE_COMPLETION__MIN_CONFIDENCE": "-100", "CODEFACE_ENGINE__THREADS": "1"}


async def test_a_neighbour_s_call_is_continued(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    async with language_server(tmp_path / "home", environ=ENVIRON, command=SERVER) as client:
        await client.initialize(root, options={"context": QUIET, "completion": {"prefetch": False}})
        ledger, main = (root / "ledger.py").as_uri(), (root / "main.py").as_uri()
        client.open(main, MAIN)

        async def suggested(version: int) -> str:
            """Ask behind a comment that is new each time, so that the answer is no remembered one."""
            client.change(main, version, (0, 0), (0, 0), f"# {version}\n")
            answer = await client.inline(main, version + 1, len(MAIN.split("\n")[1]), invoked=False)
            return "".join(item["insertText"] for item in (answer or {"items": []})["items"])

        alone = await suggested(1)
        assert not alone.startswith("oncile_with(previous_quarter)")
        client.open(ledger, LEDGER)
        async with asyncio.timeout(60):
            version = 2
            while not (await suggested(version)).startswith("oncile_with(previous_quarter)"):
                version += 1
                await asyncio.sleep(0.05)
