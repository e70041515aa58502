"""`POST /v1/embeddings`."""

from __future__ import annotations

import base64
import struct
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codeface_lsp.serving.core import Core
from codeface_lsp.serving.failures import ParameterError
from codeface_lsp.serving.schema import MAX_INPUTS, Embedding, parse


async def embeddings(request: Request) -> Response:
    """Embed texts with the embedding role's model."""
    body = parse(Embedding, await request.body())
    if isinstance(body.input, str):
        texts = [body.input]
    elif body.input and all(isinstance(item, str) for item in body.input):
        texts = [str(item) for item in body.input]
    else:
        raise ParameterError("`input` must be a text or a list of texts.", "input")
    if len(texts) > MAX_INPUTS:
        raise ParameterError(f"At most {MAX_INPUTS} texts in one request.", "input")
    core: Core = request.app.state.core
    async with core.model(body.model, "embedding") as (engine, model):
        vectors, tokens = await engine.embed(model, texts)
    if body.dimensions is not None and vectors and body.dimensions != len(vectors[0]):
        raise ParameterError(f"This model's embeddings have {len(vectors[0])} dimensions.", "dimensions")
    data = [
        {"object": "embedding", "index": index, "embedding": _encode(vector, body.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": model.name, "usage": usage})


def _encode(vector: list[float], encoding: str) -> Any:
    """OpenAI's own client asks for base64 of little-endian float32."""
    if encoding == "base64":
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return vector
