"""Writes the model card and training/RESULTS.md from what the commands measured; no figure is typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training import npm
from training.judging import as_markdown
from training.places import REPOSITORY, Places
from training.sources import HELD_OUT, TUNING

RESULTS = "results.json"
TEMPLATES = REPOSITORY / "training"


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def results(folder: Path) -> dict[str, Any]:
    """What was measured of the model in `folder`; empty where nothing was yet."""
    file = folder / RESULTS
    return dict(_read(file)) if file.exists() else {}


def record(folder: Path, name: str, part: dict[str, Any]) -> None:
    """Keep one measurement beside the weights that it is about."""
    found = results(folder) | {name: part}
    (folder / RESULTS).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def write(places: Places, folder: Path) -> None:
    """Write the model card beside the weights and the same figures to training/RESULTS.md."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, autoescape=False
    )
    environment.filters["table"] = as_markdown
    packed = _read(places.packed / "documents.json")
    read = [row for row in _read(places.licences) if row["split"] == "train" and row["bytes"]]
    trained = sorted(read, key=lambda row: -row["bytes"])
    values = {
        "made": _read(folder / "training.json"),
        "found": {"tuning": None, "confidence": None, "cost": None} | results(folder),
        "python": [row for row in trained if not row["name"].endswith(npm.MARK)],
        "npm": [row for row in trained if row["name"].endswith(npm.MARK)],
        "packed_tokens": packed["starts"][-1],
        "packed_files": len(packed["paths"]),
        "held_out": HELD_OUT + (npm.HELD_OUT if any(row["name"].endswith(npm.MARK) for row in read) else ()),
        "tuning": TUNING,
    }
    for template, file in (("card.md.j2", folder / "README.md"), ("results.md.j2", TEMPLATES / "RESULTS.md")):
        text = environment.get_template(template).render(values)
        file.write_text(re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", encoding="utf-8")
