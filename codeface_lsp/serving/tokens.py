"""`POST /tokenize` and `/detokenize`, as llama-server answers them."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codeface_lsp.serving.failures import ParameterError
from codeface_lsp.serving.schema import Detokenize, Tokenize, parse


async def tokenize(request: Request) -> Response:
    """Token ids of a text; `with_pieces` adds what each stands for."""
    body = parse(Tokenize, await request.body())
    async with request.app.state.core.model(body.model, body.role) as (_, model):
        ids = await asyncio.to_thread(model.tokenizer.encode, body.content)
        if body.add_special and model.tokenizer.bos_id is not None:
            ids = [model.tokenizer.bos_id, *ids]
        tokens: list[Any] = ids
        if body.with_pieces:
            tokens = [{"id": token, "piece": model.tokenizer.decode([token])} for token in ids]
        return JSONResponse({"tokens": tokens, "count": len(tokens), "model": model.name})


async def detokenize(request: Request) -> Response:
    """Text of token ids."""
    body = parse(Detokenize, await request.body())
    async with request.app.state.core.model(body.model, body.role) as (_, model):
        if any(token >= model.tokenizer.vocab_size for token in body.tokens):
            raise ParameterError(f"Tokens must be below {model.tokenizer.vocab_size}.", "tokens")
        return JSONResponse({"content": model.tokenizer.decode(body.tokens), "model": model.name})
