"""`respond`: what is written in the stack file is what comes out, and nothing can be slipped in."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.gateway.client import get
from tests.gateway.world import BOTH, World, route
from vidops_plugins.handlers.respond import Respond

SERVERS = BOTH


async def test_status_body_type_and_headers(world: World) -> None:
    headers = {"X-Note": "yes", "Location": "/there"}
    options = {"status": 308, "body": "grüß", "content_type": "text/plain; charset=utf-8", "headers": headers}
    await world.start([route("/", "respond", **options)])
    answer = await get(world.port, "/")
    assert (answer.status, answer.body.decode()) == (308, "grüß")
    assert (answer.headers["x-note"], answer.headers["location"]) == ("yes", "/there")


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_have_none(world: World, status: int) -> None:
    """And no length: of a 304 it would be that of what the client has (RFC 9110, 8.6)."""
    await world.start([route("/", "respond", status=status, body="ignored by HTTP")])
    answer = await get(world.port, "/")
    assert (answer.status, {"content-length", "content-type"} & set(answer.headers)) == (status, set())


@pytest.mark.parametrize(
    "options",
    [
        {"status": 199},
        {"status": 600},
        {"content_type": "a\r\nb"},
        {"headers": {"a b": "c"}},
        {"headers": {"x": "a\r\nSet-Cookie: b"}},
        {"headers": {"Content-Length": "3"}},
        {"headers": {"x_y\n": "3"}},
        {"surprise": 1},
    ],
)
def test_what_http_cannot_carry_is_an_error(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Respond.model_validate(options)
