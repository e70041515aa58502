"""From tokens to text: characters, stop strings, sampling, chunk sizes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.inference.chunks import ChunkSizer
from codeface_lsp.inference.detokenizer import Detokenizer
from codeface_lsp.inference.sampling import Sampler
from codeface_lsp.inference.stopping import StopStrings
from codeface_lsp.inference.types import Sampling


@given(st.text(), st.integers(1, 4))
def test_characters_come_whole_however_their_bytes_are_cut(text: str, size: int) -> None:
    raw = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()
    detokenizer = Detokenizer()
    pieces = [detokenizer.add(raw[at : at + size]) for at in range(0, len(raw), size)]
    assert "".join(pieces) == raw.decode()
    assert "�" in raw.decode() or not any("�" in piece for piece in pieces)


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    assert Detokenizer().add(b"a\xff\xfeb") == "a��b"


def test_what_was_typed_is_skipped() -> None:
    detokenizer = Detokenizer(skip=4)
    assert [detokenizer.add(raw) for raw in (b"re", b"turn", b" x")] == ["", "rn", " x"]


@given(
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=5),
    st.text("abc", max_size=30),
    st.integers(1, 5),
)
def test_the_text_ends_in_front_of_the_stop_string_that_ends_first(
    stops: list[str], text: str, size: int
) -> None:
    found = StopStrings(stops)
    shown, stopped = "", None
    for at in range(0, len(text), size):
        piece, stopped = found.add(text[at : at + size])
        shown += piece
        if stopped is not None:
            break
    else:
        shown += found.finish()
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if not ends:
        assert (shown, stopped) == (text, None)
        return
    longest = max((s for s in stops if text[: min(ends)].endswith(s)), key=len)
    assert (shown, stopped) == (text[: min(ends) - len(longest)], longest)


def test_text_that_may_become_a_stop_string_is_held_back() -> None:
    stops = StopStrings(["\n\n", "END"])
    assert stops.add("a\n") == ("a", None)
    assert stops.add("bE") == ("\nb", None)
    assert stops.add("X") == ("EX", None)


def test_ten_thousand_stop_strings_are_no_trouble() -> None:
    stops = StopStrings([f"stop{n:05}" for n in range(10_000)])
    assert stops.add("go on " * 1000)[1] is None
    assert stops.add("and stop09999 here") == ("and ", "stop09999")


def drawn(sampling: Sampling, logits: list[float], times: int = 300) -> set[int]:
    sampler = Sampler(sampling)
    return {sampler.draw(torch.tensor(logits)) for _ in range(times)}


LOGITS = [3.0, 2.9, 2.0, 0.0, -4.0]


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        (Sampling(temperature=0.0), {0}),
        (Sampling(temperature=1.0, seed=1, top_k=2), {0, 1}),
        (Sampling(temperature=1.0, seed=1, top_p=0.5), {0, 1}),
        (Sampling(temperature=1.0, seed=1, top_p=0.01), {0}),
        (Sampling(temperature=1.0, seed=1, min_p=0.5), {0, 1}),
        (Sampling(temperature=0.05, seed=1), {0, 1}),
    ],
)
def test_sampling_leaves_what_its_parameters_allow(sampling: Sampling, possible: set[int]) -> None:
    assert drawn(sampling, LOGITS) == possible


def test_probabilities_are_those_of_the_softmax() -> None:
    sampler = Sampler(Sampling(temperature=2.0, seed=7))
    counts = torch.zeros(5)
    for _ in range(4000):
        counts[sampler.draw(torch.tensor(LOGITS))] += 1
    expected = torch.softmax(torch.tensor(LOGITS) / 2, -1)
    torch.testing.assert_close(counts / 4000, expected, atol=0.03, rtol=0)


def test_a_repetition_penalty_lowers_what_occurred() -> None:
    sampler = Sampler(Sampling(repetition_penalty=2.0))
    assert sampler.penalize(torch.tensor([3.0, 2.9, -1.0]), [0, 2, 0], 2).tolist() == pytest.approx(
        [1.5, 2.9, -2.0]
    )


def test_frequency_and_presence_penalties_count_the_answer_alone() -> None:
    logits, prompt, answer = torch.tensor([3.0, 2.0, 1.0, 0.0]), [3, 3, 0], [1, 2, 1]
    for frequency, presence, expected in (
        (0.5, 0.0, [3.0, 1.0, 0.5, 0.0]),
        (0.0, 1.5, [3.0, 0.5, -0.5, 0.0]),
        (-1.0, 0.25, [3.0, 3.75, 1.75, 0.0]),
    ):
        sampler = Sampler(Sampling(frequency_penalty=frequency, presence_penalty=presence))
        assert sampler.penalize(logits, prompt + answer, len(prompt)).tolist() == pytest.approx(expected)
        assert sampler.penalize(logits, prompt, len(prompt)) is logits
    assert logits.tolist() == [3.0, 2.0, 1.0, 0.0]


def test_chunks_follow_the_measured_speed() -> None:
    sizer = ChunkSizer(0.1, parameters=7_000_000_000)
    assert sizer.size == 8
    sizer.measured(8, 0.008)
    assert sizer.size == 96
    for _ in range(20):
        sizer.measured(96, 9.6)
    assert sizer.size == 8


def test_a_single_token_says_nothing_about_chunks() -> None:
    sizer = ChunkSizer(0.1, parameters=10_000_000)
    before = sizer.size
    sizer.measured(1, 5.0)
    assert sizer.size == before
