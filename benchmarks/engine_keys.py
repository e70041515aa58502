"""One more key on a 1,000-token prompt, against cold and against transformers' `generate`.

python -m benchmarks.engine_keys [--model bundled|random|both] [--rounds N] [--threads N] [--json FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.report import Row, arguments, models, report
from codeface_lsp.inference import bench


def rows(asked: argparse.Namespace) -> Iterator[Row]:
    for label, source in models(asked.model):
        yield from bench.keys(label, source, asked.rounds, asked.threads)


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    report(rows(options), options.json)
