"""What a language server knows about the user's workspace: the front door of this package."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import watchfiles

from codeface_lsp.context.builder import ContextBuilder, Gathered, Sight
from codeface_lsp.context.parts import Budget, ExtraContext, Parts, TokenCounter
from codeface_lsp.context.syntax import SyntaxTree
from codeface_lsp.settings import Settings
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace import redaction
from codeface_lsp.workspace.client import IndexClient, Report
from codeface_lsp.workspace.gathering import Gatherer
from codeface_lsp.workspace.ignore import IgnoreRules
from codeface_lsp.workspace.neighbours import Neighbour, nearest
from codeface_lsp.workspace.notebooks import Notebooks
from codeface_lsp.workspace.questions import Answer, Embedder, Questions
from codeface_lsp.workspace.recent import RecentEdits
from codeface_lsp.workspace.similar import OpenFiles
from codeface_lsp.workspace.warming import Warming

_INDEX_WAIT_S = 20.0
_LEARN_WAIT_S = 10.0

log = logging.getLogger(__name__)


class Workspace:
    """The workspace of one language server; used from the event loop's thread."""

    def __init__(self, roots: Sequence[Path], settings: Settings) -> None:
        self.roots = tuple(Path(root).absolute() for root in roots)
        self.settings = settings
        self.notices: list[str] = []
        """Sentences about context that had to be left out, each once."""
        self.on_notice: Callable[[str], None] | None = None
        """Told each of them as it comes."""
        self._rules = IgnoreRules(self.roots)
        self._notebooks = Notebooks()
        self._recent = RecentEdits()
        self._open = OpenFiles()
        self._warming = Warming()
        self._builder = ContextBuilder(
            self._gather, self._name, redaction.redact_range, self._may_parse, self._select
        )
        self._gatherers: dict[Path, Gatherer] = {}
        for root in self.roots:
            client = (
                IndexClient(root, settings.context.max_file_kb, self._notice)
                if settings.context.index
                else None
            )
            self._gatherers[root] = Gatherer(root, client, self._recent, self._open, self._rules)
        self._questions = [
            Questions(gatherer.client, gatherer.sources, gatherer.allowed)
            for gatherer in self._gatherers.values()
            if gatherer.client is not None
        ]
        self._paths: dict[str, tuple[Path | None, str]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._starting: asyncio.Task[None] | None = None
        self._learning: asyncio.Task[int] | None = None

    def use(self, settings: Settings) -> None:
        """Put new settings in force; whether there is an index at all is decided at the start."""
        self.settings = settings

    def opened(self, snapshot: Snapshot) -> None:
        """A document was opened."""
        self._builder.advance(snapshot)
        self._notebooks.seen(snapshot)
        self._recent.opened(snapshot)
        self._remember(snapshot)

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit] = ()) -> None:
        """A document changed; `edits`, applied one after the other, lead to `snapshot` from the version before."""
        self._builder.advance(snapshot)
        self._notebooks.seen(snapshot)
        if snapshot.path is None or self._rules.shown(snapshot.path):
            self._recent.changed(snapshot, self._name(snapshot))
        self._remember(snapshot)

    def saved(self, path: Path) -> None:
        """A document was written to disk."""
        self._recent.flush()
        self.files_changed([path])

    def closed(self, uri: str) -> None:
        """A document was closed."""
        self._builder.close(uri)
        self._recent.closed(uri)
        self._notebooks.forget(uri)
        self._warming.drop(uri)
        path = self._paths.pop(uri, None)
        if path is not None:
            self._open.drop(path[1])
            if path[0] is not None:
                self._gatherers[path[0]].sources.closed(path[1])

    def files_changed(self, paths: Iterable[Path]) -> None:
        """Files were created, changed or deleted on disk."""
        changed = [path for each in paths if not self._rules.own(path := Path(each).absolute())]
        self._rules.changed(changed)
        for root, gatherer in self._gatherers.items():
            inside = [path for path in changed if path.is_relative_to(root)]
            if inside and gatherer.client is not None:
                gatherer.client.changed(inside)

    def excluded(self, path: str | None) -> str | None:
        """Why no model may see this file, in words for the user; None if it may."""
        return None if path is None else self._rules.reason(path)

    def tree(self, snapshot: Snapshot) -> SyntaxTree | None:
        """The syntax tree of a snapshot, updated incrementally; None where there is no grammar."""
        return self._builder.tree(snapshot)

    def build(
        self, snapshot: Snapshot, offset: int, budget: Budget, counter: TokenCounter, selected: str = ""
    ) -> Parts:
        """Parts of a completion prompt at `offset`, secrets masked, at most `budget.total` tokens together.

        In a notebook's cell the cells before it belong to the prefix and those after it to the suffix. `selected` is
        the text of the popup's selected item, if the snapshot is what it would be with that item accepted.
        """
        snapshot, offset = self._notebooks.joined(snapshot, offset)
        parts = self._builder.build(snapshot, offset, budget, counter, selected)
        self._warming.begin(snapshot.uri, snapshot.text, self._builder.lines(counter))
        return parts

    def neighbours(self, snapshot: Snapshot) -> list[Neighbour]:
        """Whole files next to a document that a model on this machine may learn from, the nearest first."""
        root = self._root_of(Path(snapshot.path)) if snapshot.path else None
        if root is None or not self.settings.context.enabled:
            return []
        path = self._name(snapshot)
        imported, folder = self._gatherers[root].around(path)
        return nearest(path, root, self._open.texts(), imported, folder, self._rules.shown)

    def notebook(self, uri: str, path: str | None, cells: Sequence[str]) -> None:
        """A notebook was opened or its cells changed places; `cells` are the URIs of its code cells in order."""
        self._notebooks.put(uri, path, cells)

    def notebook_closed(self, uri: str) -> None:
        """A notebook was closed."""
        self._notebooks.drop(uri)
        self._builder.close(uri)
        self._warming.drop(uri)

    @property
    def indexes(self) -> bool:
        """Whether there is a symbol index at all: a root, and the setting."""
        return bool(self._questions)

    @property
    def indexed(self) -> bool:
        """Whether the index was complete once."""
        return all(g.client.ready.is_set() for g in self._gatherers.values() if g.client is not None)

    async def ask(self, question: str, limit: int = 6, embedder: Embedder | None = None) -> list[Answer]:
        """Definitions and sections of the workspace that a question is about, best first.

        Waits a while for an index that is being built, and starts one that is not. Without an `embedder` words alone
        decide; with one, what it has not seen yet is embedded first, for a while, and then behind the answer.
        """
        await self._begun()
        if embedder is not None:
            await self._learnt(embedder)
        answers = [
            answer
            for questions in self._questions
            for answer in await questions.ask(question, limit, embedder)
        ]
        return sorted(answers, key=lambda answer: -answer.score)[:limit]

    async def definitions(self, name: str, limit: int) -> list[Answer]:
        """Functions and classes of this name, whole."""
        await self._begun()
        return [answer for questions in self._questions for answer in questions.named(name, limit)][:limit]

    async def learn(self, embedder: Embedder) -> int:
        """Embed what the index holds, for `ask`; returns how many definitions were new."""
        return sum([await questions.learn(embedder) for questions in self._questions])

    def relative(self, path: str | Path) -> str:
        """A file's name relative to the root that holds it, with forward slashes; its bare name outside of them."""
        target = Path(path)
        root = self._root_of(target)
        return target.name if root is None else target.relative_to(root).as_posix()

    async def start(self, report: Report | None = None) -> None:
        """Build the index, and keep it up to date until `aclose`; returns when it is complete."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(report))
        await asyncio.shield(self._starting)

    async def _start(self, report: Report | None) -> None:
        self._tasks.append(asyncio.create_task(asyncio.to_thread(redaction.prepare)))
        clients = [g.client for g in self._gatherers.values() if g.client is not None]
        for client in clients:
            running = asyncio.create_task(client.run(report))
            self._tasks.append(running)
            ready = asyncio.create_task(client.ready.wait())
            await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
        for uri in list(self._paths):
            self._builder.refresh(uri)

    async def watch(self) -> None:
        """Watch the roots' files; for clients that cannot do it themselves. Runs until cancelled."""
        if not self.roots:
            return
        async for changes in watchfiles.awatch(*self.roots, step=500, ignore_permission_denied=True):
            self.files_changed([Path(path) for _, path in changes])

    async def aclose(self) -> None:
        """Stop the indexing processes."""
        self._warming.stop()
        for beginning in (self._learning, self._starting):
            if beginning is not None:
                beginning.cancel()
                await asyncio.gather(beginning, return_exceptions=True)
        for gatherer in self._gatherers.values():
            if gatherer.client is not None:
                await gatherer.client.aclose()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def _begun(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.start(), _INDEX_WAIT_S)

    async def _learnt(self, embedder: Embedder) -> None:
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self.learn(embedder))
        await asyncio.wait([self._learning], timeout=_LEARN_WAIT_S)
        if self._learning.done() and (error := self._learning.exception()) is not None:
            log.warning("the index could not be embedded: %s", type(error).__name__)

    def _gather(self, sight: Sight) -> Gathered:
        gatherer = self._gatherer(sight.snapshot)
        if gatherer is None or not self.settings.context.enabled:
            return Gathered()
        found = gatherer.gather(sight, self._name(sight.snapshot), self.settings.context)
        return Gathered(found.extra, tuple(self.notices))

    def _select(self, sight: Sight, item: str) -> ExtraContext | None:
        gatherer = self._gatherer(sight.snapshot)
        settings = self.settings.context
        if gatherer is None or not (settings.enabled and settings.definitions):
            return None
        return gatherer.selected(sight, self._name(sight.snapshot), item)

    def _gatherer(self, snapshot: Snapshot) -> Gatherer | None:
        root = self._root_of(Path(snapshot.path)) if snapshot.path else None
        return self._gatherers.get(root) if root is not None else None

    def _may_parse(self, snapshot: Snapshot) -> bool:
        """Not if the indexing process died of this file."""
        gatherer = self._gatherer(snapshot)
        client = gatherer.client if gatherer is not None else None
        nothing: set[str] = set()
        return client is None or self._name(snapshot) not in client.read(
            lambda reader: reader.skipped(), nothing
        )

    def _remember(self, snapshot: Snapshot) -> None:
        name = self._name(snapshot)
        root = self._root_of(Path(snapshot.path)) if snapshot.path else None
        self._paths[snapshot.uri] = (root, name)
        if snapshot.path is None or self._rules.shown(snapshot.path):
            self._open.put(name, snapshot.text)
        if root is not None:
            self._gatherers[root].sources.opened(name, snapshot.text)

    def _root_of(self, path: Path) -> Path | None:
        inside = [root for root in self.roots if path.is_relative_to(root)]
        return max(inside, key=lambda root: len(root.parts), default=None)

    def _name(self, snapshot: Snapshot) -> str:
        return self.relative(snapshot.path) if snapshot.path else snapshot.uri.rpartition("/")[2]

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)
            if self.on_notice is not None:
                self.on_notice(text)
