"""`codeface stats`: what became of suggestions, in the terminal or as an HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from codeface_lsp.assist import stats_page, stats_report
from codeface_lsp.assist.stats import BUCKETS_MS
from codeface_lsp.assist.stats_report import Group, Report

_BARS = " ▁▂▃▄▅▆▇█"


def stats(
    days: Annotated[int, typer.Option(min=1, help="How many days back.")] = 30,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file instead.")] = None,
) -> None:
    """Show what became of suggestions: counted on this machine for you alone, without any text."""
    console = Console()
    if html is not None:
        console.print(f"Written: {stats_page.write_page(html, days)}", highlight=False)
        return
    report = stats_report.load(days)
    if not report.requests and not report.total.shown:
        console.print("Nothing counted yet: statistics begin with the first suggestion in an editor.")
        return
    _draw(console, report)


def _draw(console: Console, report: Report) -> None:
    p50, p95 = report.percentile(0.5), report.percentile(0.95)
    console.print(f"[bold]The last {report.days} days[/bold]  {report.requests:,} requests", highlight=False)
    console.print(
        f"answered within {_ms(p50)} (p50), {_ms(p95)} (p95); {report.cache_share:.0%} of the suggestions"
        " without a model call",
        highlight=False,
    )
    console.print(f"time to an answer  {_spark(report.latency)}  1 ms … {BUCKETS_MS[-1]} ms", highlight=False)
    if report.daily:
        console.print(
            f"shown per day      {_spark([group.shown for group in report.daily])}", highlight=False
        )
    console.print(_table("language", [*report.languages, report.total]))
    console.print(_table("model", report.models))
    outcomes = sorted(report.outcomes.items(), key=lambda item: -item[1])
    console.print("requests  " + ", ".join(f"{name} {count:,}" for name, count in outcomes), highlight=False)


def _table(title: str, groups: list[Group]) -> Table:
    table = Table(title, box=None, header_style="bold")
    for column in ("shown", "whole", "in part", "refused", "taken", "characters", "kept 30 s", "kept 5 min"):
        table.add_column(column, justify="right")
    for group in groups:
        counts = (group.shown, group.accepted, group.partial, group.rejected)
        table.add_row(
            group.name or "-",
            *(f"{count:,}" for count in counts),
            f"{group.acceptance:.0%}",
            f"{group.chars:,}",
            _share(group.kept_30s),
            _share(group.kept_5min),
        )
    return table


def _spark(counts: list[int]) -> str:
    top = max(counts, default=0) or 1
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // top)] for count in counts)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
