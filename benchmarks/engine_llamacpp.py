"""Decoding and prefill against llama.cpp with q8_0 weights of the same model.

python -m benchmarks.engine_llamacpp --python PYTHON [--model bundled|random|both] [--rounds N] [--json FILE]

`PYTHON` is an interpreter with the peer: a virtual environment with llama-cpp-python, gguf and safetensors in it.
Installing them compiles llama.cpp for this processor, which takes a while.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, arguments, models, report
from codeface_lsp.inference import bench, bench_worker

PEER = "llama.cpp q8_0"


def rows(asked: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """One more key, cold prefill and decoding of each model, both engines in turns."""
    for label, source in models(asked.model):
        checkpoint = _checkpoint(source, folder / label)
        worker = Path(__file__).parent / "llamacpp_worker.py"
        command = [str(asked.python), str(worker), str(checkpoint), str(asked.threads)]
        measures = ("key", "cold", "decode")
        taken = bench.interleaved(
            source, (bench.OURS,), measures, asked.rounds, asked.threads, {PEER: command}
        )
        ours, peer = taken[bench.OURS], taken[PEER]
        yield bench.row(f"one more key on 1,000 tokens, {label}", ours["key"], peer["key"], PEER)
        yield bench.row(f"cold prefill of 1,000 tokens, {label}", ours["cold"], peer["cold"], PEER)
        yield bench.rate(f"decoding behind 1,000 tokens, {label}", ours["decode"], peer["decode"], PEER)


def _checkpoint(source: str, folder: Path) -> Path:
    """A copy of the weights that our engine measures, where the peer may write beside them."""
    if source == bench.RANDOM:
        bench_worker.load(source).model.save_pretrained(folder)
    else:
        shutil.copytree(source, folder)
    return folder


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--python", type=Path, required=True, help="an interpreter that has llama-cpp-python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        report(rows(options, Path(scratch)), options.json)
