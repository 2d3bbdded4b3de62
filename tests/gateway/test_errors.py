"""Answers to what goes wrong in a chain: with all that the links before it add, and logged once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.gateway.client import Client, get
from tests.gateway.plugins import Nothing, Probe, catalogue
from tests.gateway.stage import Stage
from tests.gateway.test_servers import HANDSHAKE
from tests.gateway.world import BOTH, World, route, until
from vidops.api import ASGIApp, GatewayContext, HandlerType, Receive, Scope, Send
from vidops.runtime.plugins import load_catalogue

SERVERS = BOTH
CHAIN: list[Any] = [
    "access_log",
    "request_id",
    "security_headers",
    {"type": "cors", "options": {"origins": ["https://app.example"]}},
    "compress",
    "metrics",
]
ORIGIN = "Origin: https://app.example\r\n"
PREFLIGHT = f"{ORIGIN}Access-Control-Request-Method: PUT\r\n"


@pytest.fixture
async def world(server: str) -> AsyncIterator[World]:
    it = World(catalogue(Probe()), server)
    yield it
    await it.close()


@pytest.mark.parametrize(("text", "status"), [("temporary", 503), ("", 500)])
async def test_an_error_has_what_the_chain_adds(world: World, text: str, status: int) -> None:
    await world.start([route("/", "raising", text=text, chain=CHAIN)])
    answer = await get(world.port, "/", headers=f"{ORIGIN}Accept-Encoding: gzip\r\n")
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ("retry-after" in answer.headers) == (status == 503)
    record = next(entry for entry in world.log if entry.get("event") == "request")
    assert (record["status"], record["end"], record["request_id"]) == (status, "error", answer.headers["x-request-id"])
    failed = [entry for entry in world.log if entry.get("event") == "request_failed"]
    assert [entry["request_id"] for entry in failed] == [record["request_id"]] * (status == 500)


async def test_a_body_that_is_too_large_is_refused_by_way_of_the_chain(world: World) -> None:
    small = {"type": "limits", "options": {"max_body": "1KiB"}}
    await world.start([route("/", "upload", chain=[*CHAIN, small])])
    async with await Client.connect(world.port) as client:
        head = f"POST / HTTP/1.1\r\nHost: x\r\n{ORIGIN}Transfer-Encoding: chunked\r\n\r\n"
        client.send(head.encode() + b"800\r\n" + bytes(2048) + b"\r\n")
        answer = await client.answer()
        assert answer.status == 413
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["connection"] == "close"


async def test_a_link_that_fails_is_answered_by_those_before_it(world: World) -> None:
    jwt = {
        "type": "jwt",
        "options": {"issuer": "https://id.example", "audience": "a", "jwks_url": "http://127.0.0.1:1/"},
    }
    await world.start([route("/", "counting", chain=[*CHAIN, jwt]), route("/metrics", "metrics")])
    token = ".".join(["eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ", "e30", "c2ln"])
    answer = await get(world.port, "/", headers=f"{ORIGIN}Authorization: Bearer {token}\r\n")
    assert (answer.status, "x-request-id" in answer.headers, "retry-after" in answer.headers) == (503, True, True)
    counted = (await get(world.port, "/metrics")).body.decode()
    assert 'status="503"' in counted
    assert 'status="500"' not in counted


async def test_a_late_error_cuts_the_answer_off(world: World) -> None:
    await world.start([route("/", "raising", text="late", chain=["access_log", "request_id"])])
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not (await client.closed()).endswith(b"0\r\n\r\n")


async def test_a_preflight_is_answered_where_the_method_is_not_the_routes(world: World) -> None:
    await world.start([route("/", "counting", methods=["GET", "PUT"], chain=CHAIN)])
    async with await Client.connect(world.port) as client:
        allowed = await client.get("/", method="OPTIONS", headers=PREFLIGHT)
        assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (204, "https://app.example")
        other = await client.get("/", method="OPTIONS")
        assert (other.status, other.headers["allow"]) == (405, "GET, PUT, HEAD")
        assert json.loads(other.body)["detail"] == "this path answers GET, PUT, HEAD"
        assert (await client.get("/", method="DELETE")).status == 405
        assert (await client.get("/")).status == 200


async def test_a_client_takes_no_field_away_that_the_chain_has_set(server: str) -> None:
    world = World(Stage().catalogue(), server)
    sets = {"type": "headers", "options": {"request": {"set": {"x-user": "ann"}}}}
    try:
        await world.start([route("/", "echo", chain=[sets, "request_id"])])
        told = "Connection: close, X-User, X-Request-Id, x-own\r\nX-User: eve\r\nX-Own: 1\r\n"
        seen = dict((await get(world.port, "/", headers=told)).json()["headers"])
    finally:
        await world.close()
    assert seen["x-user"] == "ann"
    assert "x-request-id" in seen
    assert "x-own" not in seen


async def test_a_handshake_that_is_closed_is_counted_as_what_its_client_gets(server: str) -> None:
    def build(options: Nothing, context: GatewayContext) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.close", "code": 1000})

        return app

    known = load_catalogue()
    handlers = {**known.handlers, "refusing": HandlerType("refusing", Nothing, build)}
    world = World(replace(known, handlers=handlers), server)
    try:
        await world.start([route("/", "refusing", chain=["access_log", "metrics"]), route("/metrics", "metrics")])
        async with await Client.connect(world.port) as client:
            client.send(HANDSHAKE.replace(b"/ws", b"/"))
            assert (await client.head()).status == 403
        await until(lambda: any(entry.get("status") == 403 for entry in world.log), "the line of the request")
        assert 'status="403"' in (await get(world.port, "/metrics")).body.decode()
    finally:
        await world.close()
