from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.healing import Constraint, heal, vocabulary
from codeface_lsp.inference.types import Delta, GenerationRequest, Sampling
from codeface_lsp.models.types import LoadedModel, Tokenizer

TOKENIZERS = ("byte_level", "sentencepiece")
TEXTS = [
    "def add(first, sec",
    "    retu",
    "class Point:\n    def __in",
    "for index in range(10):\n    print(ind",
    "import os\nfrom ",
    "x = 'naïve – 東京 🙂",
]


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    found: Tokenizer = request.getfixturevalue(request.param)
    return found


def spelled(tokenizer: Tokenizer, ids: list[int]) -> bytes:
    return b"".join(map(tokenizer.token_bytes, ids))


@pytest.mark.parametrize("text", TEXTS)
def test_the_kept_tokens_and_the_constraint_spell_the_text(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    kept, constraint = heal(tokenizer, ids)
    assert spelled(tokenizer, kept) + constraint == text.encode()
    assert ids[: len(kept)] == kept


def test_half_of_a_word_is_taken_back(tokenizer: Tokenizer) -> None:
    whole = tokenizer.encode("    return")
    ids = tokenizer.encode("    retu")
    kept, constraint = heal(tokenizer, ids)
    assert constraint.endswith(b"retu")
    assert len(kept) < len(ids)
    assert kept == whole[: len(kept)]


def test_a_blank_behind_the_last_word_is_taken_back(tokenizer: Tokenizer) -> None:
    """The next word's token begins with the blank."""
    _, constraint = heal(tokenizer, tokenizer.encode("def add(first, second):\n    return first "))
    assert constraint.endswith(b" ")


def test_typing_within_a_word_changes_the_constraint_only(tokenizer: Tokenizer) -> None:
    start, word = "class Point:\n    def ", "__init__"
    assert tokenizer.encode(start + word)[-1] != tokenizer.encode(start + word[:4])[-1]
    kept = {tuple(heal(tokenizer, tokenizer.encode(start + word[:end]))[0]) for end in range(3, 6)}
    assert len(kept) == 1


def test_special_tokens_and_the_first_token_stay(byte_level: Any) -> None:
    marker = byte_level.token_id("<fim_middle>")
    assert heal(byte_level, [marker]) == ([marker], b"")
    kept, _ = heal(byte_level, [marker, *byte_level.encode("re")])
    assert kept[0] == marker


def test_allowed_tokens_agree_with_the_constraint_and_no_others_do(tokenizer: Tokenizer) -> None:
    for wanted in (b"re", b" ", b" ret", "東".encode(), b"__i"):
        allowed = set(vocabulary(tokenizer).allowed(wanted).tolist())
        for token in range(tokenizer.vocab_size):
            raw = tokenizer.token_bytes(token)
            assert (token in allowed) == (bool(raw) and (raw.startswith(wanted) or wanted.startswith(raw)))


def test_a_constraint_shrinks_by_what_was_chosen(byte_level: Any) -> None:
    constraint = Constraint(byte_level, b"return").after(byte_level.encode("r")[0])
    allowed = constraint.allowed()
    assert allowed is not None
    assert all(
        byte_level.token_bytes(int(token)).startswith(b"eturn")
        or b"eturn".startswith(byte_level.token_bytes(int(token)))
        for token in allowed
    )


async def generated(engine: Engine, model: LoadedModel, text: str, **fields: Any) -> tuple[str, list[Delta]]:
    prompt, constraint = heal(model.tokenizer, model.tokenizer.encode(text))
    request = GenerationRequest(prompt=prompt, heal=constraint, max_tokens=12, **fields)
    deltas = [delta async for delta in engine.generate(model, request)]
    return constraint.decode(), deltas


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("temperature", [0.0, 2.0])
async def test_the_answer_goes_on_behind_what_was_typed(
    text: str, temperature: float, engine: Engine, model: Callable[[str], LoadedModel]
) -> None:
    loaded = model("llama")
    typed, deltas = await generated(engine, loaded, text, sampling=Sampling(temperature=temperature, seed=1))
    ids = [token.token_id for delta in deltas for token in delta.tokens]
    whole = spelled(loaded.tokenizer, ids)
    assert whole.startswith(typed.encode())
    rest = "".join(delta.text for delta in deltas)
    assert whole[len(typed.encode()) :].decode("utf-8", "replace").startswith(rest)


async def test_a_key_that_only_changes_the_constraint_computes_nothing(
    engine: Engine, model: Callable[[str], LoadedModel]
) -> None:
    loaded = model("llama")
    start = "class Point:\n    def __i"
    await generated(engine, loaded, start)
    _, deltas = await generated(engine, loaded, start + "n")
    usage = deltas[-1].usage
    assert usage is not None
    assert usage.cached_tokens == usage.prompt_tokens
