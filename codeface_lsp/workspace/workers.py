"""Worker processes that read and parse files for the indexing process: `python -m codeface_lsp.workspace.workers ROOT`.

Parsing holds Python's lock, so threads would not use a second processor. A worker gets lists of files as pickles on
stdin and answers with their entries on stdout. It ends when stdin does, so it never outlives the process that started
it by more than one list.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType

from codeface_lsp.workspace import scanning
from codeface_lsp.workspace.scanning import Found
from codeface_lsp.workspace.store import FileEntry

WORTH_BYTES = 2_000_000
"""Less than this is read sooner than two workers have started and saved their start: about 0.6 s of parsing."""
_LIST_BYTES = 200_000
"""One list is parsed in about 60 ms: progress is smooth, and what waits in memory is little."""
_MOST = 4
"""More workers would wait for the one process that writes."""


class WorkerLost(Exception):
    """A worker ended in the middle of its work: a grammar crashed, or the system stopped it."""


def count() -> int:
    """How many workers this machine is good for; one is as good as none."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MOST)


def worth(files: Sequence[Found]) -> bool:
    """Whether workers finish with these files sooner than one process does."""
    return count() > 1 and sum(found.size for found in files) >= WORTH_BYTES


class Workers:
    """Some workers for one scan: a context manager, at whose end they are gone."""

    def __init__(self, root: Path) -> None:
        """Start them. Raises `OSError` if the system starts no more processes."""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count(), "index-worker")
        try:
            for _ in range(count()):
                self._start(root)
        except OSError:
            self._stop()
            raise

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def read(self, files: Sequence[Found]) -> Iterator[FileEntry | None]:
        """The entry of each file, in their order; None where `scanning.read_safely` gives none.

        Raises `WorkerLost` when a worker ends; what was given before that is whole.
        """
        lists = _lists(files)
        running: deque[Future[list[FileEntry | None]]] = deque()
        running.extend(self._threads.submit(self._ask, each) for each in islice(lists, 2 * count()))
        while running:
            entries = running.popleft().result()
            running.extend(self._threads.submit(self._ask, each) for each in islice(lists, 1))
            yield from entries

    def _ask(self, files: list[Found]) -> list[FileEntry | None]:
        process = self._idle.get()
        assert process.stdin is not None and process.stdout is not None
        try:
            pickle.dump(files, process.stdin)
            process.stdin.flush()
            entries: list[FileEntry | None] = pickle.load(process.stdout)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise WorkerLost(f"a worker ended with code {process.poll()}") from error
        finally:
            self._idle.put(process)
        return entries

    def _start(self, root: Path) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "codeface_lsp.workspace.workers", str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        self._idle.put(process)

    def _stop(self) -> None:
        for process in self._processes:
            process.kill()  # nothing is lost: what a worker holds can be read again
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.communicate()


def _lists(files: Sequence[Found]) -> Iterator[list[Found]]:
    """The files in lists of about equal size."""
    gathered: list[Found] = []
    size = 0
    for found in files:
        gathered.append(found)
        size += found.size
        if size >= _LIST_BYTES:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered


def main() -> None:
    """Read lists of files until stdin ends."""
    root = Path(sys.argv[1])
    while True:
        try:
            files: list[Found] = pickle.load(sys.stdin.buffer)
            entries = [scanning.read_safely(root, found) for found in files]
            pickle.dump(entries, sys.stdout.buffer)
            sys.stdout.flush()
        except (EOFError, OSError):  # the indexing process has no more work, or is gone
            os._exit(0)


if __name__ == "__main__":
    main()
