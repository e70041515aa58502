from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codeface_lsp.context.parts import Budget, Parts, Source
from codeface_lsp.endpoints.token_counter import EstimatedCounter
from codeface_lsp.settings import Settings
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace import redaction, store
from codeface_lsp.workspace.workspace import Workspace

BUDGET = Budget(1500, 600, 225)
COUNTER = EstimatedCounter()

FILES = {
    "shop/__init__.py": "from .cart import Cart\n",
    "shop/cart.py": (
        "LIMIT = 20\n\n\nclass Cart:\n    '''Holds what is bought.'''\n\n    def __init__(self, owner: str) -> None:\n"
        "        self.owner = owner\n\n"
        "    def add_article(self, article: str, count: int = 1) -> int:\n        return count\n"
    ),
    "shop/prices.py": (
        "def total_price(articles: list[str], discount: float = 0.0) -> float:\n    '''Sum of all.'''\n    return 0.0\n"
        "\n\ndef _private() -> None:\n    pass\n"
    ),
    "shop/mail.py": "class Mailer:\n    def deliver_letter(self, to: str, text: str) -> bool:\n        return True\n",
    "web/app.ts": "import { render } from './view';\nexport function page() {\n  \n}\n",
    "web/view.ts": "export function render(name: string, depth: number): string {\n  return name;\n}\n",
}
MAIN = """from shop import Cart
from shop import prices as p
from shop.cart import LIMIT


def buy(cart: Cart, mailer):
    cart.‸
    mailer.deliver_letter("x", "y")
    p.total_price([])
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "w"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
async def workspace(root: Path) -> AsyncIterator[Workspace]:
    made = Workspace([root], Settings())
    await asyncio.wait_for(made.start(), 60)
    yield made
    await made.aclose()


def build(workspace: Workspace, root: Path, name: str, marked: str, language: str = "python") -> Parts:
    offset = marked.index("‸")
    file = root / name
    snapshot = Snapshot(file.as_uri(), str(file), language, 0, marked.replace("‸", ""))
    workspace.opened(snapshot)
    return workspace.build(snapshot, offset, BUDGET, COUNTER)


def shown(parts: Parts, source: Source = Source.DEFINITION) -> dict[str, str]:
    return {chunk.filename: chunk.text for chunk in parts.extra if chunk.source is source}


async def test_definitions_of_what_is_imported_and_used_are_shown(workspace: Workspace, root: Path) -> None:
    found = shown(build(workspace, root, "main.py", MAIN))
    assert "class Cart:" in found["shop/cart.py"] and "LIMIT = 20" in found["shop/cart.py"]
    assert "def add_article(self, article: str, count: int = 1) -> int:" in found["shop/cart.py"]
    assert "def total_price(articles: list[str], discount: float = 0.0) -> float:" in found["shop/prices.py"]
    assert "def deliver_letter(self, to: str, text: str) -> bool:" in found["shop/mail.py"]
    assert "class Mailer" in found["shop/mail.py"]
    assert "_private" not in found["shop/prices.py"]


async def test_relative_imports_of_typescript_are_followed(workspace: Workspace, root: Path) -> None:
    parts = build(workspace, root, "web/app.ts", FILES["web/app.ts"].replace("  \n", "  ‸\n"), "typescript")
    assert "export function render(name: string, depth: number): string" in shown(parts)["web/view.ts"] or (
        "function render(name: string, depth: number): string" in shown(parts)["web/view.ts"]
    )


async def test_each_chunk_says_why_and_what_it_costs(workspace: Workspace, root: Path) -> None:
    parts = build(workspace, root, "main.py", MAIN)
    reasons = "; ".join(chunk.reason for chunk in parts.extra)
    assert "Cart: imported" in reasons and "total_price: used as p.total_price" in reasons
    assert all(chunk.tokens >= COUNTER.count(chunk.text) for chunk in parts.extra)
    assert sum(chunk.tokens for chunk in parts.extra) <= BUDGET.extra
    assert parts.tokens <= BUDGET.total


async def test_a_saved_definition_is_shown_as_it_is_now(workspace: Workspace, root: Path) -> None:
    file = root / "shop/prices.py"
    file.write_text("def total_price(articles, currency):\n    return 1\n")
    workspace.saved(file)
    deadline = time.monotonic() + 20
    while "currency" not in str(shown(build(workspace, root, f"m{time.monotonic_ns()}.py", MAIN))):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_an_open_document_counts_before_its_file(workspace: Workspace, root: Path) -> None:
    file = root / "shop/cart.py"
    text = FILES["shop/cart.py"].replace("article: str, count", "article: bytes, count")
    workspace.opened(Snapshot(file.as_uri(), str(file), "python", 0, text))
    assert "article: bytes" in shown(build(workspace, root, "main.py", MAIN))["shop/cart.py"]


async def test_ignored_and_secret_files_are_neither_completed_nor_shown(
    workspace: Workspace, root: Path
) -> None:
    (root / ".codefaceignore").write_text("shop/mail.py\n")
    workspace.files_changed([root / ".codefaceignore"])
    assert workspace.excluded(str(root / "shop/mail.py")) == ".codefaceignore names it"
    assert workspace.excluded(str(root / ".env")) is not None
    assert workspace.excluded(None) is None
    assert "shop/mail.py" not in shown(build(workspace, root, "main.py", MAIN))


async def test_secrets_are_masked_everywhere_and_gate_their_own_line(
    workspace: Workspace, root: Path
) -> None:
    secret = "ghp_" + "a1B2" * 9
    (root / "shop" / "cart.py").write_text(f"TOKEN_OF_SHOP = '{secret}'\n" + FILES["shop/cart.py"])
    workspace.saved(root / "shop" / "cart.py")
    text = f"from shop.cart import TOKEN_OF_SHOP, Cart\nmine = '{secret}'\n‸\nlater = '{secret}'\n"
    parts = build(workspace, root, "main.py", text)
    assert secret[8:] not in "".join([parts.prefix, parts.suffix, *(c.text for c in parts.extra)])
    assert "REDACTED_GITHUB_TOKEN" in parts.prefix and "REDACTED_GITHUB_TOKEN" in parts.suffix
    assert not parts.site.secret
    assert build(workspace, root, "other.py", f"key = '{secret}'‸\n").site.secret


async def test_what_was_edited_elsewhere_is_shown(workspace: Workspace, root: Path) -> None:
    lines = [f"value_{n} = compute({n})" for n in range(120)]
    file = root / "edited.py"

    def snapshot(version: int) -> Snapshot:
        return Snapshot(file.as_uri(), str(file), "python", version, "\n".join(lines))

    workspace.opened(snapshot(0))
    lines[50] = "freshly_edited = 1"
    workspace.changed(snapshot(1))
    workspace.saved(file)
    parts = build(workspace, root, "main.py", MAIN)
    assert "freshly_edited = 1" in shown(parts, Source.RECENT_EDIT)["edited.py"]


async def test_chunks_of_open_files_that_look_alike_are_shown(workspace: Workspace, root: Path) -> None:
    alike = "def sell(cart, mailer, customer):\n    cart.clear()\n    mailer.deliver_letter(customer.address, hi)\n"
    file = root / "alike.py"
    workspace.opened(Snapshot(file.as_uri(), str(file), "python", 0, alike))
    text = "def buy(cart, mailer, customer):\n    mailer.deliver_letter(customer.address, ‸)\n"
    assert "def sell" in shown(build(workspace, root, "main.py", text), Source.SIMILAR)["alike.py"]
    workspace.closed(file.as_uri())
    assert "alike.py" not in shown(build(workspace, root, "main2.py", text), Source.SIMILAR)


def accepting(workspace: Workspace, root: Path, marked: str, item: str) -> Parts:
    """Parts as if `item` stood at the mark."""
    offset = marked.index("‸")
    file = root / "main.py"
    text = marked.replace("‸", item)
    snapshot = Snapshot(file.as_uri(), str(file), "python", 0, text)
    return workspace.build(snapshot, offset + len(item), BUDGET, COUNTER, item)


async def test_the_selected_items_definition_is_added_once_and_stays(
    workspace: Workspace, root: Path
) -> None:
    text = "import web\n\n\ndef buy():\n    ‸\n"
    plain = build(workspace, root, "main.py", text)
    assert shown(plain) == {}
    first = accepting(workspace, root, text, "total_price(articles)")
    assert "def total_price(articles: list[str]" in shown(first, Source.SELECTED_ITEM)["shop/prices.py"]
    assert first.suffix is plain.suffix and first.tokens <= BUDGET.total
    assert accepting(workspace, root, text, "total_price(articles)").extra is first.extra
    assert accepting(workspace, root, text, "len").extra is first.extra
    second = accepting(workspace, root, text, "Mailer")
    assert second.extra[:-1] == first.extra and second.extra[-1].filename == "shop/mail.py"


async def test_a_selected_item_that_is_shown_anyway_is_not_shown_twice(
    workspace: Workspace, root: Path
) -> None:
    text = "from shop.prices import total_price as price\n\nprice\n‸\n"
    plain = build(workspace, root, "main.py", text)
    assert "def total_price" in shown(plain)["shop/prices.py"]
    assert accepting(workspace, root, text, "price").extra == plain.extra


async def test_a_selected_item_of_the_same_file_is_shown_if_it_is_out_of_sight(
    workspace: Workspace, root: Path
) -> None:
    body = "".join(f"    value_{n} = compute({n})\n" for n in range(1500))
    text = f"def far_away(depth: int) -> int:\n    return depth\n\n\ndef main():\n{body}    ‸\n"
    (root / "main.py").write_text(text.replace("‸", ""))
    workspace.saved(root / "main.py")
    deadline = time.monotonic() + 20
    while not (found := shown(accepting(workspace, root, text, "far_away"), Source.SELECTED_ITEM)):
        assert time.monotonic() < deadline
        workspace.closed((root / "main.py").as_uri())
        await asyncio.sleep(0.05)
    assert found["main.py"].startswith("def far_away(depth: int) -> int:")


async def test_context_can_be_switched_off(root: Path) -> None:
    settings = Settings.model_validate({"context": {"enabled": False, "index": False}})
    workspace = Workspace([root], settings)
    await workspace.start()
    assert build(workspace, root, "main.py", MAIN).extra == ()
    await workspace.aclose()


async def test_new_settings_count_at_once(workspace: Workspace, root: Path) -> None:
    workspace.use(Settings.model_validate({"context": {"definitions": False}}))
    assert shown(build(workspace, root, "main.py", MAIN)) == {}


def test_without_a_root_there_is_still_a_prompt(tmp_path: Path) -> None:
    parts = build(Workspace([], Settings()), tmp_path, "main.py", MAIN)
    assert parts.path == "main.py" and parts.prefix.endswith("cart.") and parts.extra == ()
    assert Workspace([], Settings()).relative(tmp_path / "x.py") == "x.py"


async def test_a_file_of_a_nested_root_belongs_to_the_inner_one(tmp_path: Path) -> None:
    workspace = Workspace([tmp_path, tmp_path / "inner"], Settings())
    assert workspace.relative(tmp_path / "inner" / "a.py") == "a.py"
    assert workspace.relative(tmp_path / "b.py") == "b.py"


async def test_watching_without_the_client_sees_changes(workspace: Workspace, root: Path) -> None:
    watching = asyncio.create_task(workspace.watch())
    deadline = time.monotonic() + 30
    number = 0
    while "watched_function" not in str(
        shown(build(workspace, root, f"m{number}.py", MAIN.replace("LIMIT", "watched_function")))
    ):
        number += 1
        (root / "shop/cart.py").write_text(
            FILES["shop/cart.py"] + f"\n\ndef watched_function(): return {number}\n"
        )
        assert time.monotonic() < deadline
        await asyncio.sleep(0.3)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


async def test_a_file_that_crashed_the_index_is_served_without_a_tree(root: Path) -> None:
    file = root / "shop/cart.py"
    marker = store.path_of(root).with_suffix(".reading")
    marker.parent.mkdir(parents=True)
    marker.write_text(f"{file.stat().st_mtime_ns} shop/cart.py")  # what a crash leaves behind
    workspace = Workspace([root], Settings())
    await asyncio.wait_for(workspace.start(), 60)
    snapshot = Snapshot(file.as_uri(), str(file), "python", 0, FILES["shop/cart.py"])
    assert workspace.tree(snapshot) is None
    assert workspace.build(snapshot, 40, BUDGET, COUNTER).prefix
    assert any("shop/cart.py" in notice for notice in workspace.notices)
    await workspace.aclose()


WIDE = {
    "kit/__init__.py": "from .parts import Wheel, make_axle\nfrom .parts import *\n",
    "kit/parts.py": "class Base:\n    def inherited_turn(self, angle):\n        return angle\n\n\n"
    "class Wheel(Base):\n"
    + "".join(f"    def step_{n}(self, a, b, c, d, e):\n        return a\n\n" for n in range(40))
    + "    def last_of_many(self):\n        pass\n\n\n"
    "def make_axle(length):\n    return length\n\n\nspare = backup = Wheel()\nleft, right = 1, 2\n",
    "other/parts.py": "class Wheel:\n    def wrong(self):\n        pass\n\n\nclass Wheel2:\n    pass\n",
    "kit/decorated.py": "def tag(**given):\n    return lambda f: f\n\n\n@tag(\n    name='x',\n    other='y',\n)\n"
    "def decorated_with_much(first, second):\n    return first\n",
}


@pytest.fixture
async def wide(tmp_path: Path) -> AsyncIterator[Workspace]:
    root = tmp_path / "wide"
    for name, text in WIDE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    made = Workspace([root], Settings())
    await asyncio.wait_for(made.start(), 60)
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("from kit.parts import Wheel\nw = Wheel()\nw.‸\n", "kit/parts.py", "def last_of_many("),
        ("from kit.parts import Wheel\nw = Wheel()\nw.‸\n", "kit/parts.py", "def inherited_turn("),
        ("from kit.parts import backup\nbackup.‸\n", "kit/parts.py", "def inherited_turn("),
        ("from kit import Wheel\nclass A(Wheel):\n def f(self):\n  self.‸\n", "kit/parts.py", "def inherited_turn("),
        ("import kit\n\nkit.‸\n", "kit/parts.py", "def make_axle("),
        ("from kit import Wheel\n‸\n", "kit/parts.py", "class Wheel(Base):"),
        ("from kit.parts import right\n‸\n", "kit/parts.py", "left, right = 1, 2"),
        ("from kit.decorated import decorated_with_much\n‸\n", "kit/decorated.py", "def decorated_with_much(first"),
    ],
    ids=["many methods", "inherited", "made elsewhere", "self", "package", "passed on", "tuple", "decorator"],
)  # fmt: skip
async def test_what_python_says_in_several_places_is_put_together(
    wide: Workspace, text: str, path: str, line: str
) -> None:
    assert line in shown(build(wide, wide.roots[0], "main.py", text)).get(path, "")


async def test_what_was_imported_and_is_not_used_yet_is_the_most_wanted(
    workspace: Workspace, root: Path
) -> None:
    tight = Budget(300, 25, 20)  # room for one definition
    text = "from shop.cart import LIMIT\nfrom shop.mail import Mailer\n\nLIMIT\nLIMIT\n"

    def first(name: str, text: str) -> set[str]:
        file = root / name
        parts = workspace.build(
            Snapshot(file.as_uri(), str(file), "python", 0, text), len(text), tight, COUNTER
        )
        return set(shown(parts))

    assert first("one.py", text) == {"shop/mail.py"}
    assert first("two.py", text.replace("\n\n", "\n\nMailer\n")) == {"shop/cart.py"}


async def test_codefaces_own_files_inside_the_workspace_are_neither_indexed_nor_shown(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = root / ".codeface"
    monkeypatch.setenv("CODEFACE_HOME", str(home))
    chat = home / "chats" / "talk.md"
    chat.parent.mkdir(parents=True)
    chat.write_text("# Walruses\n\nWhat the user asked about walruses.\n")
    workspace = Workspace([root], Settings())
    await asyncio.wait_for(workspace.start(), 60)
    assert await workspace.ask("walruses") == []
    assert await workspace.ask("mailer") != []
    first = Snapshot(chat.as_uri(), str(chat), "markdown", 0, chat.read_text())
    workspace.opened(first)
    written = Snapshot(chat.as_uri(), str(chat), "markdown", 1, first.text + "\nMore walruses of the user.\n")
    workspace.changed(written)
    workspace.saved(chat)
    parts = build(workspace, root, "main.py", MAIN)
    assert "walruses" not in "".join(chunk.text for chunk in parts.extra) and parts.extra
    await workspace.aclose()


async def test_writing_the_index_into_the_workspace_is_no_change_of_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEFACE_HOME", str(root / ".codeface"))
    workspace = Workspace([root], Settings())
    told: list[Path] = []
    (gatherer,) = workspace._gatherers.values()
    assert gatherer.client is not None
    monkeypatch.setattr(gatherer.client, "changed", told.extend)
    workspace.files_changed([store.path_of(root), root / "shop" / "cart.py"])
    assert told == [root / "shop" / "cart.py"]
    await workspace.aclose()


async def test_definitions_are_found_where_a_saved_file_has_moved_them(
    workspace: Workspace, root: Path
) -> None:
    assert "class Cart:" in shown(build(workspace, root, "main.py", MAIN))["shop/cart.py"]
    cart = root / "shop" / "cart.py"
    cart.write_text("# filler\n" * 30 + FILES["shop/cart.py"])
    workspace.saved(cart)
    deadline = time.monotonic() + 30
    while [each.first_line for each in await workspace.definitions("Cart", 1)] != [34]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    workspace.closed((root / "main.py").as_uri())
    assert "class Cart:" in shown(build(workspace, root, "main.py", MAIN))["shop/cart.py"]


async def test_of_many_imports_each_is_named_before_any_is_shown_in_full(tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    names = [f"task_{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(50)]
    (root / "tasks.py").write_text(
        "".join(
            f"def {name}(first: int, second: str, third: float) -> None:\n    pass\n\n\n" for name in names
        )
    )
    text = "from tasks import (\n" + "".join(f"    {name},\n" for name in names) + ")\n\n"
    text += "".join(f"{name}(1, 'a', 2.0)\n" for name in names) + "# filler\n" * 400 + "task_aa(‸)\n"
    workspace = Workspace([root], Settings())
    await asyncio.wait_for(workspace.start(), 60)
    found = shown(build(workspace, root, "main.py", text))["tasks.py"]
    await workspace.aclose()
    assert "def task_aa(first: int, second: str, third: float) -> None:" in found
    assert [name for name in names if f"def {name}(" not in found] == []


async def test_the_patterns_of_secrets_are_loaded_beside_the_event_loop(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    monkeypatch.setattr(redaction, "prepare", lambda: threads.append(threading.current_thread()))
    workspace = Workspace([root], Settings())
    await asyncio.wait_for(workspace.start(), 60)
    await workspace.aclose()
    assert threads and threads[0] is not threading.main_thread()
