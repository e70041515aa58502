"""The human language of an answer: the question's, or the one that the settings name."""

from __future__ import annotations

import re

_NAMES = {
    "en": "English",
    "zh": "Chinese (简体中文)",
    "zh-cn": "Chinese (简体中文)",
    "zh-tw": "Chinese (繁體中文)",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "pt": "Portuguese",
    "ru": "Russian",
}
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7af]")
_FENCED = re.compile(r"```.*?(```|\Z)", re.DOTALL)


def answer_language(setting: str, question: str) -> str:
    """The language to name in the system prompt, empty to leave it to the model.

    `auto` looks at the letters of the question, code apart. A single Han character decides: questions in Chinese
    are full of English identifiers, while English ones hold no Chinese.
    """
    if setting != "auto":
        return _NAMES.get(setting.lower().replace("_", "-"), setting)
    words = _FENCED.sub("", question)
    if _KANA.search(words):
        return _NAMES["ja"]
    if _HANGUL.search(words):
        return _NAMES["ko"]
    return _NAMES["zh"] if _HAN.search(words) else ""


def code_of(setting: str, question: str) -> str:
    """`zh` or `en`: the language of the sentences that CodeFace itself puts into an answer."""
    return "zh" if answer_language(setting, question).startswith("Chinese") else "en"
