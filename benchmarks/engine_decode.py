"""Tokens per second behind 1,000 tokens against transformers' `generate`, and what drafting gives.

python -m benchmarks.engine_decode [--model bundled|random|both] [--rounds N] [--threads N] [--json FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.report import Row, arguments, models, report
from codeface_lsp.inference import bench


def rows(asked: argparse.Namespace) -> Iterator[Row]:
    for label, source in models(asked.model):
        yield from bench.decode(label, source, asked.rounds, asked.threads)
        yield from bench.speculation(label, source, asked.rounds, asked.threads)


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    report(rows(options), options.json)
