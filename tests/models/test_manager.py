"""The manager with real tiny models: loads are joined, roles side by side, room is made, failures lose nothing."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from codeface_lsp.errors import InvalidRequest, ModelLoadError
from codeface_lsp.models import loader, manager, memory, placement
from codeface_lsp.models.manager import ModelEvent, ModelManager
from codeface_lsp.models.registry import ModelEntry, Registry
from codeface_lsp.models.types import LoadedModel, Role
from codeface_lsp.settings import Settings

Checkpoint = Callable[[str], Path]


@dataclass
class Desk:
    """A manager, and what it told."""

    manager: ModelManager
    events: list[ModelEvent] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def told(self, kind: str) -> list[str]:
        return [event.message for event in self.events if event.kind == kind]

    async def use(self, name: str | None, role: Role = "completion") -> LoadedModel:
        """Acquire and release."""
        model = await self.manager.acquire(name, role)
        self.manager.release(model)
        return model

    @property
    def names(self) -> list[str]:
        return sorted(model.name for model in self.manager.loaded())


Make = Callable[..., Desk]


@pytest.fixture
async def desk(checkpoint: Checkpoint, tmp_path: Path) -> AsyncIterator[Make]:
    """`desk(max_cached_models=2)`: a manager over tiny models named a, b, c, an encoder and a broken one."""
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint("llama"), broken)
    (broken / "model.safetensors").write_bytes(b"")
    folders = {"a": "llama", "b": "gpt2", "c": "starcoder2"}
    entries = {n: ModelEntry(name=n, model_name=str(checkpoint(kind))) for n, kind in folders.items()}
    entries["encoder"] = ModelEntry(name="encoder", model_name=str(checkpoint("bert")), roles=("embedding",))
    entries["broken"] = ModelEntry(name="broken", model_name=str(broken))
    entries["falls"] = ModelEntry(name="falls", model_name=str(broken), fallback=["broken", "b"])
    entries["absent"] = ModelEntry(name="absent", model_name="nobody/absent", size_gb=3)
    made: list[Desk] = []

    def make(**engine: Any) -> Desk:
        settings = Settings.model_validate(
            {
                "model": {"completion": "a", "chat": "b", "embedding": "encoder"},
                "engine": {"device": "cpu", "memory_threshold": 1.0, **engine},
            }
        )
        one = Desk(ModelManager(settings, models=Registry(entries, {"small": "c"})))
        one.manager.events = one.events.append
        one.manager.on_unload = lambda model: one.forgotten.append(model.name)
        made.append(one)
        return one

    yield make
    for one in made:
        await one.manager.aclose()


@pytest.fixture
def slow_load(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, list[str]]:
    """Loads wait for the event; the list has the name of every load that began."""
    go, begun = threading.Event(), []

    def load(source: Any, role: Role, settings: Any, options: loader.LoadOptions) -> LoadedModel:
        begun.append(options.name)
        assert go.wait(30)
        return loader.load(source, role, settings, options)

    monkeypatch.setattr(manager, "load", load)
    return go, begun


async def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_the_roles_are_held_side_by_side(desk: Make) -> None:
    one = desk()
    for role in ("completion", "chat", "embedding"):
        await one.use(None, role)
    assert one.names == ["a", "b", "encoder"]
    assert one.told("loaded") == [f"{name} is ready on cpu." for name in ("a", "b", "encoder")]


async def test_completion_and_chat_share_one_models_weights(desk: Make) -> None:
    one = desk()
    assert await one.use("a", "completion") is await one.use("a", "chat")
    assert one.names == ["a"]


async def test_a_name_may_be_an_alias_or_a_folder(desk: Make, checkpoint: Checkpoint) -> None:
    one = desk()
    assert (await one.use("small")).name == "c"
    assert (await one.use(str(checkpoint("qwen2")))).name == "tiny-qwen2"


async def test_two_folders_of_the_same_name_are_two_models(
    desk: Make, build_checkpoint: Callable[..., Path], checkpoint: Checkpoint
) -> None:
    one = desk()
    other = build_checkpoint("llama", seed=7)
    assert other.name == checkpoint("llama").name
    first, second = await one.use(str(checkpoint("llama"))), await one.use(str(other))
    assert first is not second and second.source == str(other)
    await one.manager.unload(str(other))
    assert [model.source for model in one.manager.loaded()] == [str(checkpoint("llama"))]


async def test_it_says_whether_a_request_would_wait_for_a_load(desk: Make) -> None:
    at = desk()
    assert not at.manager.holds("a", "completion")
    await at.use("a")
    assert at.manager.holds("a", "completion") and at.manager.holds("a", "chat")
    assert not at.manager.holds("a", "embedding"), "embeddings are held beside"
    assert not at.manager.holds("no/such-model", "completion")
    await at.manager.unload("a")
    assert not at.manager.holds("a", "completion")


async def test_whoever_waits_for_a_load_joins_it(
    desk: Make, slow_load: tuple[threading.Event, list[str]]
) -> None:
    go, begun = slow_load
    one = desk()
    waiting = [asyncio.create_task(one.use("a", role)) for role in ("completion", "chat", "completion")]
    await until(lambda: begun)
    go.set()
    models = await asyncio.gather(*waiting)
    assert begun == ["a"]
    assert models[0] is models[1] is models[2]


async def test_a_load_goes_on_when_the_one_who_asked_goes_away(
    desk: Make, slow_load: tuple[threading.Event, list[str]]
) -> None:
    go, begun = slow_load
    one = desk()
    impatient = asyncio.create_task(one.manager.acquire("a", "completion"))
    await until(lambda: begun)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    go.set()
    await until(lambda: one.names == ["a"])
    assert (await one.use("a")).name == "a"
    assert begun == ["a"]


async def test_the_loop_goes_on_while_a_model_loads(
    desk: Make, slow_load: tuple[threading.Event, list[str]]
) -> None:
    go, begun = slow_load
    one = desk()
    loading = asyncio.create_task(one.use("a"))
    await until(lambda: begun)
    beats = 0
    for _ in range(50):
        await asyncio.sleep(0)
        beats += 1
    assert beats == 50 and not loading.done()
    go.set()
    await loading


async def test_more_models_than_may_be_held_push_out_the_one_unused_for_longest(desk: Make) -> None:
    one = desk(max_cached_models=2)
    one.manager.defaults = {"completion": None, "chat": None, "embedding": None}
    for name in ("a", "b", "a", "c"):
        await one.use(name)
    assert one.names == ["a", "c"]
    assert one.forgotten == ["b"]
    assert one.told("unloaded") == ["b was unloaded to make room for c."]


async def test_the_default_of_a_role_goes_last(desk: Make) -> None:
    one = desk(max_cached_models=2)
    for name in ("a", "c", "b"):
        await one.use(name)
    assert one.names == ["a", "b"]


async def test_a_model_in_use_is_never_pushed_out(desk: Make) -> None:
    one = desk(max_cached_models=1)
    model = await one.manager.acquire("a", "completion")
    with pytest.raises(ModelLoadError, match="in use") as caught:
        await one.manager.acquire("b", "chat")
    assert caught.value.kind == "all_in_use"
    with pytest.raises(InvalidRequest, match="answering a request"):
        await one.manager.unload("a")
    assert model.model is not None
    one.manager.release(model)
    await one.use("b", "chat")
    assert one.names == ["b"]


async def test_a_model_that_was_just_loaded_is_not_pushed_out_before_its_request_wakes(desk: Make) -> None:
    one = desk(max_cached_models=1)
    models = await asyncio.gather(
        *(one.manager.acquire(name, "completion") for name in ("a", "b", "c")), return_exceptions=True
    )
    usable = [model for model in models if isinstance(model, LoadedModel)]
    assert len(usable) == 1 and usable[0].model is not None
    one.manager.release(usable[0])


async def test_above_the_memory_threshold_idle_models_go(desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = desk(memory_threshold=0.5)
    monkeypatch.setattr(memory, "used_share", lambda device: 0.3 * len(one.manager.loaded()))
    monkeypatch.setattr(placement, "total_bytes", lambda device: 10**12)
    await one.use("a")
    await one.use("b")
    assert one.names == ["a", "b"]
    await one.use("c")
    assert one.names == ["b", "c"]


async def test_a_model_that_nobody_uses_is_unloaded(desk: Make) -> None:
    one = desk(idle_unload_minutes=0.002)
    held = await one.manager.acquire("b", "chat")
    await one.use("a")
    await until(lambda: one.told("unloaded"))
    assert one.told("unloaded") == ["a was unloaded because nobody used it."]
    assert one.names == ["b"]
    one.manager.release(held)
    await until(lambda: one.names == [])


async def test_what_cannot_be_loaded_falls_back_with_a_notice(desk: Make) -> None:
    one = desk()
    assert (await one.use("falls")).name == "b"
    assert [notice.rpartition(". ")[2] for notice in one.told("notice")] == [
        "Using broken instead.",
        "Using b instead.",
    ]
    assert not one.told("error")


async def test_a_chain_that_ends_in_nothing_is_one_error(desk: Make) -> None:
    one = desk()
    with pytest.raises(ModelLoadError):
        await one.use("broken")
    assert len(one.told("error")) == 1 and not one.told("notice")


async def test_a_failed_load_leaves_what_was_loaded(desk: Make) -> None:
    one = desk()
    model = await one.manager.acquire("a", "completion")
    with pytest.raises(ModelLoadError, match="damaged"):
        await one.manager.acquire("broken", "chat")
    assert await one.use("a") is model and model.model is not None
    one.manager.release(model)


async def test_a_failed_load_is_tried_again_when_asked_again(desk: Make, checkpoint: Checkpoint) -> None:
    one = desk()
    with pytest.raises(ModelLoadError):
        await one.use("broken")
    broken = one.manager.registry.find("broken").local
    assert broken is not None
    shutil.copy(checkpoint("llama") / "model.safetensors", broken)
    assert (await one.use("broken")).name == "broken"


async def test_a_model_that_is_not_here_is_not_fetched_unasked(
    desk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk()
    with pytest.raises(
        ModelLoadError, match=r"not on this machine \(3 GB\).*models download absent"
    ) as caught:
        await one.use("absent")
    assert caught.value.kind == "not_downloaded"


@pytest.fixture
def hub_of_llamas(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub that has every model; the list has the names of the downloads. test_hub.py has the real client."""
    fetched: list[str] = []

    def local_folder(repo: str, revision: str | None = None) -> Path | None:
        return tmp_path / "store" if (tmp_path / "store").is_dir() else None

    def download(repo: str, *, report: Callable[[int, int], None], **_: Any) -> Path:
        fetched.append(repo)
        report(50, 100)
        report(100, 100)
        return Path(shutil.copytree(checkpoint("llama"), tmp_path / "store", dirs_exist_ok=True))

    monkeypatch.setattr(manager.hub, "local_folder", local_folder)
    monkeypatch.setattr(manager.hub, "download", download)
    return fetched


async def test_a_default_that_is_not_here_is_fetched_with_progress(
    desk: Make, hub_of_llamas: list[str]
) -> None:
    one = desk()
    one.manager.set_default("absent", "completion")
    first, second = await asyncio.gather(one.use(None), one.manager.download("absent"))
    assert first.name == "absent" and second.is_dir()
    assert hub_of_llamas[:1] == ["nobody/absent"]
    shares = [event.progress for event in one.events if event.kind == "downloading"]
    assert shares[:2] == [0.5, 1.0]


async def test_half_a_download_of_a_default_is_completed(
    desk: Make, hub_of_llamas: list[str], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    shutil.copytree(checkpoint("llama"), tmp_path / "store")
    (tmp_path / "store" / "model.safetensors").unlink()
    one = desk()
    with pytest.raises(ModelLoadError, match="has no weights"):
        await one.use("absent")
    one.manager.set_default("absent", "completion")
    assert (await one.use(None)).name == "absent"
    assert hub_of_llamas == ["nobody/absent"]


async def test_a_model_that_can_never_fit_pushes_nothing_out(
    desk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk(memory_threshold=0.5)
    await one.use("a")
    monkeypatch.setattr(placement, "total_bytes", lambda device: 1000)
    monkeypatch.setattr(placement, "free_bytes", lambda device: 1000)
    with pytest.raises(ModelLoadError, match="would fit"):
        await one.use("b", "chat")
    assert one.names == ["a"]


async def test_a_role_without_a_model_says_which_setting(desk: Make) -> None:
    one = desk()
    one.manager.defaults["embedding"] = None
    with pytest.raises(ModelLoadError, match=r"model\.embedding"):
        await one.use(None, "embedding")


async def test_an_encoder_is_refused_for_text(desk: Make) -> None:
    with pytest.raises(ModelLoadError, match="encoder"):
        await desk().use("encoder", "chat")


async def test_unloading_drops_the_weights_and_the_kv(desk: Make) -> None:
    one = desk()
    weights = weakref.ref((await one.use("a")).model)
    await one.manager.unload("a")
    gc.collect()
    assert weights() is None
    assert one.names == [] and one.forgotten == ["a"]
    with pytest.raises(InvalidRequest, match="not loaded"):
        await one.manager.unload("a")
    assert (await one.use("a")).model is not None


async def test_unload_all_spares_what_is_in_use(desk: Make) -> None:
    one = desk()
    held = await one.manager.acquire("a", "completion")
    await one.use("b")
    await one.manager.unload_all()
    assert one.names == ["a"]
    one.manager.release(held)


async def test_list_and_info_tell_state_size_and_memory(desk: Make) -> None:
    one = desk()
    await one.use("a")
    found = {info.name: info for info in one.manager.list()}
    assert {name: info.state for name, info in found.items()} == {
        "a": "loaded",
        "b": "downloaded",
        "c": "downloaded",
        "encoder": "downloaded",
        "broken": "incomplete",
        "falls": "incomplete",
        "absent": "available",
    }
    a, b = found["a"], one.manager.info("b")
    assert a.memory_bytes and a.device == "cpu" and a.default_for == ("completion",)
    assert b.memory_bytes is None and b.disk_bytes and b.parameters and b.architecture == "gpt2"
    assert "damaged" in found["broken"].problem
    assert found["absent"].download_gb == 3
    assert one.manager.info("small").name == "c"
    with pytest.raises(ModelLoadError, match="did you mean"):
        one.manager.info("codelama")


async def test_a_folder_that_is_loaded_is_listed_too(desk: Make, checkpoint: Checkpoint) -> None:
    one = desk()
    await one.use(str(checkpoint("qwen2")))
    assert one.manager.list()[-1].name == "tiny-qwen2"
    assert one.manager.info("tiny-qwen2").state == "loaded"


async def test_another_default_serves_from_now_on(desk: Make) -> None:
    one = desk()
    one.manager.set_default("c", "completion")
    assert (await one.use(None)).name == "c"
    with pytest.raises(InvalidRequest, match="embedding, not chat"):
        one.manager.set_default("encoder", "chat")
    with pytest.raises(ModelLoadError, match="did you mean"):
        one.manager.set_default("codelama", "chat")


async def test_the_default_may_be_a_folder(desk: Make, checkpoint: Checkpoint) -> None:
    one = desk()
    folder = str(checkpoint("qwen2"))
    one.manager.set_default(folder, "chat")
    assert (await one.use(None, "chat")).source == folder
    assert one.manager.info(folder).default_for == ("chat",)


async def test_a_folder_of_the_users_is_not_removed(desk: Make, checkpoint: Checkpoint) -> None:
    with pytest.raises(InvalidRequest, match=r"delete .* yourself"):
        await desk().manager.remove("a")
    assert (checkpoint("llama") / "model.safetensors").is_file()


async def test_a_model_that_cannot_move_stays_where_it_is(desk: Make) -> None:
    one = desk()
    model = await one.use("a")
    assert (await one.manager.move("a", "cpu")).device == "cpu"
    with pytest.raises(ModelLoadError, match="cuda:9"):
        await one.manager.move("a", "cuda:9")
    assert await one.use("a") is model and model.model is not None
    with pytest.raises(InvalidRequest, match="not loaded"):
        await one.manager.move("b", "cpu")


@pytest.mark.gpu
async def test_a_model_moves_to_the_gpu_and_back(desk: Make) -> None:
    one = desk()
    await one.use("a")
    for device in ("cuda:0", "cpu"):
        assert (await one.manager.move("a", device)).device == device
        model = await one.use("a")
        assert {str(p.device) for p in model.model.parameters()} == {device}
    assert one.forgotten == ["a", "a"]
