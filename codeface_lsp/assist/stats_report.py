"""The statistics read back: sums, rates, percentiles, by language, by model, by day."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from codeface_lsp.assist.stats import BUCKETS_MS, connect, stats_file

_ORIGINS = ("engine", "joined", "cache", "prefetch")


@dataclass(frozen=True, slots=True)
class Group:
    """Suggestions of one language, one model, one day, or all. Characters kept are None where not measured yet."""

    name: str
    shown: int = 0
    accepted: int = 0
    partial: int = 0
    rejected: int = 0
    chars: int = 0
    kept_30s: float | None = None
    """Share of the accepted characters that still stand after 30 s."""
    kept_5min: float | None = None

    @property
    def acceptance(self) -> float:
        """Share of suggestions that were taken, whole or in part."""
        return (self.accepted + self.partial) / self.shown if self.shown else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is drawn."""

    days: int
    total: Group
    languages: list[Group] = field(default_factory=list)
    models: list[Group] = field(default_factory=list)
    daily: list[Group] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    latency: list[int] = field(default_factory=list)
    """Answered requests per bucket of `BUCKETS_MS`."""

    @property
    def requests(self) -> int:
        """Requests of all kinds."""
        return sum(self.outcomes.values())

    @property
    def cache_share(self) -> float:
        """Share of the suggestions that needed no generation of their own."""
        found = {origin: self.outcomes.get(origin, 0) for origin in _ORIGINS}
        total = sum(found.values())
        return (found["cache"] + found["prefetch"]) / total if total else 0.0

    def percentile(self, share: float) -> float | None:
        """Upper bound (ms) of the bucket in which a percentile of the latencies lies; None without requests."""
        total = sum(self.latency)
        seen = 0
        for index, count in enumerate(self.latency):
            seen += count
            if total and seen >= share * total:
                return BUCKETS_MS[index] if index < len(BUCKETS_MS) else float("inf")
        return None


def load(days: int, file: Path | None = None) -> Report:
    """Read the last `days` days; an empty report if nothing was counted yet."""
    file = file or stats_file()
    if not file.exists():
        return Report(days, Group("all"))
    since = int(time.time()) - days * 86_400
    with closing(connect(file)) as connection:
        outcomes, latency = _requests(connection, since)
        return Report(
            days,
            next(iter(_groups(connection, "'all'", since)), Group("all")),
            _groups(connection, "language", since),
            _groups(connection, "model", since),
            _groups(connection, "date(shown_at, 'unixepoch', 'localtime')", since, "name"),
            outcomes,
            latency,
        )


def _groups(connection: sqlite3.Connection, key: str, since: int, order: str = "shown DESC") -> list[Group]:
    rows = connection.execute(
        f"SELECT {key} AS name, count(*) AS shown, sum(outcome = 'accepted'), sum(outcome = 'partial'),"
        " sum(outcome = 'rejected'), sum(accepted_chars),"
        " sum(kept_30s) * 1.0 / nullif(sum(iif(kept_30s IS NULL, 0, accepted_chars)), 0),"
        " sum(kept_5min) * 1.0 / nullif(sum(iif(kept_5min IS NULL, 0, accepted_chars)), 0)"
        f" FROM suggestions WHERE shown_at >= ? GROUP BY 1 ORDER BY {order}",
        (since,),
    )
    return [Group(*row) for row in rows]


def _requests(connection: sqlite3.Connection, since: int) -> tuple[dict[str, int], list[int]]:
    day = time.strftime("%Y-%m-%d", time.localtime(since))
    outcomes: dict[str, int] = {}
    latency = [0] * (len(BUCKETS_MS) + 1)
    rows = connection.execute("SELECT outcome, bucket, count FROM requests WHERE day >= ?", (day,))
    for outcome, bucket, count in rows:
        outcomes[outcome] = outcomes.get(outcome, 0) + count
        if outcome in _ORIGINS or outcome == "empty":
            latency[bucket] += count
    return outcomes, latency
