from __future__ import annotations

import itertools
import random
import string
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.workspace.redaction import (
    Restorer,
    has_secret,
    redact,
    redact_document,
    redact_range,
    restore,
    secret_at,
)

_RNG = random.Random(7)


def some(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_RNG.choice(alphabet) for _ in range(count))


HEX = "0123456789abcdef"
SECRETS = {
    "github": "ghp_" + some(36),
    "github fine-grained": "github_pat_" + some(82),
    "hub": "hf_" + some(34),
    "google": "AIza" + some(35),
    "openai project": "sk-proj-" + some(48),
    "openai": "sk-" + some(48),
    "anthropic": "sk-ant-api03-" + some(93) + "AA",
    "aws": "AKIA" + some(16, string.ascii_uppercase + string.digits),
    "jwt": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV",
    "slack": "xoxb-123456789012-1234567890123-" + some(24, string.ascii_lowercase),
    "stripe": "sk_live_" + some(24),
    "sendgrid": f"SG.{some(22)}.{some(43)}",
    "gitlab": "glpat-" + some(20),
    "npm": "npm_" + some(36),
    "pypi": "pypi-AgEIcHlwaS5vcmc" + some(80),
    "digitalocean": "dop_v1_" + some(64, HEX),
    "groq": "gsk_" + some(52),
    "twilio": "AC" + some(32, HEX),
    "azure": "AccountKey=" + some(86) + "==",
    "mailchimp": some(32, HEX) + "-us12",
    "telegram": "1234567890:" + some(35),
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "line", ['token = "{}"', "export TOKEN={}", "curl -H 'Authorization: Bearer {}'", "  - {}  # x"]
)
def test_the_whole_value_is_masked_and_can_be_put_back(secret: str, line: str) -> None:
    text = f"before = 1\n{line.format(secret)}\nafter = 2\n"
    masked = redact(text)
    start = max(4, len(secret) // 4)
    assert secret[start:] not in masked and secret[: len(secret) // 2] not in masked
    assert masked.startswith("before = 1\n") and masked.endswith("\nafter = 2\n")
    assert masked.count("\n") == text.count("\n")
    assert restore(masked) == text


def test_a_placeholder_is_stable_and_tells_secrets_apart() -> None:
    one, other = SECRETS["hub"], "hf_" + some(34)
    assert redact(f"a = '{one}'") == redact(f"a = '{one}'")
    assert redact(f"x = '{one}'")[4:] == redact(f"a = '{one}'")[4:]
    assert redact(f"a = '{one}'") != redact(f"a = '{other}'")
    masked = redact(f"a = '{one}'")
    assert redact(masked) == masked


def test_a_password_in_an_address_is_masked_alone() -> None:
    assert redact("u = 'postgres://bob:hunter2pw@db/x'").startswith("u = 'postgres://bob:REDACTED_")
    assert redact("u = 'postgres://bob:hunter2pw@db/x'").endswith("@db/x'")


def test_the_unquoted_secret_half_of_an_aws_key_is_masked() -> None:
    value = some(40)
    assert value not in redact(f"aws_secret_access_key = {value}")


KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "\n".join(some(64) for _ in range(6))
    + "\n-----END RSA PRIVATE KEY-----"
)


def test_a_private_key_is_masked_with_its_body_line_by_line() -> None:
    text = f'KEY = """{KEY}"""\nx = 1\n'
    masked = redact(text)
    assert not any(line in masked for line in KEY.split("\n"))
    assert masked.count("\n") == text.count("\n") and masked.endswith("\nx = 1\n")
    assert restore(masked) == text


def test_a_window_that_starts_inside_a_private_key_is_masked_too() -> None:
    text = f'KEY = """{KEY}"""\nx = 1\n'
    start = text.index(KEY) + 200
    assert KEY[210:260] not in redact_range(text, start, len(text))
    assert secret_at(text, start)
    assert not secret_at(text, len(text) - 3)


def test_a_key_without_an_end_is_masked_to_the_end() -> None:
    text = "-----BEGIN PRIVATE KEY-----\n" + some(64) + "\n" + some(30)
    assert text[40:80] not in redact(text)


def test_ordinary_code_is_left_alone_object_for_object() -> None:
    text = "def f(self, digest=hashlib.sha256(b'').hexdigest()):\n    return 'd41d8cd98f00b204e9800998ecf8427e'\n"
    assert redact(text) is text
    assert not has_secret("https://user@example.org/a?b=c")


def test_at_most_one_line_of_a_thousand_is_flagged_in_installed_packages() -> None:
    flagged = lines = 0
    for name in ("networkx/algorithms", "rich", "openai/types", "httpx2", "pydantic", "pygls"):
        for file in sorted((Path(sysconfig.get_path("purelib")) / name).rglob("*.py"))[:150]:
            text = file.read_text(encoding="utf-8")
            masked = redact(text)
            lines += text.count("\n")
            flagged += sum(a != b for a, b in zip(text.split("\n"), masked.split("\n"), strict=True))
    assert lines > 60_000
    assert flagged <= lines / 1000


@pytest.mark.timeout(20)
def test_a_minified_line_is_searched_in_bounded_time() -> None:
    text = "var a='" + "','".join(some(30) for _ in range(10_000)) + f"','{SECRETS['hub']}';"
    masked = redact(text + text)
    assert SECRETS["hub"] not in masked and masked.count("REDACTED_") == 2


def test_a_document_is_masked_at_every_version() -> None:
    secret = SECRETS["hub"]
    versions = [
        "x = 1\ny = 2\n",
        f"x = 1\ny = '{secret[:20]}'\n",
        f"x = 1\ny = '{secret}'\n",
        f"x = 12\ny = '{secret}'\n",
        "x = 1\n",
        KEY,
    ]
    for text in versions:
        assert redact_document("file:///a", text) == redact(text)
    assert redact_document("file:///b", versions[0]) is versions[0]


_ANSWER = (
    redact(f"the key {SECRETS['github']} and\n  - {SECRETS['npm']}\n") + "REDACTED_ is a word, so is RED"
)


@given(st.lists(st.integers(0, len(_ANSWER)), max_size=12))
def test_a_streamed_answer_is_restored_wherever_it_is_cut(cuts: list[int]) -> None:
    restorer = Restorer()
    edges = [0, *sorted(cuts), len(_ANSWER)]
    pieces = [restorer.feed(_ANSWER[a:b]) for a, b in itertools.pairwise(edges)]
    assert "".join(pieces) + restorer.finish() == restore(_ANSWER)
    assert SECRETS["github"] in restore(_ANSWER)


def test_only_what_could_become_a_placeholder_is_held_back() -> None:
    restorer = Restorer()
    assert [restorer.feed(piece) for piece in ("It", " sorts", " the", " READY", " list.")] == [
        "It",
        " sorts",
        " the",
        " READY",
        " list.",
    ]


def test_a_key_line_that_was_masked_once_is_masked_without_its_block() -> None:
    body = some(64)
    redact(f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    assert body not in redact(f"Your answer was:\n\n```\n{body}\n```\n")
