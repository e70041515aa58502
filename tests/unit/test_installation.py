"""What the set-up put on the machine."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_constraints_pin_torch() -> None:
    assert version("torch").split("+")[0] == "2.13.0"
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()


@pytest.mark.skipif(
    "CI" not in os.environ, reason="only CI must have a CPU build; a machine with a GPU wants CUDA's"
)
def test_no_cuda_package_came_in() -> None:
    names = {distribution.metadata["Name"].lower() for distribution in distributions()}
    assert not {name for name in names if name.startswith(("nvidia", "cuda")) or name == "triton"}


def test_the_base_installation_does_not_need_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    heavy = ("torch", "transformers", "accelerate", "bitsandbytes")
    assert not [name for name in project["dependencies"] if name.startswith(heavy)]
    assert all(
        any(name.startswith(part) for name in project["optional-dependencies"]["local"]) for part in heavy
    )


def test_every_dependency_is_pinned_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["local"],
        *project["optional-dependencies"]["redis"],
    ]
    for requirement in wanted:
        name = requirement.split(">")[0].split("=")[0].split("<")[0].strip().lower().replace("_", "-")
        assert name in pinned, f"{name} is not in constraints.txt"
