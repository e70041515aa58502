"""Windows hear the engine's state, and their number decides when it is idle."""

from __future__ import annotations

import time

from codeface_lsp.serving.hub import Hub, Status


async def test_a_window_hears_the_current_state_and_every_later_one() -> None:
    hub = Hub()
    hub.publish(Status("loading", "Loading.", 0.5, "tiny"))
    heard = hub.listen()
    assert await anext(heard) == {"state": "loading", "message": "Loading.", "progress": 0.5, "model": "tiny"}
    hub.publish(Status("ready", model="tiny"))
    assert (await anext(heard))["state"] == "ready"
    await heard.aclose()


async def test_a_window_that_lags_loses_the_oldest_states_not_the_newest() -> None:
    hub = Hub()
    heard = hub.listen()
    await anext(heard)
    for share in range(1000):
        hub.publish(Status("loading", progress=share / 1000))
    hub.publish(Status("ready"))
    seen = [await anext(heard) for _ in range(64)]
    assert seen[-1]["state"] == "ready"
    await heard.aclose()


async def test_idle_time_counts_from_the_last_window() -> None:
    hub = Hub()
    windows = [hub.listen() for _ in range(2)]
    for window in windows:
        await anext(window)
    assert (hub.windows, hub.idle_s()) == (2, 0.0)
    await windows[0].aclose()
    assert hub.idle_s() == 0.0
    left = time.monotonic()
    await windows[1].aclose()
    assert hub.windows == 0
    assert hub.idle_s() <= time.monotonic() - left + 0.05


async def test_a_request_of_a_client_that_is_no_window_counts_as_use() -> None:
    hub = Hub()
    hub._last_left -= 100
    assert hub.idle_s() >= 100
    hub.touch()
    assert hub.idle_s() < 50
