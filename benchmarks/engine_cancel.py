"""How long a cancelled prefill goes on, and how late the engine's event loop wakes while it infers.

python -m benchmarks.engine_cancel [--model bundled|random|both] [--rounds N] [--threads N] [--json FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.report import Row, arguments, models, report
from codeface_lsp.inference import bench


def rows(asked: argparse.Namespace) -> Iterator[Row]:
    for label, source in models(asked.model):
        yield from bench.cancel(label, source, asked.rounds, asked.threads)


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    report(rows(options), options.json)
