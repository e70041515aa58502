"""Every architecture of the registry: a tiny random checkpoint, saved, loaded, and held against transformers itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import torch

from codeface_lsp.inference import batch
from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.types import Delta, GenerationRequest
from codeface_lsp.models.loader import load
from codeface_lsp.models.registry import read
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings
from tests.models.architectures import DECODERS, ENCODERS, GENERATORS

Checkpoint = Callable[[str], Path]
OTHERS = {"qwen"}
"""In the registry, but needs Python code of its own, which transformers does not have."""
SETTINGS = EngineSettings(device="cpu", dtype="float32", int8=False, mixture=False, speculation=False)
PROMPT = "class Point:\n    def __init__(self, x, y):\n        self.x = "
TOKENS = 24


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(SETTINGS)
    yield engine
    await engine.aclose()


async def generate(engine: Engine, model: LoadedModel, **fields: object) -> list[Delta]:
    values = {"prompt": model.tokenizer.encode(PROMPT), "max_tokens": TOKENS, **fields}
    request = GenerationRequest(**values)  # type: ignore[arg-type]
    return [delta async for delta in engine.generate(model, request)]


def ids_of(deltas: list[Delta]) -> list[int]:
    return [token.token_id for delta in deltas for token in delta.tokens]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def reference(model: LoadedModel, prompt: list[int], tokens: int) -> list[int]:
    """What transformers' own `generate` says, greedily, end of text included."""
    ids = torch.tensor([prompt], device=model.device)
    out = (
        batch.whole(model)
        .model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=4,
            eos_token_id=sorted(model.tokenizer.eos_ids),
        )[0]
        .tolist()
    )
    generated = out[1:] if model.encoder_decoder else out[len(prompt) :]
    return [token for token in generated if token not in model.tokenizer.eos_ids]


@pytest.mark.parametrize("architecture", GENERATORS)
async def test_greedy_tokens_are_those_of_transformers(
    checkpoint: Checkpoint, engine: Engine, architecture: str
) -> None:
    model = load(checkpoint(architecture), "completion", SETTINGS)
    prompt = model.tokenizer.encode(PROMPT)
    expected = reference(model, prompt, TOKENS)
    assert ids_of(await generate(engine, model)) == expected
    assert ids_of(await generate(engine, model)) == expected, "warm differs from cold"
    longer = [*prompt, *expected[: len(expected) // 2]]
    if not model.encoder_decoder:
        follow = ids_of(await generate(engine, model, prompt=longer))
        assert follow == reference(model, longer, TOKENS), "a prompt that only grew differs"


@pytest.mark.gpu
@pytest.mark.parametrize("architecture", DECODERS)
async def test_greedy_tokens_are_those_of_transformers_on_a_gpu(
    checkpoint: Checkpoint, architecture: str
) -> None:
    settings = SETTINGS.model_copy(update={"device": "cuda"})
    model = load(checkpoint(architecture), "completion", settings)
    expected = reference(model, model.tokenizer.encode(PROMPT), TOKENS)
    engine = Engine(settings)
    try:
        assert ids_of(await generate(engine, model)) == expected
    finally:
        await engine.aclose()


def is_sent_of(text: str, whole: str) -> bool:
    """Whether all was sent: of a character that the length cut in two at the end, nothing is."""
    return whole.startswith(text) and whole[len(text) :] in ("", "\ufffd")


@pytest.mark.parametrize("architecture", GENERATORS)
async def test_the_stream_is_the_answer(checkpoint: Checkpoint, engine: Engine, architecture: str) -> None:
    model = load(checkpoint(architecture), "completion", SETTINGS)
    deltas = await generate(engine, model)
    tokens = ids_of(deltas)
    assert is_sent_of(text_of(deltas), model.tokenizer.decode(tokens))
    usage = deltas[-1].usage
    assert usage is not None
    assert usage.prompt_tokens == len(model.tokenizer.encode(PROMPT))
    assert usage.completion_tokens == len(tokens) or deltas[-1].finish_reason == "eos"


@pytest.mark.parametrize("architecture", GENERATORS)
async def test_a_stop_string_cuts_at_its_first_character(
    checkpoint: Checkpoint, engine: Engine, architecture: str
) -> None:
    model = load(checkpoint(architecture), "completion", SETTINGS)
    whole = text_of(await generate(engine, model))
    middle = len(whole) // 2
    stop = whole[middle : middle + 3]
    assert stop
    deltas = await generate(engine, model, stop=(stop,))
    assert text_of(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].stop_string == stop


@pytest.mark.parametrize("architecture", GENERATORS)
async def test_no_delta_holds_half_a_character(
    checkpoint: Checkpoint, engine: Engine, architecture: str
) -> None:
    """Random models emit bytes of unfinished characters all the time; they may show as U+FFFD only for good."""
    model = load(checkpoint(architecture), "completion", SETTINGS)
    deltas = await generate(engine, model, max_tokens=60)
    raw = b"".join(model.tokenizer.token_bytes(token) for token in ids_of(deltas))
    assert is_sent_of(text_of(deltas), raw.decode("utf-8", "replace"))


@pytest.mark.parametrize("architecture", [*ENCODERS, "t5"])
def test_an_embedding_model_is_the_plain_forward_pass(checkpoint: Checkpoint, architecture: str) -> None:
    import transformers

    folder = checkpoint(architecture)
    model = load(folder, "embedding", SETTINGS)
    plain = transformers.T5EncoderModel if architecture == "t5" else transformers.AutoModel
    ids = torch.tensor([model.tokenizer.encode_prompt("def add(first, second):")])  # type: ignore[attr-defined]
    with torch.inference_mode():
        ours = model.model(input_ids=ids).last_hidden_state
        theirs = plain.from_pretrained(folder).eval()(input_ids=ids).last_hidden_state
    assert torch.equal(ours, theirs)


def test_every_architecture_of_the_registry_is_here(tmp_path: Path) -> None:
    named = {entry.model_type for entry in read(tmp_path / "none.yaml").entries.values()}
    assert named <= {*GENERATORS, *ENCODERS, *OTHERS}
