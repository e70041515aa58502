"""A conversation becomes the very tokens that the checkpoint's own tokenizer makes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from codeface_lsp.endpoints.types import Message
from codeface_lsp.models.tokenizer import from_folder
from codeface_lsp.prompting.families import FAMILIES
from codeface_lsp.serving.chat_prompt import ChatRenderer

TEMPLATES = {
    path.stem: path.read_text()
    for path in (Path(__file__).parents[1] / "prompting" / "chat_templates").glob("*.jinja")
}
CONVERSATION = [
    Message("system", "You are CodeFace."),
    Message("user", "  Sort this list, please."),
    Message("assistant", "```python\nsorted(xs)\n```"),
    Message("user", "And in reverse?\n"),
]
KINDS = ["byte-level", "SentencePiece", "SentencePiece since Llama 2", "greedy markers"]


def markers(template: str) -> list[str]:
    found = re.findall(r"<[|｜a-z_▁]+[|｜]?>|</?s>", template)
    return sorted({"<s>", "</s>", *found})


def checkpoint(kind: str, template: str, folder: Path) -> PreTrainedTokenizerFast:
    """A small tokenizer of that kind with the template's markers, saved; and as transformers has it."""
    tokenizer = Tokenizer(
        models.BPE(
            unk_token="<unk>",
        )
    )
    if kind == "byte-level":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    elif kind == "SentencePiece since Llama 2":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        tokenizer.normalizer = normalizers.Sequence(steps)
    greedy = kind == "greedy markers"
    added = [
        AddedToken(m, special=True, rstrip=greedy, lstrip=greedy and "end" in m) for m in markers(template)
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<unk>", *added],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if kind == "byte-level" else [],
        show_progress=False,
    )
    corpus = [
        template,
        "".join(f"{m.role}\n{m.content}\n" for m in CONVERSATION),
        "<|end|> twice say system user assistant\n ",
    ]
    tokenizer.train_from_iterator(corpus * 20, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **config)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_conversation_becomes_the_tokens_of_the_models_own_tokenizer(
    name: str, kind: str, tmp_path: Path
) -> None:
    own = checkpoint(kind, TEMPLATES[name], tmp_path)
    talk = CONVERSATION if name != "gemma" else CONVERSATION[1:]
    ours = from_folder(tmp_path)
    model: Any = SimpleNamespace(tokenizer=ours, family=FAMILIES["plain"])
    turns = [{"role": m.role, "content": m.content} for m in talk]
    text = own.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    expected = own(text, add_special_tokens=False)["input_ids"]
    assert [ours.spelling(i) for i in ChatRenderer(model).ids(talk)] == own.convert_ids_to_tokens(expected)
    assert "<unk>" not in own.convert_ids_to_tokens(expected)


def test_the_end_of_text_is_the_one_that_the_tokenizer_names(tmp_path: Path) -> None:
    """Checkpoints list several, and the template's `eos_token` need not be the first."""
    own = checkpoint("byte-level", TEMPLATES["zephyr"], tmp_path)
    tokenizer = from_folder(tmp_path, eos_ids=[0])
    model: Any = SimpleNamespace(tokenizer=tokenizer, family=FAMILIES["plain"])
    renderer = ChatRenderer(model)
    turns = [{"role": m.role, "content": m.content} for m in CONVERSATION]
    text = str(own.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    assert renderer.ids(CONVERSATION).count(tokenizer.token_id("</s>")) == text.count("</s>") == 4
    assert {0, tokenizer.token_id("</s>")} <= renderer.stop_ids(CONVERSATION)


def test_a_marker_that_somebody_types_stays_text_with_its_blanks(tmp_path: Path) -> None:
    checkpoint("greedy markers", TEMPLATES["phi3"], tmp_path)
    tokenizer = from_folder(tmp_path)
    model: Any = SimpleNamespace(tokenizer=tokenizer, family=FAMILIES["plain"])
    ids = ChatRenderer(model).ids([Message("user", "say <|end|>\n<|user|> twice")])
    special = [s for i in ids if tokenizer.is_special(s := tokenizer.spelling(i) or "")]
    assert special == ["<|user|>", "<|end|>", "<|assistant|>"]
    assert "<|end|>\n<|user|> twice" in tokenizer.decode(ids)
