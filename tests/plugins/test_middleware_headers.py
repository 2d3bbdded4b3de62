"""`headers` and `rewrite`: what the rest of the chain sees, and what the client gets."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route
from vidops.api import TENANT, USER, Scope, Tenant, User
from vidops_plugins.middleware.fields import VALUES, filled
from vidops_plugins.middleware.headers import Headers
from vidops_plugins.middleware.rewrite import Rewrite


async def test_fields_are_set_and_taken_away(world: World) -> None:
    changes = {
        "request": {"set": {"X-Who": "{client} at {host}", "accept": "b"}, "remove": ["Cookie"]},
        "response": {"set": {"x-served-by": "vidops"}, "remove": ["content-type"]},
    }
    await world.start([route("/", "echo", chain=[{"type": "headers", "options": changes}])])
    answer = await get(world.port, "/", headers="Cookie: a=1\r\nAccept: a\r\nX-Who: root\r\n")
    seen = answer.json()["headers"]
    assert [v for n, v in seen if n == "x-who"] == ["127.0.0.1 at localhost"]
    assert [v for n, v in seen if n == "accept"] == ["b"]
    assert "cookie" not in dict(seen)
    assert answer.headers["x-served-by"] == "vidops"
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Host", "a b", "", "x\r\ny"])
def test_fields_that_are_not_ours_to_change(name: str) -> None:
    with pytest.raises(ValueError, match=r"header field|follows from"):
        Headers.model_validate({"request": {"set": {name: "x"}}})


@pytest.mark.parametrize("value", ["{nothing}", "a\nb", "{", "}", "é"])
def test_values_that_are_none(value: str) -> None:
    with pytest.raises(ValueError, match=r"field|line"):
        Headers.model_validate({"response": {"set": {"x-a": value}}})


def test_a_value_is_one_line_whatever_a_request_says() -> None:
    scope: Scope = {
        "client": ("1", 1),
        "headers": [(b"host", b"a\r\nx: y\xff")],
        "raw_path": b"/\xc3",
        "scheme": "http",
    }
    for name in VALUES:
        made = filled(f"<{{{name}}}>", scope)
        assert not set(made) & set(b"\r\n\0")
        assert all(0x20 <= byte <= 0x7E for byte in made)


def test_two_names_never_look_alike() -> None:
    def said(field: str, user: User) -> str:
        return filled(f"{{{field}}}", {USER: user}).decode()

    names = ["José", "Jos%C3%A9", "Jos%25C3%25A9", " ann", "ann", "ann ", "a,b"]
    assert [said("user", User(name)) for name in names] == [
        "Jos%C3%A9", "Jos%25C3%25A9", "Jos%2525C3%2525A9", "%20ann", "ann", "ann%20", "a,b",
    ]  # fmt: skip
    assert [unquote(said("user", User(name))) for name in names] == names
    for roles in ({"a,admin"}, {"a", "admin"}, {"a%2Cadmin"}, {" a", "a "}, {"é"}, {"\ud800"}):
        made = said("roles", User("x", frozenset(roles)))
        assert {unquote(one, errors="surrogatepass") for one in made.split(",")} == roles
    assert filled("{tenant} {path}", {TENANT: Tenant("a%b"), "raw_path": b"/a%20b"}) == b"a%25b /a%20b"


@pytest.mark.parametrize(
    ("match", "to", "path", "seen"),
    [
        ("/old/(.*)", r"/new/\1", "/old/a/b", "/new/a/b"),
        ("/old/(?P<rest>.*)", r"/\g<rest>", "/old/a%20b", "/a b"),
        ("/other", "/x", "/old/a", "/old/a"),
    ],
)
async def test_paths_are_written_anew(world: World, match: str, to: str, path: str, seen: str) -> None:
    await world.start([route("/**", "echo", chain=[{"type": "rewrite", "options": {"match": match, "to": to}}])])
    answer = (await get(world.port, path)).json()
    assert (answer["path"], answer["rest"]) == (seen, seen[1:])


@pytest.mark.parametrize("path", ["/old/x/", "/old//"])
async def test_a_new_path_is_as_strict_as_an_old_one(world: World, path: str) -> None:
    await world.start(
        [route("/**", "echo", chain=[{"type": "rewrite", "options": {"match": "/old/(.*)", "to": r"/\1/../e"}}])]
    )
    assert (await get(world.port, path)).status == 400


@pytest.mark.parametrize("wrong", [{"match": "(", "to": "/"}, {"match": "a", "to": r"/\2"}, {"match": "a", "to": "x"}])
def test_what_cannot_be_rewritten(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"regular|path"):
        Rewrite.model_validate(wrong)
