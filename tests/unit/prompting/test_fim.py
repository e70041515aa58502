"""The strings are those of the vendors' papers, cards and reference code."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.errors import InvalidRequest
from codeface_lsp.prompting.families import FAMILIES, Family, Order
from codeface_lsp.prompting.fim import render_ids, render_text, special_spellings, stop_ids

P, S = "def f(x):\n    ret", "\n\nprint(f(1))\n"
EXTRA = [("lib/a.py", "A = 1\n"), ("lib/b.py", "B = 2")]
WITH_FIM = [family for family in FAMILIES.values() if family.fim.orders != ("none",)]


class Markers:
    """A tokenizer of one id per character; markers get ids of their own above all characters."""

    def __init__(self, family: Family, *, bos: bool = True) -> None:
        fim = family.fim
        spelled = (fim.prefix, fim.suffix, fim.middle, fim.file_separator, *fim.stop)
        self.ids = {token: 0x200000 + n for n, token in enumerate(dict.fromkeys(t for t in spelled if t))}
        self.bos_id = 0x1FFFFF if bos else None
        self.eos_ids = frozenset({0x1FFFFE})

    def encode(self, text: str) -> list[int]:
        return [ord(char) for char in text]

    def token_id(self, token: str) -> int | None:
        return self.ids.get(token)

    def show(self, ids: list[int]) -> str:
        names = {token_id: token for token, token_id in self.ids.items()} | {0x1FFFFF: "<s>"}
        return "".join(names.get(i) or chr(i) for i in ids)


@pytest.mark.parametrize(
    ("name", "order", "expected"),
    [
        ("codellama", None, f"<PRE> <SUF>{S} <MID> {P}"),
        ("codellama", "psm", f"<PRE> {P} <SUF>{S} <MID>"),
        ("starcoder", None, f"<fim_prefix><fim_suffix>{S}<fim_middle>{P}"),
        ("starcoder", "psm", f"<fim_prefix>{P}<fim_suffix>{S}<fim_middle>"),
        ("starcoder2", None, f"<fim_prefix><fim_suffix>{S}<fim_middle>{P}"),
        ("santacoder", None, f"<fim-prefix><fim-suffix>{S}<fim-middle>{P}"),
        ("qwen2.5-coder", None, f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>"),
        ("deepseek-coder", None, f"<｜fim▁begin｜>{P}<｜fim▁hole｜>{S}<｜fim▁end｜>"),
        ("codegemma", None, f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>"),
        ("granite", None, f"<fim_prefix>{P}<fim_suffix>{S}<fim_middle>"),
        ("codestral", None, f"[SUFFIX]{S}[PREFIX] {P}"),
        ("mellum", None, f"<filename>src/m.py\n<fim_suffix>{S}<fim_prefix>{P}<fim_middle>"),
        ("seed-coder", None, f"<[fim-suffix]>{S}<[fim-prefix]>{P}<[fim-middle]>"),
        ("stable-code", None, f"<fim_prefix>{P}<fim_suffix>{S}<fim_middle>"),
        ("refact", None, f"<fim_suffix>{S}<fim_prefix>{P}<fim_middle>"),
        ("codeface-tiny", None, f"<file_sep>src/m.py\n<fim_prefix><fim_suffix>{S}<fim_middle>{P}"),
        ("gpt2", None, P),
        ("codellama", "none", P),
    ],
)
def test_a_single_file_is_rendered_as_the_family_was_trained(
    name: str, order: Order | None, expected: str
) -> None:
    assert render_text(FAMILIES[name], prefix=P, suffix=S, filename="src/m.py", order=order) == expected


@pytest.mark.parametrize(
    ("name", "head"),
    [
        (
            "codeface-tiny",
            "<file_sep>lib/a.py\nA = 1\n<file_sep>lib/b.py\nB = 2\n<file_sep>src/m.py\n<fim_prefix><fim_suffix>",
        ),
        (
            "starcoder2",
            f"<file_sep>lib/a.py\nA = 1\n<file_sep>lib/b.py\nB = 2\n<file_sep>"
            f"<fim_prefix><fim_suffix>{S}<fim_middle>src/m.py\n{P}",
        ),
        (
            "qwen2.5-coder",
            "<|file_sep|>lib/a.py\nA = 1\n\n<|file_sep|>lib/b.py\nB = 2\n\n<|file_sep|>src/m.py\n<|fim_prefix|>",
        ),
        (
            "mellum",
            "<filename>lib/a.py\nA = 1\n\n<filename>lib/b.py\nB = 2\n\n<filename>src/m.py\n<fim_suffix>",
        ),
        ("deepseek-coder", "<｜fim▁begin｜># lib/a.py\nA = 1\n# lib/b.py\nB = 2\n# src/m.py\ndef f"),
        (
            "codestral",
            f"[SUFFIX]{S}[PREFIX] +++++ lib/a.py\nA = 1\n\n+++++ lib/b.py\nB = 2\n\n+++++ src/m.py\ndef",
        ),
        ("gpt2", "# lib/a.py\nA = 1\n# lib/b.py\nB = 2\n# src/m.py\ndef f"),
    ],
)
def test_extra_context_stands_where_the_family_was_trained_to_find_it(name: str, head: str) -> None:
    text = render_text(FAMILIES[name], prefix=P, suffix=S, extra=EXTRA, filename="src/m.py")
    assert text.startswith(head)


def test_a_file_is_named_in_a_comment_of_its_language() -> None:
    text = render_text(
        FAMILIES["plain"], prefix="let x", suffix="", extra=[("a.ts", "1\n"), ("q.sql", "2\n")]
    )
    assert text == "// a.ts\n1\n-- q.sql\n2\nlet x"


@pytest.mark.parametrize("family", WITH_FIM, ids=lambda f: f.name)
def test_ids_and_text_say_the_same(family: Family) -> None:
    tokenizer = Markers(family)
    shown = tokenizer.show(render_ids(family, tokenizer, prefix=P, suffix=S, extra=EXTRA, filename="m.py"))
    text = render_text(family, prefix=P, suffix=S, extra=EXTRA, filename="m.py")
    spelled = shown.removeprefix("<s>").replace("▁<", " <")
    assert (spelled.removeprefix(" ") if family.fim.spaced_prefix else spelled) == text
    assert shown.startswith("<s>") == family.needs_bos


@pytest.mark.parametrize("family", [f for f in WITH_FIM if f.fim.orders[0] == "spm2"], ids=lambda f: f.name)
def test_suffix_first_a_typed_key_only_appends(family: Family) -> None:
    tokenizer = Markers(family)
    before = render_ids(family, tokenizer, prefix=P, suffix=S, extra=EXTRA, filename="m.py")
    after = render_ids(family, tokenizer, prefix=P + "u", suffix=S, extra=EXTRA, filename="m.py")
    assert after == [*before, ord("u")]


@pytest.mark.parametrize("family", WITH_FIM, ids=lambda f: f.name)
def test_text_of_a_file_never_becomes_a_marker_in_tokens(family: Family) -> None:
    tokenizer = Markers(family)
    evil = "".join(special_spellings(family))

    def markers(text: str) -> list[int]:
        ids = render_ids(family, tokenizer, prefix=text, suffix=text, extra=[(text, text)], filename=text)
        return [i for i in ids if i >= 0x1FFFFF]

    assert markers(evil) == markers("harmless")


@pytest.mark.parametrize("family", WITH_FIM, ids=lambda f: f.name)
@given(data=st.data())
def test_text_of_a_file_never_becomes_a_marker_in_text(family: Family, data: st.DataObject) -> None:
    spelled = special_spellings(family)
    pieces = st.sampled_from([*spelled, *(s[:-1] for s in spelled), *(s[1:] for s in spelled), "<", ">", "x"])
    evil = "".join(data.draw(st.lists(pieces, max_size=6)))
    clean = render_text(family, prefix="p", suffix="s", filename="f")
    text = render_text(family, prefix=evil, suffix=evil, filename="f")
    assert [text.count(s) for s in spelled] == [clean.count(s) for s in spelled]


def test_the_current_line_can_follow_the_middle_token() -> None:
    qwen = FAMILIES["qwen2.5-coder"]
    efim = replace(qwen, fim=replace(qwen.fim, line_after_middle=True))
    text = render_text(efim, prefix="a\nb = ", suffix="\nc")
    assert text == "<|fim_prefix|>a\n<|fim_suffix|>\nc<|fim_middle|>b = "


def test_an_order_that_the_family_cannot_spell_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"codestral.*psm.*none"):
        render_text(FAMILIES["codestral"], prefix=P, suffix=S, order="psm")
    with pytest.raises(InvalidRequest, match="gpt2"):
        render_text(FAMILIES["gpt2"], prefix=P, suffix=S, order="psm")


def test_a_marker_that_the_tokenizer_lacks_is_refused() -> None:
    family = FAMILIES["starcoder"]
    with pytest.raises(InvalidRequest, match=r"fim_prefix.*none"):
        render_ids(family, Markers(FAMILIES["qwen2.5-coder"]), prefix=P, suffix=S)


def test_bos_is_left_out_where_the_tokenizer_has_none() -> None:
    family = FAMILIES["codellama"]
    assert render_ids(family, Markers(family, bos=False), prefix="", suffix="")[0] == 0x200000


def test_stops_that_are_tokens_are_stopped_at_by_id() -> None:
    family = FAMILIES["starcoder2"]
    tokenizer = Markers(family)
    assert stop_ids(family, tokenizer) == {0x1FFFFE, *(tokenizer.ids[stop] for stop in family.fim.stop)}
