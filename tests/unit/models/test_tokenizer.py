from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models.tokenizer import CheckpointTokenizer, from_folder
from codeface_lsp.prompting.families import FAMILIES
from codeface_lsp.prompting.fim import render_ids

CORPUS = [
    "def add(first, second):\n    return first + second\n",
    "for index in range(10):\n    print(index, 'naïve 東京 🙂')\n",
    "if __name__ == '__main__':\n    main()\n",
] * 20
TEXTS = [
    "def f(x):\n\treturn  x + 'é東🙂'",
    "    indented",
    " one blank",
    "",
    "\r\n\n",
    "a <fim_middle> b <|fim_middle|> c <PRE> d </s>",
]


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Byte-level BPE; the second marker is not called special, as in Qwen's tokenizer."""
    folder = tmp_path_factory.mktemp("bpe")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken("<|endoftext|>", special=True), AddedToken("<fim_middle>", special=True)]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens([AddedToken("<|fim_middle|>", special=False), AddedToken("    ", normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": {"content": "<|endoftext|>"}, "bos_token": None, "chat_template": "{{ messages }}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def piece_model() -> bytes:
    """A SentencePiece model with CodeLlama's markers."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        vocab_size=400,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        control_symbols=["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"],
        minloglevel=2,
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def code_llama(tmp_path_factory: pytest.TempPathFactory, piece_model: bytes) -> Path:
    """A checkpoint's folder that has nothing but a SentencePiece model."""
    folder = tmp_path_factory.mktemp("codellama")
    (folder / "tokenizer.model").write_bytes(piece_model)
    config = {
        "tokenizer_class": "CodeLlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


@pytest.fixture(scope="module", params=["byte_level", "code_llama"])
def tokenizer(request: pytest.FixtureRequest) -> CheckpointTokenizer:
    return from_folder(request.getfixturevalue(request.param))


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_the_round_trip_and_never_becomes_a_marker(
    tokenizer: CheckpointTokenizer, text: str
) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not any(tokenizer.is_special(tokenizer.spelling(i) or "") for i in ids)
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()


@given(text=st.text(max_size=60))
def test_any_text_survives_the_round_trip(byte_level: Path, text: str) -> None:
    tokenizer = _cached(byte_level)
    assert tokenizer.decode(tokenizer.encode(text)) == text


_tokenizers: dict[Path, CheckpointTokenizer] = {}


def _cached(folder: Path) -> CheckpointTokenizer:
    return _tokenizers.setdefault(folder, from_folder(folder))


def test_a_marker_is_had_by_its_name_alone(byte_level: Path) -> None:
    tokenizer = from_folder(byte_level)
    middle = tokenizer.token_id("<fim_middle>")
    assert middle is not None
    assert middle not in tokenizer.encode("<fim_middle>") + tokenizer.encode_prompt("<fim_middle>")


def test_a_marker_is_told_by_its_spelling_where_the_file_does_not_say_so(byte_level: Path) -> None:
    tokenizer = from_folder(byte_level)
    assert tokenizer.is_special("<|fim_middle|>")
    assert not tokenizer.is_special("    ")
    assert tokenizer.encode("    x")[0] == tokenizer.token_id("    ")


def test_special_tokens_have_no_bytes(tokenizer: CheckpointTokenizer) -> None:
    markers = [i for i in range(tokenizer.vocab_size) if tokenizer.is_special(tokenizer.spelling(i) or "")]
    assert markers
    assert all(tokenizer.token_bytes(i) == b"" for i in markers)
    assert tokenizer.token_bytes(-1) == tokenizer.token_bytes(tokenizer.vocab_size) == b""


def test_a_character_that_is_not_whole_is_marked(byte_level: Path) -> None:
    tokenizer = from_folder(byte_level)
    ids = [i for i in range(tokenizer.vocab_size) if tokenizer.token_bytes(i) == "🙂".encode()[:1]]
    assert tokenizer.decode(ids) == "\ufffd"


@pytest.mark.parametrize("text", ["    def f(x):", "x", " x", "\tx\n", "é東🙂"])
def test_sentencepiece_pieces_are_those_of_the_reference(
    code_llama: Path, piece_model: bytes, text: str
) -> None:
    """The dummy space is a blank that the caller writes; without it, the reference's trick is `☺`."""
    reference = sentencepiece.SentencePieceProcessor(model_proto=piece_model)
    tokenizer = from_folder(code_llama)
    assert tokenizer.encode(" " + text) == reference.encode(text)
    assert tokenizer.encode("☺" + text)[-len(tokenizer.encode(text)) :] == tokenizer.encode(text)
    dummy = reference.encode("☺")
    assert tokenizer.encode(text) == reference.encode("☺" + text)[len(dummy) :]


def test_code_llama_is_prompted_as_its_reference_does(code_llama: Path, piece_model: bytes) -> None:
    """`infilling_prompt_tokens` of the vendor's code: prefix with the dummy space, suffix without, BOS in front."""
    reference = sentencepiece.SentencePieceProcessor(model_proto=piece_model)
    tokenizer = from_folder(code_llama)
    prefix, suffix = "def add(", "):\n    return first"
    pre, mid, suf = (reference.piece_to_id(p) for p in ("▁<PRE>", "▁<MID>", "▁<SUF>"))
    p = reference.encode(prefix)
    s = reference.encode("☺" + suffix)[len(reference.encode("☺")) :]
    family = FAMILIES["codellama"]
    psm = render_ids(family, tokenizer, prefix=prefix, suffix=suffix, order="psm")
    assert psm == [reference.bos_id(), pre, *p, suf, *s, mid]
    spm = render_ids(family, tokenizer, prefix=prefix, suffix=suffix)
    assert spm == [reference.bos_id(), pre, suf, *s, mid, *p]


def test_a_whole_prompt_is_encoded_as_transformers_does(code_llama: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(str(code_llama))
    assert (
        from_folder(code_llama).encode_prompt("def f(x):\n    y") == theirs("def f(x):\n    y")["input_ids"]
    )


def test_ends_of_text_come_from_every_file(byte_level: Path) -> None:
    tokenizer = from_folder(byte_level, eos_ids=[7], bos_id=9)
    assert tokenizer.eos_ids == {0, 7}
    assert tokenizer.bos_id == 9
    assert tokenizer.chat_template == "{{ messages }}"
    assert tokenizer.spelling(0) == "<|endoftext|>"


def test_added_tokens_beyond_the_embeddings_do_not_exist(byte_level: Path) -> None:
    whole = from_folder(byte_level)
    beyond = whole.token_id("<|fim_middle|>")
    assert beyond is not None
    cut = from_folder(byte_level, rows=beyond)
    assert cut.token_id("<|fim_middle|>") is None
    assert cut.vocab_size == beyond


def test_a_vocabulary_that_spells_a_marker_itself_does_not_produce_it(tmp_path: Path) -> None:
    """T5's Unigram has its sentinels in the vocabulary, with the best score of all."""
    pieces: list[tuple[str, float]] = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("<|x|>", 0.0)]
    pieces += [(char, -10.0) for char in "▁<|x>ab"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["</s>", "<|x|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = from_folder(tmp_path)
    ids = ours.encode("a<|x|>b<|x|>")
    assert not any(ours.is_special(ours.spelling(i) or "") for i in ids)
    assert ours.decode(ids) == "a<|x|>b<|x|>"


@pytest.mark.parametrize(
    ("content", "kind"),
    [(None, "tokenizer_missing"), ("{", "tokenizer_broken"), ("{}", "tokenizer_broken")],
)
def test_a_tokenizer_that_cannot_be_had_is_one_sentence(tmp_path: Path, content: Any, kind: str) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelLoadError) as caught:
        from_folder(tmp_path)
    assert caught.value.kind == kind
    assert "\n" not in caught.value.message


def test_a_tokenizer_with_a_broken_model_is_refused(tmp_path: Path, byte_level: Path) -> None:
    shutil.copytree(byte_level, tmp_path, dirs_exist_ok=True)
    spec = json.loads((tmp_path / "tokenizer.json").read_text())
    spec["model"]["merges"] = [["no", "such"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    with pytest.raises(ModelLoadError, match="download the checkpoint again"):
        from_folder(tmp_path)
