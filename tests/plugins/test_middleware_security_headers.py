"""`security_headers`: what browsers are told, and what handlers say for themselves."""

from __future__ import annotations

import pytest

from tests.gateway.client import Client, get
from tests.gateway.world import World, route
from vidops.errors import PermanentError


def link(**options: object) -> dict[str, object]:
    return {"type": "security_headers", "options": options}


async def test_every_answer_has_them_errors_included(world: World) -> None:
    await world.start([route("/ok", "respond", chain=[link()]), route("/none", "snapshot", chain=[link()])])
    for path in ("/ok", "/none"):
        headers = (await get(world.port, path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in headers


async def test_what_a_handler_says_itself_stays_alone(world: World) -> None:
    own = {"X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "origin"}
    await world.start([route("/", "respond", chain=[link()], headers=own)])
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = (await client.closed()).lower()
    assert head.count(b"x-frame-options") == 1
    assert b"x-frame-options: sameorigin" in head
    assert b"referrer-policy: origin" in head


async def test_empty_leaves_out_and_more_can_be_added(world: World) -> None:
    options = {"frame_options": "", "headers": {"X-Robots-Tag": "noindex"}}
    await world.start([route("/", "respond", chain=[link(**options)])])
    headers = (await get(world.port, "/")).headers
    assert "x-frame-options" not in headers
    assert headers["x-robots-tag"] == "noindex"


async def test_no_hsts_without_tls(world: World) -> None:
    await world.start([route("/", "respond", chain=[link(hsts="365d")])])
    assert "strict-transport-security" not in (await get(world.port, "/")).headers


@pytest.mark.parametrize(
    "options",
    [
        {"frame_options": "DENY\r\nX-Evil: 1"},
        {"referrer_policy": "a\nb"},
        {"headers": {"Bad Name": "x"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"connection": "upgrade"}},
        {"headers": {"Content-Length": "1"}},
        {"headers": {"X-Ok": "a\r\nb"}},
        {"hsts": "0s"},
        {"unknown": "x"},
    ],
)
async def test_nothing_that_could_end_a_line_is_taken(world: World, options: dict[str, object]) -> None:
    with pytest.raises(PermanentError, match="security_headers"):
        await world.start([route("/", "respond", chain=[link(**options)])])
