"""The statistics as one self-contained HTML page: inline SVG, no script, nothing loaded from anywhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

from codeface_lsp.assist import stats_report
from codeface_lsp.assist.stats import BUCKETS_MS
from codeface_lsp.assist.stats_report import Group, Report

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2530;
background:#fbfbfa}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}
.figures{display:flex;flex-wrap:wrap;gap:2rem}.figures b{display:block;font-size:1.8rem}svg{width:100%;height:auto}
.note{color:#667}.a{fill:#3b7dd8}.b{fill:#c9d7ea}text{font:11px system-ui,sans-serif;fill:#556}
@media(prefers-color-scheme:dark){body{color:#dde3ea;background:#161a20}th,td{border-color:#333}.b{fill:#33475f}
text{fill:#9ab}}
"""
_WIDTH, _HEIGHT, _MARGIN = 720, 180, 26


def write_page(file: Path, days: int = 30, database: Path | None = None) -> Path:
    """Draw the last `days` days into `file` and return it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(stats_report.load(days, database)), encoding="utf-8")
    return file


def page(report: Report) -> str:
    """The whole page."""
    total = report.total
    p50, p95 = report.percentile(0.5), report.percentile(0.95)
    figures = [
        ("suggestions shown", f"{total.shown:,}"),
        ("taken", f"{total.acceptance:.0%}"),
        ("characters written", f"{total.chars:,}"),
        ("kept after 5 min", _share(total.kept_5min)),
        ("without a model call", f"{report.cache_share:.0%}"),
        ("answered within (p50 / p95)", f"{_ms(p50)} / {_ms(p95)}"),
    ]
    cards = "".join(f"<div><b>{escape(value)}</b>{escape(name)}</div>" for name, value in figures)
    daily = [(group.name[5:], group.shown, group.accepted + group.partial) for group in report.daily]
    labels = [f"≤{bound}" for bound in BUCKETS_MS] + [f">{BUCKETS_MS[-1]}"]
    latency = [(label, count, count) for label, count in zip(labels, report.latency, strict=False)]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>CodeFace statistics</title><style>{_STYLE}</style>"
        f"<h1>CodeFace, the last {report.days} days</h1><div class='figures'>{cards}</div>"
        f"<h2>Suggestions by day: shown and taken</h2>{_bars(daily)}"
        f"<h2>Time to an answer (ms)</h2>{_bars(latency)}"
        f"<h2>By language</h2>{_table(report.languages)}<h2>By model</h2>{_table(report.models)}"
        f"<h2>Requests</h2>{_outcomes(report)}"
        "<p class='note'>Counted on this machine for you alone; no text is stored. "
        "<code>stats.enabled: false</code> switches it off.</p></html>"
    )


def _bars(bars: list[tuple[str, int, int]]) -> str:
    """Pairs of bars, the second inside the first; `bars` are `(label, outer, inner)`."""
    if not any(outer for _, outer, _ in bars):
        return "<p class='note'>Nothing yet.</p>"
    top = max(outer for _, outer, _ in bars)
    step = (_WIDTH - 2 * _MARGIN) / len(bars)
    every = max(1, len(bars) // 16)
    parts = [f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img'><text x='0' y='12'>{top:,}</text>"]
    for index, (label, outer, inner) in enumerate(bars):
        x = _MARGIN + index * step
        for count, kind in ((outer, "b"), (inner, "a")):
            height = (_HEIGHT - 2 * _MARGIN) * count / top
            parts.append(
                f"<rect class='{kind}' x='{x + step * 0.1:.1f}' width='{step * 0.8:.1f}'"
                f" y='{_HEIGHT - _MARGIN - height:.1f}' height='{height:.1f}'><title>{escape(label)}: {count:,}"
                "</title></rect>"
            )
        if index % every == 0:
            parts.append(
                f"<text x='{x + step / 2:.1f}' y='{_HEIGHT - 8}' text-anchor='middle'>{escape(label)}</text>"
            )
    return "".join([*parts, "</svg>"])


def _table(groups: list[Group]) -> str:
    rows = "".join(
        f"<tr><td>{escape(group.name) or '-'}<td>{group.shown:,}<td>{group.accepted:,}<td>{group.partial:,}"
        f"<td>{group.rejected:,}<td>{group.acceptance:.0%}<td>{group.chars:,}<td>{_share(group.kept_30s)}"
        f"<td>{_share(group.kept_5min)}"
        for group in groups
    )
    head = "<th><th>shown<th>whole<th>in part<th>refused<th>taken<th>characters<th>kept 30 s<th>kept 5 min"
    return f"<table><tr>{head}{rows}</table>"


def _outcomes(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}<td>{count:,}"
        for name, count in sorted(report.outcomes.items(), key=lambda item: -item[1])
    )
    return f"<table><tr><th>outcome<th>requests{rows}</table>"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
