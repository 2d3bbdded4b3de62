"""A person logs in with a real Chromium: led to the provider, back to the page asked for, and out again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.gateway.world import World, route
from tests.plugins.identity.openid import CLIENT, SECRET, OpenId
from vidops.testing import free_port

pytestmark = pytest.mark.browser


@pytest.fixture
async def provider() -> AsyncIterator[OpenId]:
    it = OpenId()
    await it.open()
    yield it
    await it.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    it = World()
    yield it
    await it.close()


async def test_a_person_logs_in_and_out(browser: Browser, world: World, provider: OpenId, tmp_path: Path) -> None:
    port = free_port()
    home = f"http://localhost:{port}"
    provider.redirect_uri = f"{home}/auth/callback"
    (tmp_path / "session").write_text("s" * 64)
    (tmp_path / "client").write_text(SECRET)
    oidc: dict[str, Any] = {
        "issuer": provider.issuer, "url": home, "client_id": CLIENT,
        "client_secret": {"file": str(tmp_path / "client")}, "session_secret": {"file": str(tmp_path / "session")},
    }  # fmt: skip
    rules = {"type": "authorize", "options": {"allow": [{"roles": ["viewer"]}]}}
    chain = [{"type": "oidc", "options": oidc}, rules]
    text = "<!doctype html><h1>Cameras</h1>"
    page = route("/**", "respond", chain=chain, body=text, content_type="text/html; charset=utf-8")
    await world.start([page], bind=[f"127.0.0.1:{port}"])
    context = await browser.new_context()
    tab = await context.new_page()
    await tab.goto(f"{home}/cameras?x=1")
    await expect(tab.locator("input[name=user]")).to_be_visible()
    await tab.fill("input[name=user]", "ann")
    await tab.click("button")
    await expect(tab.locator("h1")).to_have_text("Cameras")
    assert tab.url == f"{home}/cameras?x=1"
    kept = {cookie["name"]: cookie for cookie in await context.cookies()}
    assert list(kept) == ["__Host-vidops-session"]
    assert (kept["__Host-vidops-session"]["httpOnly"], kept["__Host-vidops-session"]["secure"]) == (True, True)
    assert kept["__Host-vidops-session"]["sameSite"] == "Lax"
    assert await tab.evaluate("document.cookie") == ""
    # A script is told, not led away.
    await context.clear_cookies()
    assert await tab.evaluate("fetch('/x').then(answer => answer.status)") == 401
    await tab.goto(home)
    await tab.fill("input[name=user]", "ann")
    await tab.click("button")
    await expect(tab.locator("h1")).to_have_text("Cameras")
    await tab.goto(f"{home}/auth/logout")
    await expect(tab.locator("input[name=user]")).to_be_visible()
    assert not [c for c in await context.cookies() if c["name"] == "__Host-vidops-session"]
    await tab.fill("input[name=user]", "mallory")
    await tab.click("button")
    await expect(tab.locator("h1")).to_have_text("Not logged in")
    await context.close()
