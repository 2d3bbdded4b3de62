"""The console's page as it is sent: whole, self-contained, under a policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route
from vidops.errors import PermanentError


async def test_the_policy_names_the_one_script_and_style_by_their_hashes(world: World) -> None:
    await world.start([route("/**", "console")])
    answer = await get(world.port, "/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    page = answer.body.decode()
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?((?:https?:)?//[^"')\s]+)""", page)
    assert addresses == []
    assert " on" + "click" not in page


async def test_the_page_knows_where_its_data_are(world: World) -> None:
    await world.start([route("/ui/**", "console", stream="/cams/live", status="/api/status")])
    page = (await get(world.port, "/ui")).body.decode()
    (config,) = re.findall(r'data-config="([^"]*)"', page)
    assert json.loads(html.unescape(config))["stream"] == "/cams/live"
    assert json.loads(html.unescape(config))["status"] == "/api/status"


@pytest.mark.parametrize("base", ["stream", "//evil.example", "/a?b", '/a"b', "https://evil.example", "/a/", "/<b>"])
async def test_data_come_from_this_gateway_alone(world: World, base: str) -> None:
    with pytest.raises(PermanentError, match="stream"):
        await world.start([route("/**", "console", stream=base)])


async def test_anything_else_is_not_found(world: World) -> None:
    await world.start([route("/**", "console")])
    for path in ("/favicon.ico", "/static/app.js", "/page.html"):
        answer = await get(world.port, path)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
