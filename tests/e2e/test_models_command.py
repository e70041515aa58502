"""`codeface models` against a real engine process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from codeface_lsp import paths, runtime
from codeface_lsp.cli import engine
from codeface_lsp.cli.app import app as cli
from codeface_lsp.cli.models import app
from codeface_lsp.errors import CodeFaceError

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command; the engine that it starts ends with the test."""
    monkeypatch.setenv("CODEFACE_ENGINE__DEVICE", "cpu")
    monkeypatch.setenv("CODEFACE_ENGINE__THREADS", "1")

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    yield run
    found = runtime.read()
    if found is not None and runtime.held():
        os.kill(found.pid, signal.SIGKILL)


def test_a_model_is_loaded_shown_unloaded_and_made_the_default(run: Run) -> None:
    assert "codeface-tiny is loaded on cpu" in run("load", "codeface-tiny").output
    (info,) = json.loads(run("info", "codeface-tiny", "--json").output)
    assert info["state"] == "loaded" and info["memory_bytes"] > 1_000_000
    assert info["fim_orders"] == ["spm2", "psm"]
    assert "MB" in run("list", "--here").output
    assert "Still loaded: nothing" in run("unload", "codeface-tiny").output
    (info,) = json.loads(run("info", "codeface-tiny", "--json").output)
    assert info["state"] == "downloaded"

    folder = str(paths.shipped("bundled") / "codeface-tiny")
    run("default", folder, "--role", "chat")
    (info,) = json.loads(run("info", folder, "--json").output)
    assert "chat" in info["default_for"]
    assert folder in paths.config_file().read_text()


def test_errors_of_the_engine_arrive_as_one_sentence(run: Run) -> None:
    run("load", "codeface-tiny")
    with pytest.raises(CodeFaceError, match="did you mean `codellama"):
        run("load", "codelama-7b")
    with pytest.raises(CodeFaceError, match="models download gpt2"):
        run("load", "gpt2")
    with pytest.raises(CodeFaceError, match="no CUDA device"):
        run("load", "codeface-tiny", "--device", "cuda:5")
    with pytest.raises(CodeFaceError, match="not loaded"):
        run("unload", "gpt2")
    assert "codeface-tiny is loaded" in run("load", "codeface-tiny").output


def test_in_mock_mode_the_list_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFACE_ENGINE__MOCK", "true")
    assert "mock is loaded on" in run("load", "mock").output
    found = json.loads(run("list", "--json").output)
    assert [(info["name"], info["state"]) for info in found] == [("mock", "loaded")]
    assert "not a language model" in found[0]["description"]


def test_the_engine_takes_mock_as_an_option(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFACE_ENGINE__MOCK", "false")
    started = CliRunner().invoke(engine.app, ["start", "--mock"])
    assert started.exit_code == 0, started.output
    assert [info["name"] for info in json.loads(run("list", "--json").output)] == ["mock"]


def test_a_batch_says_what_each_prompt_gets_alone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INT8", "MIXTURE", "SPECULATION"):
        monkeypatch.setenv(f"CODEFACE_ENGINE__{name}", "false")
    prompts = ["def add(a, b):", "import os\n\n", "x", "for i in range(3):\n    "]
    (tmp_path / "p.jsonl").write_text(
        "\n".join([json.dumps(prompts[0]), *(json.dumps({"prompt": p}) for p in prompts[1:])])
    )
    together = _answers(tmp_path / "p.jsonl")
    assert [answer["prompt"] for answer in together] == prompts
    for answer in together:
        (tmp_path / "one.jsonl").write_text(json.dumps(answer["prompt"]))
        assert _answers(tmp_path / "one.jsonl") == [answer]


def _answers(file: Path) -> list[dict[str, str]]:
    result = CliRunner().invoke(cli, ["batch", str(file), "--max-tokens", "12"])
    assert result.exit_code == 0, result.output
    assert "tokens/s" in result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_file_without_prompts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n\n")
    result = CliRunner().invoke(cli, ["batch", str(tmp_path / "empty")])
    assert isinstance(result.exception, CodeFaceError)
    assert "no prompts" in result.exception.message
