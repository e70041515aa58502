"""What the rules after the model do to the right answer: each hole's own text, judged. No model is asked.

python -m benchmarks.inline_oracle DIR... [--holes N]
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from benchmarks.inline_postprocessing import KINDS, exact
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.vetting import Refused, Vetting
from codeface_lsp.context import syntax
from codeface_lsp.evaluation.holes import punch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--holes", type=int, default=175, help="of each kind in each package")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    found: Counter[str] = Counter()
    for root in arguments.roots:
        for hole in punch(root.resolve(), arguments.holes, KINDS, arguments.seed):
            place = Place.at(hole.snapshot(root.resolve()), hole.start)
            tree = syntax.parse(place.text, place.snapshot.language)
            written = Vetting(place, tree).judge(hole.missing)
            if isinstance(written, Refused):
                found[written.reason] += 1
            else:
                found["right" if exact(written.result, hole) else "changed"] += 1
    print(json.dumps({"holes": found.total(), **found}, indent=2))


if __name__ == "__main__":
    main()
