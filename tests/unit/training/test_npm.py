from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.corpus import choose, is_readable
from training.npm import LOCK, npm_packages
from training.sources import Source, in_order

MODULE = """'use strict'
const { compare } = require('./compare')

class NAME {
  constructor (options) {
    this.options = options
    this.kept = new Map()
  }

  findNAME (wanted, limit = LIMIT) {
    const found = [...this.kept.values()].filter((one) => compare(one, wanted) >= 0)
    return found.slice(0, limit).map((one) => one.FIELD)
  }
}

module.exports = NAME
"""


PLAIN = "\n".join(f"exports.add{number} = (to) => to + {number} * exports.step" for number in range(9)) + "\n"


def _module(name: str, limit: int, field: str) -> str:
    return MODULE.replace("NAME", name).replace("LIMIT", str(limit)).replace("FIELD", field)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """What `npm ci` leaves: two packages with sources, one under a licence that is not read, one nested copy."""
    files = {
        "semver/classes/range.js": _module("Range", 10, "version"),
        "copied/lib/range.js": _module("Range", 10, "version") + "\n",
        "typed/src/index.ts": "export function twice(of: number): number {\n  return of * 2\n}\n" * 8,
        "typed/dist/index.js": "exports.twice = (of) => of * 2\n" * 10,
        "typed/dist/index.d.ts": "export declare function twice(of: number): number\n" * 10,
        "plain/index.js": PLAIN,
        "plain/index.min.js": "a" * 300,
        "plain/test/index.js": _module("TestOfTable", 4, "cells"),
        "left/index.js": _module("Left", 5, "left"),
        "plain/node_modules/nested/index.js": _module("Nested", 6, "nested"),
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    licences = {
        "semver": "ISC",
        "copied": "MIT",
        "typed": "MIT",
        "plain": "MIT",
        "left": "GPL-3.0",
        "plain/node_modules/nested": "MIT",
    }
    entries = {f"node_modules/{name}": {"version": "1.0.0", "license": its} for name, its in licences.items()}
    (tmp_path / LOCK).write_text(json.dumps({"packages": entries}))
    return tmp_path


def _paths(sources: list[Source]) -> list[str]:
    return [path for source in sources for path, _ in source.files]


def test_packages_are_read_under_permissive_licences_and_each_once(packages: Path) -> None:
    assert [source.name for source in npm_packages(packages)] == [
        "copied (npm)",
        "plain (npm)",
        "semver (npm)",
        "typed (npm)",
    ]


def test_what_people_wrote_is_read_and_not_what_was_built_from_it(packages: Path) -> None:
    assert _paths(list(npm_packages(packages))) == [
        "copied/lib/range.js",
        "plain/index.js",
        "semver/classes/range.js",
        "typed/src/index.ts",
    ]


def test_a_held_out_package_stays_out_with_its_copies(packages: Path) -> None:
    chosen = list(choose(in_order(npm_packages(packages))))
    assert {document.path for document in chosen if document.split == "held-out-npm"} == {
        "semver/classes/range.js"
    }
    assert {document.path for document in chosen if document.split == "train"} == {
        "plain/index.js",
        "typed/src/index.ts",
    }


def test_no_packages_installed_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="npm ci --prefix editors/vscode"):
        list(npm_packages(tmp_path))


def test_javascript_is_parsed_as_javascript() -> None:
    assert is_readable(_module("Table", 3, "rows"), "table.js")
    assert not is_readable(_module("Table", 3, "rows"), "table.py")
    assert not is_readable(_module("Table", 3, "rows").replace("{\n", "\n", 1) + "}" * 200, "table.js")
