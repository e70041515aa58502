"""Context recall on real packages: `python -m benchmarks.context_recall [--packages rich ...]`.

For each package, a workspace of its own: the share of cross-file uses whose definition is in the prompt, at 1,500 and
at 512 tokens, and with the file alone. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from importlib import metadata
from pathlib import Path

from codeface_lsp.context.parts import Budget
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.evaluation import crossfile, recall
from codeface_lsp.settings import Settings
from codeface_lsp.workspace.workspace import Workspace

PACKAGES = ("networkx", "rich", "pip", "openai", "accelerate", "sympy", "uvicorn")


async def package(root: Path, holes: int, seed: int, at: tuple[recall.At, ...]) -> dict[str, object]:
    settings = Settings()
    counter = open_counter(settings)
    chosen = recall.sample(crossfile.Tree(root), holes, seed)
    workspace = Workspace([root], settings)
    alone = Workspace(
        [root],
        settings.model_copy(update={"context": settings.context.model_copy(update={"enabled": False})}),
    )
    await workspace.start()
    result: dict[str, object] = {}
    for place in at:
        for total in (1500, 512):
            budget = Budget(total, int(total * 0.4), int(total * 0.15))
            row: dict[str, object] = {}
            for kind, uses in chosen.items():
                started = time.perf_counter()
                found = recall.measure(workspace, root, uses, budget, counter, place)
                spent = (time.perf_counter() - started) / max(found.n, 1) * 1e3
                baseline = recall.measure(alone, root, uses, budget, counter, place)
                row[kind] = {
                    "n": found.n,
                    "recall": round(found.share, 3),
                    "name_in_prompt": round(found.named / max(found.n, 1), 3),
                    "file_alone": {
                        "recall": round(baseline.share, 3),
                        "name_in_prompt": round(baseline.named / max(baseline.n, 1), 3),
                    },
                    "extra_tokens": round(found.tokens / max(found.n, 1)),
                    "ms": round(spent, 1),
                }
            result[f"{place}@{total}"] = row
    await workspace.aclose()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", nargs="+", default=PACKAGES)
    parser.add_argument("--holes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at", nargs="+", default=["use"], choices=["line", "use", "name"])
    options = parser.parse_args()
    site = Path(str(metadata.distribution("networkx").locate_file("")))
    result = {}
    for name in options.packages:
        result[name] = asyncio.run(package(site / name, options.holes, options.seed, tuple(options.at)))
        print(name, json.dumps(result[name]), file=sys.stderr, flush=True)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
