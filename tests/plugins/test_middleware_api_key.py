"""`api_key`: who knows a key gets through, and nobody else; keys never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route
from vidops.errors import PermanentError

OLD, NEW = "old-key-0123456789", "new-key-9876543210"


@pytest.fixture
def keys(tmp_path: Path) -> list[dict[str, str]]:
    """The files that the keys are in."""
    places = []
    for name, key in (("old", OLD), ("new", NEW)):
        (tmp_path / name).write_text(key + "\n")
        places.append({"file": str(tmp_path / name)})
    return places


def guarded(keys: list[dict[str, str]]) -> list[object]:
    return [route("/", "echo", chain=["access_log", {"type": "api_key", "options": {"keys": keys}}])]


@pytest.mark.parametrize(
    "headers",
    [
        f"X-API-Key: {OLD}\r\n",
        f"x-api-key: {NEW}\r\n",
        f"Authorization: Bearer {NEW}\r\n",
        f"Authorization: bearer {OLD}\r\n",
    ],
)
async def test_each_key_opens_and_is_not_passed_on(world: World, keys: list[dict[str, str]], headers: str) -> None:
    await world.start(guarded(keys))
    answer = await get(world.port, "/", headers=headers)
    assert answer.status == 200
    assert OLD.encode() not in answer.body
    assert NEW.encode() not in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "X-API-Key: \r\n",
        f"X-API-Key: {OLD[:-1]}\r\n",
        f"X-API-Key: {OLD}x\r\n",
        f"X-API-Key: {OLD.upper()}\r\n",
        f"Authorization: Basic {OLD}\r\n",
        f"Authorization: {OLD}\r\n",
        f"Authorization: Bearer{OLD}\r\n",
        f"X-API-Key: wrong\r\nX-API-Key: {OLD}\r\n",
        f"X-API-Key: {OLD}\r\nX-API-Key: {OLD}\r\n",
        f"X-API-Key: wrong\r\nAuthorization: Bearer {OLD}\r\n",
        f"X-API-Key: \r\nAuthorization: Bearer {OLD}\r\n",
        f"Authorization: Bearer {OLD}\r\nAuthorization: Bearer {OLD}\r\n",
        f"X_API_Key: {OLD}\r\n",
        f"X-API-Key: {'k' * 5000}\r\n",
        "X-API-Key: \xe9\xff\r\n",
    ],
)
async def test_anything_else_is_401_with_a_challenge(world: World, keys: list[dict[str, str]], headers: str) -> None:
    await world.start(guarded(keys))
    answer = await get(world.port, "/", headers=headers)
    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert OLD not in str(world.log)


@pytest.mark.parametrize(
    ("authorization", "passed"), [("Bearer of.another.link", True), ("Basic YTpi", True), (f"Bearer {NEW}", False)]
)
@pytest.mark.parametrize("optional", [True, False])
async def test_a_key_in_its_own_header_is_one_whatever_else_comes(
    world: World, keys: list[dict[str, str]], authorization: str, passed: bool, optional: bool
) -> None:
    link = {"type": "api_key", "options": {"keys": keys, "optional": optional}}
    await world.start([route("/", "echo", chain=[link])])
    answer = await get(world.port, "/", headers=f"X-API-Key: {OLD}\r\nAuthorization: {authorization}\r\n")
    assert answer.status == 200
    assert ("authorization" in dict(answer.json()["headers"])) == (passed and not optional)
    assert OLD.encode() not in answer.body


async def test_a_key_in_the_query_opens_nothing(world: World, keys: list[dict[str, str]]) -> None:
    await world.start(guarded(keys))
    assert (await get(world.port, f"/?api_key={OLD}")).status == 401
    assert OLD not in str(world.log)


@pytest.mark.parametrize("key", ["", "short", " padded-key-0123456789", "padded-key-0123456789 "])
async def test_a_weak_key_is_refused_without_being_told(world: World, tmp_path: Path, key: str) -> None:
    (tmp_path / "weak").write_text(key)
    with pytest.raises(PermanentError) as caught:
        await world.start(guarded([{"file": str(tmp_path / "weak")}]))
    assert "routes[0]" in str(caught.value)
    assert not key.strip() or key.strip() not in str(caught.value)


async def test_a_key_that_is_not_there_is_named_by_its_place(world: World, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="/none"):
        await world.start(guarded([{"file": str(tmp_path / "none")}]))


async def test_without_any_key_there_is_no_gateway(world: World) -> None:
    with pytest.raises(PermanentError, match="keys"):
        await world.start(guarded([]))
