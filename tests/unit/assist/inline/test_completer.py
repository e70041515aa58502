"""A request becomes an answer: from the model, from memory, from a generation of an older request, or at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from codeface_lsp.assist.inline import SelectedItem
from codeface_lsp.endpoints.types import Chunk, ModelCard
from codeface_lsp.errors import EndpointUnreachable
from tests.scripted import ScriptedEndpoint
from tests.unit.assist.inline.support import Editor, until

GITHUB_TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
FUNCTION = "def area(width, height):\n    |\n"


def editor(*scripts: Any, text: str = FUNCTION, hold: bool = False, **completion: Any) -> Editor:
    return Editor(ScriptedEndpoint(*scripts, hold=hold), text, **completion)


async def test_a_suggestion_has_a_range_at_the_cursor() -> None:
    ed = editor(["return ", "width", " * height"])
    [suggestion] = await ed.ask() or []
    assert suggestion.text == "return width * height"
    assert suggestion.start == suggestion.end == ed.cursor
    assert suggestion.model == "scripted"
    assert suggestion.logprob == pytest.approx(-0.1)


async def test_an_indentation_typed_blank_by_blank_is_followed() -> None:
    ed = editor("   return 1", text="def f():\n |\n")
    for rest in ("   return 1", "  return 1", " return 1", "return 1"):
        [suggestion] = await ed.ask() or []
        assert suggestion.text == rest
        ed.type(" ")
    assert len(ed.endpoint.requests) == 1


async def test_typing_along_asks_no_model() -> None:
    ed = editor("return width * height")
    [first] = await ed.ask() or []
    for char in "return":
        ed.type(char)
        [rest] = await ed.ask() or []
        assert ed.accepted(rest).rstrip().endswith("return width * height")
        assert rest.id == first.id
    ed.edit(ed.cursor - 3, ed.cursor, "")
    [rest] = await ed.ask() or []
    assert rest.text == "urn width * height"
    assert len(ed.endpoint.requests) == 1
    assert ed.stats.outcomes == ["engine"] + ["cache"] * 7


async def test_typing_past_a_divergence_asks_again() -> None:
    ed = editor("return width * height", "None")
    await ed.ask()
    ed.type("x = ")
    [suggestion] = await ed.ask() or []
    assert suggestion.text == "None"
    assert len(ed.endpoint.requests) == 2


async def test_an_auto_closed_bracket_keeps_the_suggestion() -> None:
    ed = editor("print(width, height)")
    await ed.ask()
    ed.type("print")
    ed.type("(", auto=")")
    [rest] = await ed.ask() or []
    assert rest.text == "width, height"
    assert ed.accepted(rest) == "def area(width, height):\n    print(width, height)\n"
    assert len(ed.endpoint.requests) == 1


async def test_the_newest_request_wins_and_the_older_one_is_answered_at_once() -> None:
    ed = editor(["return ", "width"], hold=True)
    older = ed.request()
    await ed.endpoint.asked()
    newer = ed.request()
    assert await older is None
    ed.endpoint.let(3)
    [suggestion] = await newer or []
    assert suggestion.text == "return width"
    assert len(ed.endpoint.requests) == 1, "the newer one joined the generation of the older"
    assert ed.stats.outcomes == ["superseded", "joined"]


async def test_a_key_that_agrees_with_the_partial_output_keeps_the_generation() -> None:
    ed = editor(["return ", "width"], hold=True)
    older = ed.request()
    await ed.endpoint.asked()
    ed.endpoint.let(1)
    await until(lambda: ed.endpoint.sent == 1)
    ed.type("r")
    newer = ed.request()
    assert await older is None
    ed.endpoint.let(2)
    [suggestion] = await newer or []
    assert suggestion.text == "eturn width"
    assert len(ed.endpoint.requests) == 1


async def test_a_key_that_contradicts_stops_the_generation_and_answers_the_request() -> None:
    ed = editor(["return ", "width"], hold=True)
    older = ed.request()
    await ed.endpoint.asked()
    ed.endpoint.let(1)
    await until(lambda: ed.endpoint.sent == 1)
    ed.type("x")
    assert await older is None
    await until(lambda: ed.endpoint.cancelled == 1)
    assert ed.endpoint.running == 0


async def test_a_cancelled_request_leaves_its_generation_joinable() -> None:
    ed = editor(["return ", "width"], hold=True)
    older = ed.request()
    await ed.endpoint.asked()
    older.cancel()
    with pytest.raises(asyncio.CancelledError):
        await older
    newer = ed.request()
    await asyncio.sleep(0)
    ed.endpoint.let(3)
    [suggestion] = await newer or []
    assert suggestion.text == "return width"
    assert len(ed.endpoint.requests) == 1


async def test_a_cancelled_request_nobody_follows_stops_the_model_within_the_linger_time() -> None:
    ed = editor(["return ", "width"], hold=True)
    older = ed.request()
    await ed.endpoint.asked()
    await until(lambda: ed.endpoint.running == 1)
    older.cancel()
    cancelled = asyncio.get_running_loop().time()
    await until(lambda: ed.endpoint.running == 0)
    assert 0.1 < asyncio.get_running_loop().time() - cancelled < 5
    assert ed.endpoint.cancelled == 1


async def test_a_cursor_jump_stops_the_generation() -> None:
    ed = editor(["return ", "width"], "pass", hold=True)
    older = ed.request()
    await ed.endpoint.asked()
    await until(lambda: ed.endpoint.running == 1)
    ed.cursor = 0
    newer = ed.request()
    assert await older is None
    await until(lambda: ed.endpoint.cancelled == 1)
    ed.endpoint.let(4)
    await newer


async def test_closing_the_document_answers_and_stops() -> None:
    ed = editor(["return ", "width"], hold=True)
    pending = ed.request()
    await ed.endpoint.asked()
    await until(lambda: ed.endpoint.running == 1)
    ed.completer.closed(ed.snapshot.uri)
    assert await pending is None
    await until(lambda: ed.endpoint.running == 0)


async def test_replacing_the_whole_document_stops_the_generation() -> None:
    ed = editor(["return ", "width"], hold=True)
    pending = ed.request()
    await ed.endpoint.asked()
    await until(lambda: ed.endpoint.running == 1)
    ed.edit(0, len(ed.text), "something = 'else'\n")
    assert await pending is None
    await until(lambda: ed.endpoint.running == 0)


async def test_an_answer_for_a_text_that_moved_on_is_not_shown_but_kept() -> None:
    ed = editor(["return width"], hold=True)
    pending = ed.request()
    await ed.endpoint.asked()
    ed.type("r")
    ed.endpoint.let(2)
    assert await pending is None
    [suggestion] = await ed.ask() or []
    assert suggestion.text == "eturn width"
    assert len(ed.endpoint.requests) == 1


async def test_the_time_budget_shows_the_whole_lines_that_are_there() -> None:
    ed = editor(
        ["x = 1\n    ", "y = 2\n    ", "z = "],
        text="def f():\n    |\n",
        hold=True,
        time_budget_ms=300,
        multiline="always",
    )
    pending = ed.request()
    await ed.endpoint.asked()
    ed.endpoint.let(2)
    [suggestion] = await pending or []
    assert suggestion.text == "x = 1\n    y = 2"


async def test_what_follows_an_early_answer_comes_by_typing_along() -> None:
    pieces = ["x = 1\n    ", "y = 2\n    ", "z = 3\n"]
    ed = editor(pieces, text="def f():\n    |\n", hold=True, multiline="always")
    pending = ed.request()
    await ed.endpoint.asked()
    ed.endpoint.let(2)
    [early] = await pending or []
    assert early.text == "x = 1\n    y = 2"
    ed.endpoint.let(2)
    await until(lambda: ed.endpoint.running == 0)
    ed.type("x")
    [rest] = await ed.ask() or []
    assert rest.text == " = 1\n    y = 2\n    z = 3"
    assert len(ed.endpoint.requests) == 1


async def test_invoked_gives_several_distinct_alternatives() -> None:
    ed = editor(
        "return width * height", "return width * height", "return width + height", "return height", "return 0"
    )
    suggestions = await ed.ask(invoked=True) or []
    assert [s.text for s in suggestions] == [
        "return width * height",
        "return width + height",
        "return height",
    ]
    temperatures = [request.temperature for request in ed.endpoint.requests]  # type: ignore[union-attr]
    assert temperatures[0] == 0 and all(t > 0 for t in temperatures[1:])


async def test_invoked_starts_with_what_is_on_the_screen() -> None:
    ed = editor("return width * height", "return 0", "return 1")
    [shown] = await ed.ask() or []
    suggestions = await ed.ask(invoked=True) or []
    assert suggestions[0].id == shown.id
    assert len(suggestions) == 3
    assert [s.id for s in await ed.ask() or []] == [shown.id], "alternatives do not push it away"


async def test_the_selected_item_is_extended_in_its_own_range() -> None:
    ed = editor("(width)", text="def area(width):\n    pri|\n")
    item = SelectedItem("print", ed.cursor - 3, ed.cursor)
    [suggestion] = await ed.ask(selected=item) or []
    assert (suggestion.start, suggestion.end) == (item.start, item.end)
    assert suggestion.text == "print(width)"
    request = ed.endpoint.requests[0]
    assert request.parts.prefix.endswith("    print")  # type: ignore[union-attr]
    assert request.document.text == ed.text  # type: ignore[union-attr]


async def test_an_accepted_suggestion_is_followed_by_a_prefetched_one() -> None:
    ed = editor("return width * height", "\n\n\ndef volume(a, b, c):", prefetch=True)
    [first] = await ed.ask() or []
    await ed.endpoint.asked(2)
    assert ed.endpoint.requests[1].priority == "prefetch"  # type: ignore[union-attr]
    await until(lambda: ed.endpoint.running == 0)
    ed.accept(first)
    await ed.ask()
    assert len(ed.endpoint.requests) == 2


async def test_a_prefetch_is_stopped_when_the_text_goes_another_way() -> None:
    ed = editor("return width", ["one", "two"], prefetch=True, text="def area(width):\n    |\n")
    await ed.ask()
    ed.endpoint._hold = True
    await until(lambda: ed.endpoint.running == 1)
    ed.type("return")
    await asyncio.sleep(0)
    assert ed.endpoint.running == 1, "typing along keeps it"
    ed.type("!")
    await until(lambda: ed.endpoint.running == 0)


async def test_low_power_waits_for_the_pause_and_prefetches_nothing() -> None:
    ed = editor("return width", low_power=True, prefetch=True)
    older = ed.request()
    await asyncio.sleep(0.01)
    assert ed.endpoint.requests == []
    newer = ed.request()
    assert await older is None
    [suggestion] = await newer or []
    assert suggestion.text == "return width"
    await asyncio.sleep(0.12)
    assert len(ed.endpoint.requests) == 1


@pytest.mark.parametrize("scope", ["workspace", "language", "file"])
async def test_paused_nothing_is_computed_and_what_runs_stops(scope: Any) -> None:
    ed = editor(["return ", "width"], hold=True)
    value = {"workspace": "", "language": "python", "file": ed.snapshot.uri}[scope]
    pending = ed.request()
    await ed.endpoint.asked()
    await until(lambda: ed.endpoint.running == 1)
    ed.completer.pause(scope, value)
    assert not await pending
    await until(lambda: ed.endpoint.running == 0)
    assert await ed.ask() == []
    assert len(ed.endpoint.requests) == 1
    ed.completer.pause(scope, value, paused=False)
    ed.endpoint.let(5)
    assert await ed.ask()


async def test_an_error_reaches_the_user_once_and_each_time_when_asked() -> None:
    ed = editor(EndpointUnreachable("The engine is not there; wait a moment."))
    with pytest.raises(EndpointUnreachable):
        await ed.ask()
    assert await ed.ask() == []
    with pytest.raises(EndpointUnreachable):
        await ed.ask(invoked=True)


async def test_after_an_error_the_next_request_asks_again() -> None:
    ed = editor(EndpointUnreachable("gone"), "return width")
    with pytest.raises(EndpointUnreachable):
        await ed.ask()
    [suggestion] = await ed.ask() or []
    assert suggestion.text == "return width"


async def test_a_low_confidence_hides_the_suggestion() -> None:
    ed = editor("return width", min_confidence=-0.05)
    assert await ed.ask() == []
    assert await ed.ask() == []
    assert len(ed.endpoint.requests) == 1, "that nothing is worth showing here is remembered"


async def test_a_block_whose_first_line_is_a_guess_is_given_up_there() -> None:
    """What follows a guess is sure of itself and would lift the mean of the whole above the bar."""
    lines = [Chunk("area = 0\n", tokens=1, logprob=-0.9), *["    area += width\n", "    return area\n"] * 4]
    ed = editor(lines, hold=True, min_confidence=-0.3)
    request = ed.request()
    ed.endpoint.let(len(lines))
    assert await request == []
    assert ed.endpoint.sent == 1
    sure = editor(lines[1:], min_confidence=-0.3)
    assert await sure.ask()


async def test_the_models_own_bar_counts_where_the_settings_name_none() -> None:
    ed = editor("return width")
    ed.endpoint.card = ModelCard("codeface-tiny", min_confidence=-0.05)
    assert await ed.ask() == []
    ed = editor("return width", min_confidence=-1.0)
    ed.endpoint.card = ModelCard("codeface-tiny", min_confidence=-0.05)
    assert await ed.ask()


async def test_a_refused_generation_that_still_agrees_is_joined_only_once() -> None:
    """It used to be joined again and again until the time budget was spent, holding the event loop."""
    ed = editor(["return ", "width"], hold=True, min_confidence=-0.05)
    older = ed.request()
    await ed.endpoint.asked()
    ed.type("r")
    newer = ed.request()
    ed.endpoint.let(20)
    started = asyncio.get_running_loop().time()
    assert await older is None
    assert await newer == []
    assert asyncio.get_running_loop().time() - started < 1.5
    assert len(ed.endpoint.requests) == 2


async def test_a_model_that_was_too_slow_is_asked_again_at_the_same_place() -> None:
    """An empty answer for want of time used to be remembered as "nothing is worth showing here"."""
    ed = editor(["return ", "width"], hold=True, time_budget_ms=50)
    assert await ed.ask() == []
    await until(lambda: ed.endpoint.running == 0)
    ed.endpoint.let(20)
    [suggestion] = await ed.ask() or []
    assert suggestion.text == "return width"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("wi|dth = 1\n", "mid_word"),
        ("x = | + compute(1, 2, 3)\n", "text_right"),
        ("# a comment |\n", "comment"),
        ('x = "a string |"\n', "string"),
        (f"token = '{GITHUB_TOKEN}' |\n", "secret"),
    ],
)
async def test_nothing_is_asked_where_it_would_be_in_the_way(text: str, reason: str) -> None:
    ed = editor("anything", text=text)
    assert await ed.ask() == []
    assert ed.stats.outcomes == [reason]
    assert ed.endpoint.requests == []


async def test_a_text_with_a_secret_is_not_shown() -> None:
    assert await editor(f"token = '{GITHUB_TOKEN}'").ask() == []


async def test_asked_explicitly_it_answers_inside_a_comment() -> None:
    ed = editor("about widths", text="# a comment |\nx = 1\n", alternatives=1)
    [suggestion] = await ed.ask(invoked=True) or []
    assert suggestion.text == "about widths"


async def test_offsets_outside_of_the_text_are_clamped() -> None:
    ed = editor("pass")
    ed.cursor = 10_000
    assert await ed.ask() is not None
    ed.cursor = -5
    assert await ed.ask() is not None


async def test_the_memory_is_bounded() -> None:
    ed = editor("abc = 1")
    for number in range(400):
        ed.edit(0, len(ed.text), f"value_{number} = 1\n")
        await ed.ask()
    assert len(ed.completer._finder.memory) <= 256


async def test_next_edits_are_counted_when_they_are_shown_and_when_they_are_taken() -> None:
    ed = editor(text="def f(size|):\n    return size * size\n")
    ed.edit(ed.cursor - 4, ed.cursor, "width")
    first, second = ed.completer.next_edit(ed.snapshot, ed.cursor)
    assert ed.completer.next_edit(ed.snapshot, ed.cursor)[0].id == first.id, "asked again, it is the same"
    assert {s.id for s in ed.stats.seen} == {first.id}, "an editor shows one at a time"
    ed.edit(first.start, first.end, first.text)
    assert ed.stats.whole == {first.id}
    [left] = ed.completer.next_edit(ed.snapshot, ed.cursor)
    assert left.id not in (first.id, second.id)
    assert [s.origin for s in ed.stats.seen] == ["next edit"] * 3


async def test_only_what_takes_a_noticeable_time_is_told() -> None:
    ed = editor("return width", ["return ", "height"])
    told: list[bool] = []
    ed.completer.activity.on_change = told.append
    await ed.ask()
    assert told == []
    ed.endpoint._hold = True
    ed.edit(0, len(ed.text), "x = ")
    pending = ed.request()
    await until(lambda: told == [True])
    ed.endpoint.let(3)
    await pending
    await until(lambda: told == [True, False])
