"""What a model is trained for is told by its own files, without an engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codeface_lsp import paths
from codeface_lsp.endpoints.local_models import chat_trained

TEMPLATE = {"chat_template": "{{ messages }}"}


def checkpoint(folder: Path, *, config: object, codeface: object = None, jinja: bool = False) -> str:
    folder.mkdir(parents=True)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if codeface is not None:
        (folder / "codeface.json").write_text(json.dumps(codeface))
    if jinja:
        (folder / "chat_template.jinja").write_text("{{ messages }}")
    return str(folder)


def test_the_bundled_model_was_not_trained_to_chat() -> None:
    assert chat_trained("codeface-tiny") is False


def test_a_model_that_is_not_here_tells_nothing(tmp_path: Path) -> None:
    assert chat_trained("qwen2.5-coder-1.5b-instruct") is None
    assert chat_trained("owner/name") is None and chat_trained(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config": TEMPLATE}, True),
        ({"config": {"chat_template": [{"name": "default", "template": "x"}]}}, True),
        ({"config": {}, "jinja": True}, True),
        ({"config": {}}, False),
        ({"config": []}, False),
        ({"config": TEMPLATE, "codeface": {"chat_trained": False}}, False),
        ({"config": {}, "codeface": {"chat_trained": True}}, True),
        ({"config": TEMPLATE, "codeface": "odd"}, True),
    ],
)
def test_a_chat_template_or_a_word_of_its_own_tells(
    files: dict[str, object], expected: bool, tmp_path: Path
) -> None:
    assert chat_trained(checkpoint(tmp_path / "model", **files)) is expected  # type: ignore[arg-type]


def test_a_registry_that_changes_is_read_again(tmp_path: Path) -> None:
    registry = paths.config_file().with_name("models.yaml")
    registry.parent.mkdir(parents=True, exist_ok=True)
    for name, config in (("a", {}), ("b-with-a-template", TEMPLATE)):
        registry.write_text(
            f"models:\n  mine:\n    model_name: {checkpoint(tmp_path / name, config=config)}\n"
        )
        assert chat_trained("mine") is bool(config)
    registry.write_text("models: [")
    assert chat_trained("mine") is None
