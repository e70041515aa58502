"""Downloads from the hub: one for each model, joined by whoever else asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from codeface_lsp.models import hub
from codeface_lsp.models.registry import ModelEntry


class Downloads:
    """What is on its way. A download belongs to nobody: going away does not cancel it."""

    def __init__(self, tell: Callable[[str, str, float | None], None]) -> None:
        """`tell` hears the model's name, a sentence, and the share that is done (None when unknown)."""
        self._tell = tell
        self._running: dict[str, asyncio.Task[Path]] = {}

    async def fetch(self, entry: ModelEntry) -> Path:
        """The folder of a model, fetched now if need be. Raises `ModelLoadError`."""
        task = self._running.get(entry.model_name)
        if task is None:
            task = asyncio.create_task(self._fetch(entry, asyncio.get_running_loop()))
            self._running[entry.model_name] = task
            task.add_done_callback(lambda _: self._running.pop(entry.model_name, None))
        return await asyncio.shield(task)

    async def _fetch(self, entry: ModelEntry, loop: asyncio.AbstractEventLoop) -> Path:
        def report(done: int, total: int) -> None:
            share = done / total if total else None
            text = f"Downloading {entry.name}: {done / 1e9:.2f} of {total / 1e9:.2f} GB."
            loop.call_soon_threadsafe(self._tell, entry.name, text, share)

        return await asyncio.to_thread(
            hub.download,
            entry.model_name,
            revision=entry.revision,
            gguf_file=entry.gguf_file,
            report=report,
        )
