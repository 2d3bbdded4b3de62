"""`oidc`: a login at a real provider, over sockets; and what must not pass for one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.gateway.client import Answer, Client, get
from tests.gateway.world import World, route
from tests.plugins.identity.openid import CLIENT, SECRET, OpenId
from vidops.testing import free_port

PAGE = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n"


@pytest.fixture
async def provider() -> AsyncIterator[OpenId]:
    it = OpenId()
    await it.open()
    yield it
    await it.close()


class Jar:
    """A browser's cookies, as far as this needs them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    @property
    def header(self) -> str:
        crumbs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return f"Cookie: {crumbs}\r\n" if crumbs else ""

    async def get(self, path: str, headers: str = PAGE) -> Answer:
        async with await Client.connect(self.port) as client:
            client.send(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{self.header}{headers}Connection: close\r\n\r\n".encode()
            )
            text = await client.closed()
        head, _, body = text.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        for line in lines:
            name, _, value = line.partition(": ")
            if name.lower() == "set-cookie":
                crumb, *attributes = value.split("; ")
                key, _, text_value = crumb.partition("=")
                assert key.startswith("__Host-")
                assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= set(attributes)
                self.cookies.pop(key, None)
                if text_value:
                    self.cookies[key] = text_value
        return Answer(int(first.split()[1]), {n.lower(): v for n, _, v in (x.partition(": ") for x in lines)}, body)


@pytest.fixture
async def options(provider: OpenId, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "session").write_text("s" * 64)
    (tmp_path / "client").write_text(SECRET)
    return {
        "issuer": provider.issuer, "client_id": CLIENT, "client_secret": {"file": str(tmp_path / "client")},
        "session_secret": {"file": str(tmp_path / "session")}, "claims": ["tid"], "timeout": "1s",
    }  # fmt: skip


def routes(port: int, options: dict[str, Any], *paths: str, **more: Any) -> list[Any]:
    chain = [{"type": "oidc", "options": {**options, "url": f"http://127.0.0.1:{port}", **more}}]
    return [route(path, "echo", chain=["access_log", *chain]) for path in paths]


async def serve(
    world: World, provider: OpenId, options: dict[str, Any], *paths: str, edit: Jar | None = None, **more: Any
) -> Jar:
    """At these paths and all others; `edit`: a browser of before."""
    port = edit.port if edit is not None else free_port()
    provider.redirect_uri = f"http://127.0.0.1:{port}/auth/callback"
    await world.start(routes(port, options, *paths, "/**", **more), bind=[f"127.0.0.1:{port}"])
    return Jar(port)


async def allow(provider: OpenId, jar: Jar, location: str, user: str = "ann") -> str:
    """What the user does at the provider; the path of the callback."""
    asked = urlsplit(location).query
    answer = await get(provider.port, f"/allow?{asked}&user={user}")
    assert answer.status == 303
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}"


async def log_in(provider: OpenId, jar: Jar, path: str = "/cameras?x=1") -> Answer:
    begun = await jar.get(path)
    assert begun.status == 303
    return await jar.get(await allow(provider, jar, begun.headers["location"]))


async def test_a_page_leads_to_the_login_and_back(world: World, provider: OpenId, options: dict[str, Any]) -> None:
    jar = await serve(world, provider, options)
    done = await log_in(provider, jar)
    assert (done.status, done.headers["location"]) == (303, "/cameras?x=1")
    assert list(jar.cookies) == ["__Host-vidops-session"]
    answer = await jar.get("/cameras?x=1")
    assert answer.status == 200
    assert b"__Host-vidops" not in answer.body
    assert jar.cookies["__Host-vidops-session"] not in str(world.log)
    assert "ann" not in jar.header


async def test_others_than_pages_are_answered_401(world: World, provider: OpenId, options: dict[str, Any]) -> None:
    jar = await serve(world, provider, options)
    for headers in ("", "Accept: application/json\r\n", "Accept: text/html\r\nSec-Fetch-Mode: cors\r\n"):
        answer = await jar.get("/", headers)
        assert answer.status == 401
        assert json.loads(answer.body)["login"] == "/auth/login"
    assert not jar.cookies


async def test_a_code_is_good_once_and_for_its_browser_alone(
    world: World, provider: OpenId, options: dict[str, Any]
) -> None:
    jar = await serve(world, provider, options)
    begun = await jar.get("/")
    callback = await allow(provider, jar, begun.headers["location"])
    stranger = Jar(jar.port)
    assert (await stranger.get(callback)).status == 403
    assert not stranger.cookies
    before = dict(jar.cookies)
    assert (await jar.get(callback)).status == 303
    again = Jar(jar.port)
    again.cookies = before
    assert (await again.get(callback)).status == 403
    assert "__Host-vidops-session" not in again.cookies


@pytest.mark.parametrize(
    "twist",
    [
        {"nonce": "another"}, {"nonce": None}, {"aud": "somebody"}, {"iss": "https://evil.example"}, {"exp": 1},
        {"azp": "somebody"}, {"sub": None}, {"iat": None}, {"aud": [CLIENT, "other"]},
    ],
)  # fmt: skip
async def test_an_id_token_that_is_not_good(
    world: World, provider: OpenId, options: dict[str, Any], twist: dict[str, Any]
) -> None:
    jar = await serve(world, provider, options)
    provider.twist = twist
    assert (await log_in(provider, jar)).status == 403
    assert not jar.cookies


@pytest.mark.parametrize(
    "change", [{"state": "x" * 43}, {"state": ""}, {"code": "made-up"}, {"iss": "https://evil.example"}, {"error": "x"}]
)
async def test_an_answer_that_is_not_good(
    world: World, provider: OpenId, options: dict[str, Any], change: dict[str, str]
) -> None:
    jar = await serve(world, provider, options)
    begun = await jar.get("/")
    path, _, asked = (await allow(provider, jar, begun.headers["location"])).partition("?")
    changed = "&".join(f"{n}={v}" for n, v in {**dict(parse_qsl(asked)), **change}.items())
    answer = await jar.get(f"{path}?{changed}")
    assert answer.status == 403
    assert "__Host-vidops-session" not in jar.cookies


async def test_whoever_the_provider_refuses_is_told(world: World, provider: OpenId, options: dict[str, Any]) -> None:
    jar = await serve(world, provider, options)
    begun = await jar.get("/")
    answer = await jar.get(await allow(provider, jar, begun.headers["location"], "mallory"))
    assert answer.status == 403
    assert b"did not let you in" in answer.body


async def test_a_provider_that_is_away(world: World, provider: OpenId, options: dict[str, Any]) -> None:
    jar = await serve(world, provider, options)
    await provider.close()
    assert (await jar.get("/")).status == 503


async def test_a_session_is_asked_after_and_ends_with_its_user(
    world: World, provider: OpenId, options: dict[str, Any]
) -> None:
    jar = await serve(world, provider, options, refresh="1ms")
    await log_in(provider, jar)
    before = jar.cookies["__Host-vidops-session"]
    await asyncio.sleep(0.01)  # it is asked after once a millisecond has passed, and not before
    assert (await jar.get("/")).status == 200
    assert jar.cookies["__Host-vidops-session"] != before
    # Requests that come with the old cookie, side by side with the first, use what that one got.
    late = Jar(jar.port)
    late.cookies = {"__Host-vidops-session": before}
    assert (await late.get("/")).status == 200
    provider.broken = {"/token"}
    assert (await jar.get("/")).status == 200
    provider.broken = set()
    del provider.users["ann"]

    async def out() -> bool:
        return (await jar.get("/", "")).status == 401

    async with asyncio.timeout(10):
        while not await out():
            await asyncio.sleep(0.05)


async def test_a_logout_ends_the_session_everywhere(world: World, provider: OpenId, options: dict[str, Any]) -> None:
    jar = await serve(world, provider, options)
    await log_in(provider, jar)
    stolen = dict(jar.cookies)
    assert (await jar.get("/auth/logout", "Sec-Fetch-Site: cross-site\r\n")).status == 403
    answer = await jar.get("/auth/logout")
    assert answer.status == 303
    assert answer.headers["location"].startswith(
        f"{provider.issuer}/logout?client_id={CLIENT}&post_logout_redirect_uri="
    )
    assert not jar.cookies
    jar.cookies = stolen
    assert (await jar.get("/", "")).status == 401


async def test_a_logout_ends_the_session_at_all_routes_and_after_edits(
    world: World, provider: OpenId, options: dict[str, Any]
) -> None:
    jar = await serve(world, provider, options, "/stream/**")
    await log_in(provider, jar)
    stolen = dict(jar.cookies)
    for path in ("/", "/stream/door"):
        assert (await jar.get(path)).status == 200
    assert (await jar.get("/auth/logout")).status == 303
    jar.cookies = stolen

    async def is_out() -> bool:
        return {(await jar.get(path, "")).status for path in ("/", "/stream/door")} == {401}

    assert await is_out()
    await serve(world, provider, options, "/stream/**", edit=jar, name="name", claims=[])
    assert await is_out()
    await world.start([route("/**", "echo")], bind=[f"127.0.0.1:{jar.port}"])
    assert (await jar.get("/")).status == 200, "without any login"
    await serve(world, provider, options, "/stream/**", edit=jar)
    assert await is_out()


async def test_routes_that_are_asked_at_once_use_a_refresh_token_once(
    world: World, provider: OpenId, options: dict[str, Any]
) -> None:
    paths = ["/a", "/b", "/c"]
    jar = await serve(world, provider, options, *(f"{path}/**" for path in paths), refresh="1ms")
    await log_in(provider, jar)
    before = len(provider.asked)
    await asyncio.sleep(0.01)
    browsers = [Jar(jar.port) for _ in paths]
    for browser in browsers:
        browser.cookies = dict(jar.cookies)
    answers = await asyncio.gather(*(b.get(path) for b, path in zip(browsers, paths, strict=True)))
    assert [answer.status for answer in answers] == [200] * 3
    assert provider.asked[before:].count("/token") == 1
    # With what each of them got, they go on.
    assert [(await browser.get("/")).status for browser in browsers] == [200] * 3


@pytest.mark.parametrize("size", [1000, 3000, 20_000])
async def test_a_refresh_token_that_does_not_fit_is_told_of_once(
    world: World, provider: OpenId, options: dict[str, Any], size: int
) -> None:
    provider.refresh_bytes = size
    jar = await serve(world, provider, options, refresh="1ms")
    for _ in range(2):
        assert (await log_in(provider, jar)).status == 303
        await asyncio.sleep(0.01)
        before = len(provider.asked)
        assert (await jar.get("/")).status == 200
        assert ("/token" in provider.asked[before:]) == (size == 1000)
        jar.cookies = {}
    said = [record for record in world.log if record["event"] == "oidc_no_refresh"]
    assert [record["level"] for record in said] == ([] if size == 1000 else ["warning"])
    assert all("lifetime" in record["error"] for record in said)


async def test_a_session_that_becomes_too_large_ends(world: World, provider: OpenId, options: dict[str, Any]) -> None:
    jar = await serve(world, provider, options, refresh="1ms")
    await log_in(provider, jar)
    provider.users["ann"]["tid"] = "x" * 5000
    await asyncio.sleep(0.01)
    assert (await jar.get("/", "")).status == 401
    assert [record["event"] for record in world.log if "fewer claims" in record.get("error", "")] == ["oidc_ended"]


async def test_cookies_that_were_not_made_here(world: World, provider: OpenId, options: dict[str, Any]) -> None:
    jar = await serve(world, provider, options)
    await log_in(provider, jar)
    good = jar.cookies["__Host-vidops-session"]
    for bad in ("", "x", good[:-2], good + "x", "a.b.c.d.e", "\xff", good.swapcase(), "x" * 9000):
        jar.cookies = {"__Host-vidops-session": bad}
        assert (await jar.get("/", "")).status in (401, 431, 400), bad
    begun = Jar(jar.port)
    await begun.get("/")
    login = next(iter(begun.cookies.values()))
    jar.cookies = {"__Host-vidops-session": login}
    assert (await jar.get("/", "")).status == 401


async def test_logins_under_way_are_few(world: World, provider: OpenId, options: dict[str, Any]) -> None:
    jar = await serve(world, provider, options)
    for _ in range(12):
        await jar.get("/")
    assert len(jar.cookies) == 5
