from __future__ import annotations

import subprocess
import sys

import pytest

from codeface_lsp.errors import InvalidRequest, ModelLoadError
from codeface_lsp.inference.types import Delta, GenerationRequest
from codeface_lsp.serving.mock import MockEngine, MockManager, mock_model, script
from codeface_lsp.settings import Settings


async def generate(prompt: str, **fields: object) -> list[Delta]:
    request = GenerationRequest(prompt=list(prompt.encode()), **{"max_tokens": 500, **fields})  # type: ignore[arg-type]
    return [delta async for delta in MockEngine(Settings()).generate(mock_model(), request)]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


async def test_it_streams_its_script_and_says_what_it_is() -> None:
    deltas = await generate("User: what is 東京?\n\nAssistant:")
    assert text_of(deltas) == script("User: what is 東京?\n\nAssistant:")
    assert "mock model" in text_of(deltas) and "what is 東京?" in text_of(deltas)
    assert len(deltas) > 5
    assert deltas[-1].finish_reason == "eos"
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens == len(text_of(deltas).encode())


async def test_a_completion_is_a_line_of_code_with_the_right_indentation() -> None:
    assert text_of(await generate("class A:\n    def f(self):")) == "\n        return mock()  # mock\n"


async def test_it_obeys_stop_strings_and_the_limit() -> None:
    stopped = await generate("x = ", stop=("  #",))
    assert (text_of(stopped), stopped[-1].finish_reason, stopped[-1].stop_string) == ("mock()", "stop", "  #")
    short = await generate("x = ", max_tokens=4)
    assert (text_of(short), short[-1].finish_reason) == ("mock", "length")


async def test_what_is_healed_is_not_part_of_the_answer() -> None:
    assert text_of(await generate("x = ", heal=b"mo")) == "ck()  # mock\n"


async def test_the_manager_has_one_model_and_marks_it() -> None:
    manager = MockManager(Settings())
    assert (await manager.acquire("anything", "chat")).name == "mock"
    assert "not a language model" in manager.info("mock").description
    assert [info.state for info in manager.list()] == ["loaded"]
    with pytest.raises(ModelLoadError, match="mock mode"):
        manager.info("codellama-7b")
    with pytest.raises(InvalidRequest, match="mock mode"):
        await manager.unload("mock")


async def test_embeddings_are_unit_vectors_that_depend_on_the_words() -> None:
    texts = ["open a file", "file: a open", "draw"]
    vectors, tokens = await MockEngine(Settings()).embed(mock_model(), texts)
    assert vectors[0] == vectors[1] != vectors[2]
    assert sum(x * x for x in vectors[0]) == pytest.approx(1)
    assert tokens == sum(map(len, texts))


def test_the_mock_has_every_method_of_the_real_manager_and_engine() -> None:
    from codeface_lsp.inference.engine import Engine
    from codeface_lsp.models.manager import ModelManager

    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(ModelManager) <= public(MockManager)
    assert public(Engine) - {"stats", "aclose"} <= public(MockEngine)


def test_it_needs_no_torch() -> None:
    code = "import sys, codeface_lsp.serving.mock; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
