"""The generation loop for encoder-decoder models (T5, CodeT5+): the prompt is encoded once, the answer decoded from it.

Their prompts grow at the encoder's end, which changes every state, so nothing of them is kept for the next request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from codeface_lsp.inference.control import Ended
from codeface_lsp.inference.generation import Generation


class EncoderDecoderGeneration(Generation):
    """One request to a model whose decoder reads what its encoder made of the prompt."""

    def steps(self) -> Iterator[None]:
        """Encode the prompt, then advance by one token at a time; always sends a last delta unless it raises."""
        started = self._control.clock()
        self._add(queue_s=started - self._control.submitted())
        try:
            self._check()
            encoded = self._encode()
            self._add(prefill_s=self._control.clock() - started)
            yield
            yield from self._decode_from(encoded)
        except Ended as ended:
            self._output.finish(ended.reason, self._usage)

    def _encode(self) -> Any:
        model, device = self._state.model.model, self._state.model.device
        prompt = [*self._prompt, *self._prompt_end()]
        with torch.inference_mode():
            return model.get_encoder()(input_ids=torch.tensor([prompt], device=device))

    def _prompt_end(self) -> list[int]:
        """What the tokenizer puts behind every prompt (T5: its end of text), unless the prompt has it."""
        encode = getattr(self._state.tokenizer, "encode_prompt", None)
        end: list[int] = encode("") if encode is not None else []
        return end if self._prompt[-len(end) :] != end else []

    def _decode_from(self, encoded: Any) -> Iterator[None]:
        model, device = self._state.model.model, self._state.model.device
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        token = _start(model)
        if self._request.max_tokens < 1:
            raise Ended("length")
        while True:
            self._check()
            began = self._control.clock()
            with torch.inference_mode():
                output = model(
                    encoder_outputs=encoded,
                    decoder_input_ids=torch.tensor([[token]], device=device),
                    past_key_values=cache,
                    use_cache=True,
                )
            self._add(decode_s=self._control.clock() - began)
            token = self._choose(output.logits[0, -1].float().cpu())
            self._send(self._logprob(token))
            yield


def _start(model: Any) -> int:
    """The token that a decoder's sequence begins with."""
    for config in (model.generation_config, model.config):
        start = getattr(config, "decoder_start_token_id", None)
        if start is not None:
            return int(start)
    return int(model.config.pad_token_id)
