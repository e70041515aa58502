from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from training import packing, tokenizer
from training.corpus import Document


def _documents() -> list[Document]:
    import asyncio
    import json

    packages = (asyncio, json)
    files = [(p.__name__, f) for p in packages for f in sorted(Path(p.__file__ or "").parent.glob("*.py"))]
    texts = [(f"{name}/{file.name}", file.read_text(encoding="utf-8")) for name, file in files]
    return [Document("python", path, "train", text) for path, text in texts if len(text) > 500]


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    return _documents()


@pytest.fixture(scope="session")
def words(documents: list[Document], tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(tokenizer.train(document.text for document in documents), folder)
    return tokenizer.load(folder)


@pytest.fixture(scope="session")
def packed(
    documents: list[Document], words: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> packing.Packed:
    return packing.pack(documents, words, tmp_path_factory.mktemp("packed"))
