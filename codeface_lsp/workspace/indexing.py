"""The indexing process: `python -m codeface_lsp.workspace.indexing ROOT MAX_KB`.

Parsing holds Python's lock, so it happens beside the language server, not inside it; and if a grammar crashes, it takes
only this process down, which then leaves that file out. Lines of JSON come on stdin, `{"changed": [path, ...]}`, and go
to stdout: `{"done", "total"}` while scanning, `{"ready": counts}` when all is indexed, `{"updated": n}` after changes,
`{"notice": sentence}`. It ends when stdin does, in the middle of a scan, too.

Several windows each have one; whoever holds the lock file writes.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from codeface_lsp.workspace import scanning, store, workers
from codeface_lsp.workspace.ignore import IgnoreRules
from codeface_lsp.workspace.reader import Reader

_COMMIT_EVERY_S = 1.0
_REPORT_EVERY_S = 0.25
_LOCK_WAIT_S = 600.0
_UPDATE_WAIT_S = 30.0

log = logging.getLogger(__name__)


class Indexer:
    """Keeps the index of one root up to date."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self.file = store.path_of(root)
        self.rules = IgnoreRules([root])
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{self.file}.lock")
        self._marker = store.marker_of(self.file)
        self._changed: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._ended = threading.Event()

    def run(self) -> None:
        """Scan once, then follow changes until stdin ends."""
        self._end_in_order()
        threading.Thread(target=self._listen, daemon=True).start()
        self._guarded(self.scan)
        while (paths := self._changed.get()) is not None:
            self._guarded(partial(self.update, paths))

    def scan(self) -> None:
        """Bring the whole index up to date: new and changed files are read, vanished ones forgotten."""
        with self._lock.acquire(timeout=_LOCK_WAIT_S):
            writer = store.Writer(self.file)
            try:
                self._scan(writer)
            finally:
                writer.close()
        self._tell_ready()

    def _tell_ready(self) -> None:
        with closing(Reader(self.file)) as reader:
            tell({"ready": reader.counts()})

    def update(self, paths: Iterable[str]) -> None:
        """Read some files again; all that changed if none are named, or if what is ignored changed."""
        targets = [Path(path) for path in dict.fromkeys(paths)]
        if not targets or self.rules.changed(targets):
            self.scan()
            return
        with self._lock.acquire(timeout=_UPDATE_WAIT_S):
            writer = store.Writer(self.file)
            try:
                count = sum(self._update(writer, target) for target in targets)
                writer.commit()
            finally:
                writer.close()
        tell({"updated": count})

    def _update(self, writer: store.Writer, target: Path) -> int:
        if not target.is_relative_to(self.root):
            return 0
        found = scanning.one(self.root, self.rules, target, self.max_bytes)
        entry = self._read(found) if found is not None else None
        if entry is None:
            writer.remove([target.relative_to(self.root).as_posix()])
        else:
            writer.put(entry)
        return 1

    def _scan(self, writer: store.Writer) -> None:
        writer.renew_if_worn()
        self._skip_what_crashed(writer)
        known, skipped = writer.known(), writer.skipped()
        present: dict[str, scanning.Found] = {}
        for found in scanning.files(self.root, self.rules, self.max_bytes):
            if len(present) == scanning.MAX_FILES:
                tell(
                    {
                        "notice": f"Only the {scanning.MAX_FILES} files nearest to the workspace's root are indexed."
                    }
                )
                break
            present[found.path] = found
        writer.remove(path for path in known if path not in present)
        stale = [
            found
            for path, found in present.items()
            if known.get(path, (0, 0, 0))[1:] != (found.mtime_ns, found.size)
            and skipped.get(path) != found.mtime_ns
        ]
        self._read_all(writer, stale)
        if stale:
            writer.finish(new=len(stale) > len(present) // 2)
        else:
            writer.commit()

    def _read_all(self, writer: store.Writer, stale: list[scanning.Found]) -> None:
        committed = reported = time.monotonic()
        with closing(self._entries(stale)) as entries:
            for done, (found, entry) in enumerate(zip(stale, entries, strict=True), 1):
                if entry is None:
                    writer.remove([found.path])
                    writer.skip(found.path, found.mtime_ns, "no text")
                else:
                    writer.put(entry)
                now = time.monotonic()
                if now - committed > _COMMIT_EVERY_S:
                    writer.commit()
                    committed = now
                if now - reported > _REPORT_EVERY_S:
                    tell({"done": done, "total": len(stale)})
                    reported = now
                if self._ended.is_set():
                    writer.commit()
                    sys.exit()

    def _entries(self, stale: list[scanning.Found]) -> Generator[store.FileEntry | None]:
        """The entries of files in their order, by several processes where that is worth it.

        If one of them is lost, this process reads the rest: a file that crashed it is met again, and then known.
        """
        done = 0
        if workers.worth(stale):
            try:
                with workers.Workers(self.root) as several:
                    for entry in several.read(stale):
                        done += 1
                        yield entry
            except (workers.WorkerLost, OSError) as error:
                log.warning("the index is built by one process: %s", error)
        for found in stale[done:]:
            yield self._read(found)

    def _read(self, found: scanning.Found) -> store.FileEntry | None:
        """Parse a file, with its name on disk as long as that takes: after a crash it tells which one it was."""
        self._marker.write_text(f"{found.mtime_ns} {found.path}", encoding="utf-8", errors="surrogateescape")
        try:
            return scanning.read_safely(self.root, found)
        finally:
            self._marker.unlink(missing_ok=True)

    def _skip_what_crashed(self, writer: store.Writer) -> None:
        try:
            mtime, _, path = self._marker.read_text(encoding="utf-8", errors="surrogateescape").partition(" ")
        except OSError:
            return
        self._marker.unlink(missing_ok=True)
        if path and mtime.isdigit():
            writer.skip(path, int(mtime), "crash")
            writer.commit()
            tell({"notice": f"The grammar for {path} failed; CodeFace goes on without its symbols."})

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run a piece of work; damage is repaired once, anything else becomes a notice."""
        try:
            work()
        except Timeout:
            log.info("another window keeps the index busy")
            with suppress(sqlite3.Error):
                self._tell_ready()
        except sqlite3.OperationalError as error:
            tell({"notice": f"The symbol index cannot be written ({error}); completion goes on without it."})
        except sqlite3.DatabaseError:
            store.delete(self.file)
            try:
                self.scan()
            except (sqlite3.Error, OSError) as error:
                tell(
                    {
                        "notice": f"The symbol index cannot be rebuilt ({error}); completion goes on without it."
                    }
                )
        except OSError as error:
            tell(
                {
                    "notice": f"The symbol index cannot be kept ({error.strerror}); completion goes on without it."
                }
            )

    def _end_in_order(self) -> None:
        """Have the signals that end a session run what cleans up: a half-read file would pass for one that crashed."""

        def end(*_: object) -> None:
            self._end()
            sys.exit()  # a parser that calls back loses it, and the scan ends behind that file

        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), end)

    def _end(self) -> None:
        self._ended.set()
        self._changed.put(None)

    def _listen(self) -> None:
        for line in sys.stdin:
            try:
                self._changed.put([str(path) for path in json.loads(line)["changed"]])
            except (ValueError, KeyError, TypeError):
                log.warning("a line on stdin made no sense")
        self._end()


def tell(message: dict[str, object]) -> None:
    """Send one line to the language server; without one listening there is nothing left to do."""
    try:
        print(json.dumps(message), flush=True)
    except BrokenPipeError:
        os._exit(0)


def main() -> None:
    """Index until stdin ends."""
    os.nice(5) if hasattr(os, "nice") else None
    root, max_kb = Path(sys.argv[1]), int(sys.argv[2])
    try:
        Indexer(root, max_kb * 1024).run()
    except OSError as error:
        tell(
            {"notice": f"The symbol index cannot be kept ({error.strerror}); completion goes on without it."}
        )


if __name__ == "__main__":
    main()
