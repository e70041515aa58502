"""Chat formats of model families whose tokenizer brings no chat template of its own.

One table. The spellings come from the vendors' reference code and cards; `tests/unit/prompting/test_chat.py` holds
each against the family's public Jinja template.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """How a conversation is written down for one family.

    The strings are `str.format` patterns with `{content}`, `{bos}`, `{eos}` and, in `system_in_user`, `{system}`.
    A format without a `system` turn puts the system prompt into a user turn by `system_in_user`.
    """

    user: str
    assistant: str
    cue: str = ""
    """What makes the model answer; follows the last user turn."""
    start: str = ""
    system: str | None = None
    system_in_user: str = "{system}\n\n{content}"
    system_where: Literal["first", "last"] = "first"
    """Which user turn takes the system prompt."""
    default_system: str | None = None
    """Sent where the conversation has no system turn, because the family was always trained with one."""
    stop: tuple[str, ...] = ()
    """At most four. One that is a special token of the tokenizer is a stop id, since decoding leaves it out."""
    strip: bool = False
    """Whether turns lose the blank space around them."""


_DEEPSEEK_SYSTEM = (
    "You are an AI programming assistant, utilizing the DeepSeek Coder model, developed by DeepSeek Company, and "
    "you only answer questions related to computer science. For politically sensitive questions, security and "
    "privacy issues, and other non-computer science questions, you will refuse to answer.\n"
)
_ALPACA_SYSTEM = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)

FORMATS: dict[str, ChatFormat] = {
    "plain": ChatFormat(
        system="{content}\n\n",
        user="User: {content}\n\n",
        assistant="Assistant: {content}\n\n",
        cue="Assistant:",
        stop=("\nUser:", "\nSystem:"),
        strip=True,
    ),
    "llama2": ChatFormat(
        user="{bos}[INST] {content} [/INST]",
        assistant=" {content} {eos}",
        system_in_user="<<SYS>>\n{system}\n<</SYS>>\n\n{content}",
        stop=("</s>",),
        strip=True,
    ),
    "codellama-70b": ChatFormat(
        start="{bos}",
        system="Source: system\n\n {content} <step> ",
        user="Source: user\n\n {content} <step> ",
        assistant="Source: assistant\n\n {content} <step> ",
        cue="Source: assistant\nDestination: user\n\n ",
        stop=("<step>",),
        strip=True,
    ),
    "mistral-v1": ChatFormat(
        start="{bos}",
        user=" [INST] {content} [/INST]",
        assistant=" {content}{eos}",
        stop=("</s>",),
    ),
    "mistral": ChatFormat(
        start="{bos}",
        user="[INST] {content}[/INST]",
        assistant=" {content}{eos}",
        system_where="last",
        stop=("</s>",),
    ),
    "zephyr": ChatFormat(
        system="<|system|>\n{content}{eos}\n",
        user="<|user|>\n{content}{eos}\n",
        assistant="<|assistant|>\n{content}{eos}\n",
        cue="<|assistant|>\n",
        stop=("</s>", "<|user|>"),
    ),
    "chatml": ChatFormat(
        system="<|im_start|>system\n{content}<|im_end|>\n",
        user="<|im_start|>user\n{content}<|im_end|>\n",
        assistant="<|im_start|>assistant\n{content}<|im_end|>\n",
        cue="<|im_start|>assistant\n",
        stop=("<|im_end|>", "<|endoftext|>", "<|im_start|>"),
    ),
    "starchat": ChatFormat(
        system="<|system|>\n{content}<|end|>\n",
        user="<|user|>\n{content}<|end|>\n",
        assistant="<|assistant|>\n{content}<|end|>\n",
        cue="<|assistant|>\n",
        default_system="",
        stop=("<|end|>", "<|endoftext|>", "<|user|>"),
    ),
    "starcoder2": ChatFormat(
        start="{bos}",
        system="{content}\n\n",
        user="### Instruction\n{content}\n\n",
        assistant="### Response\n{content}{eos}\n",
        cue="### Response\n",
        stop=("<|endoftext|>", "\n### Instruction"),
    ),
    "deepseek-coder": ChatFormat(
        start="{bos}",
        system="{content}",
        user="### Instruction:\n{content}\n",
        assistant="### Response:\n{content}\n<|EOT|>\n",
        cue="### Response:\n",
        default_system=_DEEPSEEK_SYSTEM,
        stop=("<|EOT|>", "\n### Instruction:"),
    ),
    "deepseek-v2": ChatFormat(
        start="{bos}",
        system="{content}\n\n",
        user="User: {content}\n\n",
        assistant="Assistant: {content}{eos}",
        cue="Assistant:",
        stop=("<｜end▁of▁sentence｜>", "\nUser:"),
    ),
    "gemma": ChatFormat(
        start="{bos}",
        user="<start_of_turn>user\n{content}<end_of_turn>\n",
        assistant="<start_of_turn>model\n{content}<end_of_turn>\n",
        cue="<start_of_turn>model\n",
        stop=("<end_of_turn>", "<start_of_turn>"),
        strip=True,
    ),
    "granite-code": ChatFormat(
        system="System:\n{content}\n\n",
        user="Question:\n{content}\n\n",
        assistant="Answer:\n{content}\n\n",
        cue="Answer:\n",
        stop=("<|endoftext|>", "\nQuestion:"),
    ),
    "granite": ChatFormat(
        system="<|start_of_role|>system<|end_of_role|>{content}<|end_of_text|>\n",
        user="<|start_of_role|>user<|end_of_role|>{content}<|end_of_text|>\n",
        assistant="<|start_of_role|>assistant<|end_of_role|>{content}<|end_of_text|>\n",
        cue="<|start_of_role|>assistant<|end_of_role|>",
        stop=("<|end_of_text|>", "<|start_of_role|>"),
    ),
    "phi2": ChatFormat(
        system="{content}\n\n",
        user="Instruct: {content}\n",
        assistant="Output: {content}\n",
        cue="Output:",
        stop=("\nInstruct:", "<|endoftext|>"),
        strip=True,
    ),
    "phi3": ChatFormat(
        system="<|system|>\n{content}<|end|>\n",
        user="<|user|>\n{content}<|end|>\n",
        assistant="<|assistant|>\n{content}<|end|>\n",
        cue="<|assistant|>\n",
        stop=("<|end|>", "<|endoftext|>", "<|user|>"),
    ),
    "falcon": ChatFormat(
        system="{content}\n\n",
        user="User: {content}\n\n",
        assistant="Assistant: {content}\n\n",
        cue="Assistant:",
        stop=("\nUser", "<|endoftext|>"),
        strip=True,
    ),
    "vicuna": ChatFormat(
        start="{bos}",
        system="{content} ",
        user="USER: {content} ",
        assistant="ASSISTANT: {content}{eos}",
        cue="ASSISTANT:",
        stop=("</s>", "USER:"),
        strip=True,
    ),
    "alpaca": ChatFormat(
        system="{content}\n\n",
        user="### Instruction:\n{content}\n\n",
        assistant="### Response:\n{content}\n\n",
        cue="### Response:\n",
        default_system=_ALPACA_SYSTEM,
        stop=("\n### Instruction:", "</s>", "<|endoftext|>"),
    ),
    "llama3": ChatFormat(
        start="{bos}",
        system="<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
        user="<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>",
        assistant="<|start_header_id|>assistant<|end_header_id|>\n\n{content}<|eot_id|>",
        cue="<|start_header_id|>assistant<|end_header_id|>\n\n",
        stop=("<|eot_id|>", "<|end_of_text|>", "<|start_header_id|>"),
        strip=True,
    ),
    "refact": ChatFormat(
        system="<empty_output>SYSTEM {content}\n",
        user="<empty_output>USER {content}\n",
        assistant="<empty_output>ASSISTANT {content}\n",
        cue="<empty_output>ASSISTANT",
        stop=("<empty_output>", "<|endoftext|>"),
    ),
    "codeface": ChatFormat(
        system="<|system|>\n{content}<|end|>\n",
        user="<|user|>\n{content}<|end|>\n",
        assistant="<|assistant|>\n{content}<|end|>\n",
        cue="<|assistant|>\n",
        stop=("<|end|>", "<|endoftext|>", "<|user|>"),
    ),
}
