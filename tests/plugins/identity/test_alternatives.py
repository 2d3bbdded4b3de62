"""Several ways to come in, of which one is enough; and several that are all needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route
from tests.plugins.identity.test_basic import QUICK, basic
from tests.plugins.identity.tokens import AUDIENCE, ISSUER, claims, key, public, sign

KEY = "robot-key-0123456789"
APIKEY, PASSWORD = f"X-API-Key: {KEY}\r\n", basic("ann", "correct horse")
BEARER = f"Authorization: Bearer {sign(claims())}\r\n"


@pytest.fixture
def ways(tmp_path: Path) -> dict[str, dict[str, Any]]:
    for name, text in (("key", KEY), ("keys", json.dumps({"keys": [public(key("P-256"))]})), ("hash", QUICK)):
        (tmp_path / name).write_text(text)
    file = {name: {"file": str(tmp_path / name)} for name in ("key", "keys", "hash")}
    return {
        "api_key": {"clients": {"robot": {"keys": [file["key"]]}}},
        "jwt": {"issuer": ISSUER, "audience": AUDIENCE, "keys": file["keys"]},
        "basic": {"users": {"ann": {"hash": file["hash"]}}},
    }


def chain(ways: dict[str, Any], *names: str, optional: tuple[str, ...]) -> list[Any]:
    rules = {"type": "authorize", "options": {"allow": [{"users": ["ann", "robot"]}]}}
    links = [{"type": name, "options": {**ways[name], "optional": name in optional}} for name in names]
    return [route("/", "echo", chain=[*links, rules])]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (APIKEY, 200),
        (BEARER, 200),
        (PASSWORD, 200),
        ("", 401),
        ("X-API-Key: wrong-key-0123456789\r\n", 401),
        ("X-API-Key: wrong-key-0123456789\r\n" + PASSWORD, 401),
        ("Authorization: Bearer a.b.c\r\n", 401),
        (basic("ann", "wrong horse"), 401),
        (f"Authorization: Bearer {KEY}\r\n", 200),
        (APIKEY + BEARER, 200),
        (APIKEY + "Authorization: Bearer a.b.c\r\n", 200),
        ("Authorization: Digest x\r\n", 401),
    ],
)
async def test_one_of_three_is_enough(world: World, ways: dict[str, Any], headers: str, expected: int) -> None:
    await world.start(chain(ways, "api_key", "jwt", "basic", optional=("api_key", "jwt")))
    assert (await get(world.port, "/", headers=headers)).status == expected


async def test_with_all_optional_nobody_is_somebody(world: World, ways: dict[str, Any]) -> None:
    await world.start(chain(ways, "api_key", "basic", optional=("api_key", "basic")))
    assert (await get(world.port, "/")).status == 403
    assert (await get(world.port, "/", headers=PASSWORD)).status == 200


async def test_without_optional_each_is_needed(world: World, ways: dict[str, Any]) -> None:
    await world.start(chain(ways, "api_key", "jwt", optional=()))
    assert (await get(world.port, "/", headers=BEARER)).status == 401
    assert (await get(world.port, "/", headers=APIKEY)).status == 401
    both = APIKEY + BEARER
    assert (await get(world.port, "/", headers=both)).status == 200
    assert (await get(world.port, "/", headers=APIKEY + "Authorization: Bearer a.b.c\r\n")).status == 401
    assert (await get(world.port, "/", headers="X-API-Key: wrong-key-0123456789\r\n" + BEARER)).status == 401
    await world.edit(chain(ways, "jwt", "api_key", optional=()))
    assert (await get(world.port, "/", headers=both)).status == 200
    await world.edit(chain(ways, "api_key", "basic", optional=()))
    assert (await get(world.port, "/", headers=APIKEY + PASSWORD)).status == 200
    await world.edit(chain(ways, "jwt", "basic", optional=()))
    assert (await get(world.port, "/", headers=PASSWORD)).status == 401
