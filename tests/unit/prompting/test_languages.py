from __future__ import annotations

import pytest

from codeface_lsp.prompting.languages import answer_language, code_of


@pytest.mark.parametrize(
    ("setting", "question", "expected"),
    [
        ("auto", "What does this do?", ""),
        ("auto", "这个函数 parse_args 做什么？", "Chinese"),
        ("auto", "What does this do?\n```\n# 注释\n```", ""),
        ("auto", "これは何ですか", "Japanese"),
        ("zh", "What does this do?", "Chinese"),
        ("en", "这是什么？", "English"),
        ("Klingon", "x", "Klingon"),
    ],
)
def test_the_answer_follows_the_question_or_the_setting(setting: str, question: str, expected: str) -> None:
    assert answer_language(setting, question).startswith(expected)
    assert bool(answer_language(setting, question)) == bool(expected)


def test_codefaces_own_sentences_are_english_or_chinese() -> None:
    assert code_of("auto", "为什么？") == "zh"
    assert code_of("auto", "why?") == "en"
    assert code_of("de", "why?") == "en"
