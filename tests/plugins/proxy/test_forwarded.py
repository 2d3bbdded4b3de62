"""What an upstream hears of who asks: what is believed, and what the stack file says; no client's claim."""

from __future__ import annotations

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route
from tests.plugins.proxy.upstream import Service

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for"])
async def test_of_a_chain_what_is_believed_goes_on(world: World, service: Service, header: str) -> None:
    """Of the field that proxies set, and what a client wrote into neither."""
    link = {"type": "trusted_proxies", "options": {"networks": ["127.0.0.1"], "header": header}}
    await world.start([route("/**", "proxy", chain=[link], upstreams=[service.url])])
    fields = {"forwarded": "for=198.51.100.7;proto=https", "x-forwarded-for": "6.6.6.6, 198.51.100.7"}
    fields |= {name: "for=10.0.0.1, 10.0.0.1" for name in fields if name != header}
    await get(world.port, "/", headers="".join(f"{name}: {value}\r\n" for name, value in fields.items()))
    heard = service.heard[0]
    assert [v for n, v in heard.fields if n.lower() == "x-forwarded-for"] == ["198.51.100.7, 127.0.0.1"]
    assert heard.get("forwarded") is None


async def test_what_the_stack_file_says_of_a_client_goes_on(world: World, service: Service) -> None:
    """And what a client says of itself does not, whatever else is set."""
    sets = {"X-Real-IP": "{client}", "X-Forwarded-Prefix": "/x", "X-Forwarded-Proto": "https"}
    chain = [{"type": "headers", "options": {"request": {"set": sets}}},
             {"type": "headers", "options": {"request": {"set": {"x-mine": "1"}}}}]  # fmt: skip
    await world.start([route("/**", "proxy", chain=chain, upstreams=[service.url])])
    await get(world.port, "/", headers="X-Real-IP: 6.6.6.6\r\nX-Forwarded-Server: 6.6.6.6\r\nX-Forwarded-Proto: a\r\n")
    said = sorted((n.lower(), v) for n, v in service.heard[0].fields if n.lower().startswith("x-"))
    assert said == [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-prefix", "/x"),
        ("x-forwarded-proto", "https"),
        ("x-mine", "1"),
        ("x-real-ip", "127.0.0.1"),
    ]
