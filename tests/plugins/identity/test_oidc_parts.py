"""Parts of `oidc` by themselves: returns, seals, what is remembered, options."""

from __future__ import annotations

import gc
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.errors import PermanentError
from vidops_plugins.middleware.oidc.guard import safe_return
from vidops_plugins.middleware.oidc.options import Oidc
from vidops_plugins.middleware.oidc.sealed import Seal
from vidops_plugins.middleware.oidc.sessions import MAX_UNUSED, Logins


def test_what_is_remembered_of_logins_that_no_route_has_is_bounded() -> None:
    logins = Logins()
    used = logins.find(b"used")
    used.end({"id": "1", "until": time.time() + 60})
    logins.find(b"unused").end({"id": "2", "until": time.time() + 60})
    assert logins.find(b"unused").has_ended({"id": "2"})
    for number in range(100):
        logins.find(b"%d" % number)
    gc.collect()
    assert logins.find(b"used") is used
    assert not logins.find(b"unused").has_ended({"id": "2"})
    assert len(logins._last) == len(logins._used) == MAX_UNUSED


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "",
        "evil",
        "/a\r\nX: y",
        "/ b",
        "/\t/evil",
        "/" + "a" * 1000,
        "/é",
    ],
)
def test_no_way_out_to_another_host(address: str) -> None:
    assert safe_return(address) == "/"


@given(st.text(max_size=40))
def test_a_return_stays_on_its_host(address: str) -> None:
    kept = safe_return(address)
    assert urlsplit("https://here.example" + kept).netloc == "here.example"
    assert kept.startswith("/")
    assert not kept.startswith(("//", "/\\"))


@given(st.text(max_size=200))
def test_no_text_opens_a_seal(text: str) -> None:
    assert Seal("s" * 32).open("session", text) is None


def test_a_seal_is_for_one_purpose_one_secret_and_one_time() -> None:
    now = [0.0]
    seal = Seal("s" * 32, lambda: now[0])
    text = seal.close("session", {"a": 1}, 10)
    assert (seal.open("session", text) or {})["a"] == 1
    assert seal.open("login", text) is None
    assert Seal("t" * 32, lambda: now[0]).open("session", text) is None
    now[0] = 10
    assert seal.open("session", text) is None
    with pytest.raises(PermanentError, match="32 bytes"):
        Seal("s" * 31)


@pytest.mark.parametrize(
    "more",
    [
        {"url": "http://cameras.example"},
        {"url": "https://a.example/x"},
        {"issuer": "http://id.example"},
        {"scopes": ["email"]},
        {"path": "auth"},
    ],
)
def test_options_that_do_not_fit(more: dict[str, Any]) -> None:
    fine = {
        "issuer": "https://id.example",
        "client_id": "x",
        "session_secret": {"env": "X"},
        "url": "https://a.example",
    }
    Oidc.model_validate(fine)
    with pytest.raises(ValueError, match="validation error"):
        Oidc.model_validate({**fine, **more})
