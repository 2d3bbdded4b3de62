from __future__ import annotations

import pytest

from tests.gateway.client import Client, get
from tests.gateway.world import World, route
from vidops_plugins.handlers.redirect import Redirect


@pytest.mark.parametrize(
    ("to", "asked", "location"),
    [
        ("https://{host}{path}", "/a%20b/c?x=1", "https://localhost/a%20b/c?x=1"),
        ("/new/{rest}", "/old/a/b", "/new/a/b"),
        ("https://other.example/?from={path}", "/old/a?q=1", "https://other.example/?from=/old/a&q=1"),
        ("{path}/", "/old/x", "/old/x/"),
        ("/new#top", "/old/x?q=1", "/new?q=1#top"),
        ("/new?a=b#top", "/old/x?q=1", "/new?a=b&q=1#top"),
        ("/new#{rest}", "/old/x", "/new#x"),
    ],
)
async def test_where_to(world: World, to: str, asked: str, location: str) -> None:
    await world.start([route("/old/**", "redirect", to=to), route("/**", "redirect", to=to)])
    answer = await get(world.port, asked)
    assert (answer.status, answer.headers["location"]) == (308, location)


async def test_without_the_query(world: World) -> None:
    await world.start([route("/**", "redirect", to="/x", keep_query=False, status=302)])
    answer = await get(world.port, "/old?token=1")
    assert (answer.status, answer.headers["location"]) == (302, "/x")


@pytest.mark.parametrize("path", ["//evil.example/x", "/%2f/evil.example", "/%5cevil.example", "/\\evil.example"])
async def test_nobody_else_says_where(world: World, path: str) -> None:
    await world.start([route("/**", "redirect", to="{path}")])
    assert (await get(world.port, path)).status == 400


@pytest.mark.parametrize(
    ("to", "location"),
    [("/{path}", "/evil.example/x"), ("/\\{path}", "/evil.example/x"), ("/{path}?a", "/evil.example/x?a")],
)
async def test_a_path_behind_a_slash_is_no_host(world: World, to: str, location: str) -> None:
    await world.start([route("/**", "redirect", to=to)])
    assert (await get(world.port, "/evil.example/x")).headers["location"] == location


async def test_without_a_host_there_is_no_place_of_it(world: World) -> None:
    """`https:///evil.example/x` is `https://evil.example/x` to browsers."""
    await world.start([route("/**", "redirect", to="https://{host}{path}")])
    async with await Client.connect(world.port) as client:
        client.send(b"GET /evil.example/x HTTP/1.0\r\n\r\n")
        answer = await client.answer()
    assert (answer.status, "location" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    "to",
    [
        "",
        "//evil.example",
        "evil.example",
        "javascript:alert(1)",
        "https://{rest}/",
        "/a b",
        "/{nothing}",
        "/a\r\nb",
        "/{",
    ],
)
def test_what_is_no_place(to: str) -> None:
    with pytest.raises(ValueError, match=r"URL|http|character"):
        Redirect(to=to)
