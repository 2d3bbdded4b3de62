"""Two tenants at one gateway: each sees its own cameras, by every way, and learns nothing of the other's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.client import Client, get
from tests.gateway.world import World, route
from vidops.api import Tenant, User
from vidops.errors import PermanentError
from vidops_plugins.tenants.static import StaticDirectory

KEYS = {"ann": "ann-key-0123456789", "bob": "bob-key-0123456789", "eve": "eve-key-0123456789"}
TENANTS = {
    "acme": {"members": ["ann"], "devices": ["door*"]},
    "globex": {"members": ["bob"], "devices": ["yard"]},
    "both": {"members": ["ann", "bob"], "devices": ["door", "yard"]},
}


@pytest.fixture
def keyed(tmp_path: Path) -> dict[str, Any]:
    """Ann, Bob and Eve, each with a key."""
    clients = {}
    for name, key in KEYS.items():
        (tmp_path / name).write_text(key)
        clients[name] = {"keys": [{"file": str(tmp_path / name)}], "roles": ["viewer" if name == "bob" else "admin"]}
    return {"type": "api_key", "options": {"clients": clients}}


def spec(routes: list[dict[str, Any]], tenants: dict[str, Any] = TENANTS) -> list[dict[str, Any]]:
    return [one | {"tenants": {"directory": {"type": "static", "options": {"tenants": tenants}}}} for one in routes]


def tenant(*places: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "tenant", "options": {"from": list(places) or [{"header": "X-Tenant"}], **more}}


def asks(user: str, tenant: str = "") -> str:
    lines = [f"X-API-Key: {KEYS[user]}"] if user else []
    lines += [f"X-Tenant: {tenant}"] if tenant else []
    return "".join(f"{line}\r\n" for line in lines)


async def status(world: World, path: str, headers: str) -> int:
    return (await get(world.port, path, headers=headers)).status


@pytest.mark.parametrize(
    ("user", "name", "expected"),
    [
        ("ann", "acme", 200),
        ("bob", "globex", 200),
        ("bob", "both", 200),
        ("ann", "globex", 403),
        ("ann", "nobody", 403),
        ("ann", "", 403),
        ("ann", "ACME", 403),
        ("ann", "acme, globex", 403),
        ("ann", "a" * 500, 403),
        ("eve", "acme", 403),
        ("", "acme", 401),
    ],
)
async def test_only_members_act_for_a_tenant(world: World, keyed: Any, user: str, name: str, expected: int) -> None:
    await world.start(spec([route("/", "echo", chain=[keyed, tenant()])]))
    answer = await get(world.port, "/", headers=asks(user, name))
    assert answer.status == expected
    if expected == 200:
        assert b"x-tenant" not in answer.body


async def test_a_foreign_tenant_and_none_are_told_apart_by_nothing(world: World, keyed: Any) -> None:
    await world.start(spec([route("/", "echo", chain=[keyed, tenant()])]))
    foreign = await get(world.port, "/", headers=asks("ann", "globex"))
    absent = await get(world.port, "/", headers=asks("ann", "unheard-of"))
    assert (foreign.status, foreign.body) == (absent.status, absent.body)


async def test_a_foreign_tenant_and_none_are_asked_after_alike(
    world: World, keyed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def is_member(self: StaticDirectory, tenant: Tenant, user: User) -> bool:
        asked.append(tenant.name)
        return tenant.name == "unheard-of"

    monkeypatch.setattr(StaticDirectory, "is_member", is_member)
    await world.start(spec([route("/", "echo", chain=[keyed, tenant()])]))
    assert await status(world, "/", asks("ann", "globex")) == 403
    assert await status(world, "/", asks("ann", "unheard-of")) == 403, "whatever its members are"
    assert asked == ["globex", "unheard-of"]


async def test_two_headers_name_nobody(world: World, keyed: Any) -> None:
    await world.start(spec([route("/", "echo", chain=[keyed, tenant()])]))
    assert await status(world, "/", asks("ann", "acme") + "X-Tenant: both\r\n") == 403


async def test_places_are_looked_at_in_order(world: World, keyed: Any) -> None:
    by_path = route("/t/**", "echo", chain=[keyed, tenant({"path": "/t/{tenant}"}, {"directory": True})])
    by_host = route("/h", "echo", chain=[keyed, tenant({"subdomain": "example.com"}, {"header": "X-Tenant"})])
    single = route("/d", "echo", chain=[keyed, tenant({"directory": True})])
    tenants = {name: TENANTS[name] for name in ("acme", "globex")}
    await world.start(spec([by_path, by_host, single], tenants))
    assert await status(world, "/t/acme/x", asks("ann")) == 200
    assert await status(world, "/t/globex/x", asks("ann")) == 403
    assert await status(world, "/t", asks("ann")) == 200
    assert await status(world, "/d", asks("bob")) == 200
    assert await status(world, "/d", asks("eve")) == 403
    for host, expected in [("acme.example.com", 200), ("ACME.example.com:80", 200), ("globex.example.com", 403),
                           ("acme.example.com.evil.org", 403), ("a.acme.example.com", 403),
                           ("example.com", 403)]:  # fmt: skip
        async with await Client.connect(world.port) as client:
            client.send(f"GET /h HTTP/1.1\r\nHost: {host}\r\n{asks('ann')}\r\n".encode())
            assert (await client.answer()).status == expected, host
    assert await status(world, "/h", asks("ann", "acme")) == 200


async def test_an_edit_of_tenants_rebuilds_the_routes_that_look_into_them_alone(world: World, keyed: Any) -> None:
    guarded = spec([route("/a", "echo", chain=[keyed, tenant()])])
    free = [route("/b", "echo", chain=[keyed])]
    await world.start([*guarded, *free])
    before = world.gateway._dispatcher.generation.routes  # type: ignore[union-attr]
    assert await status(world, "/a", asks("eve", "acme")) == 403
    more = {**TENANTS, "acme": {"members": ["ann", "eve"], "devices": ["door"]}}
    await world.edit([*spec([route("/a", "echo", chain=[keyed, tenant()])], more), *free])
    after = world.gateway._dispatcher.generation.routes  # type: ignore[union-attr]
    assert await status(world, "/a", asks("eve", "acme")) == 200
    kept = [one.pattern.text for key, one in after.items() if before.get(key) is one]
    assert kept == ["/b"]


async def test_a_directory_that_is_not_there_is_told(world: World, keyed: Any) -> None:
    with pytest.raises(PermanentError, match="directory"):
        await world.start([route("/", "echo", chain=[keyed, tenant()])])


@pytest.mark.parametrize(
    ("directory", "fits"),
    [
        ({"type": "http", "options": {"url": "http://127.0.0.1:9/t"}}, False),
        ({"type": "sqlite", "options": {"path": "/none"}}, False),
        ({"type": "sqlite", "options": {"path": "/none", "tenant_of_user": "SELECT 1"}}, True),
        ({"type": "static", "options": {"tenants": {}}}, True),
    ],
)
async def test_a_directory_that_can_never_tell_is_not_asked(
    world: World, keyed: Any, directory: Any, fits: bool
) -> None:
    one = route("/", "echo", chain=[keyed, tenant({"header": "X-Tenant"}, {"directory": True})])
    one["tenants"] = {"directory": directory}
    if fits:
        await world.start([one])
        return
    with pytest.raises(PermanentError, match=r"routes\[0\].*'directory' cannot tell.*directory: true"):
        await world.start([one])


# -- no leak -----------------------------------------------------------------------------------------------------------

PLACES = [
    ("/stream/**", "stream"),
    ("/snapshot/**", "snapshot"),
    ("/v1/devices/**", "devices"),
    ("/v1/recordings/**", "recordings"),
    ("/devices/**", "registry"),
]


EACH = pytest.mark.parametrize("side", [("ann", "acme", "door", "yard"), ("bob", "globex", "yard", "door")])
"""Who asks for whom, a camera of theirs, one of the others'."""


async def serve(world: World, chain: list[Any]) -> None:
    await world.start(spec([route(path, handler, chain=chain) for path, handler in PLACES]))


async def feeding(world: World, path: str, headers: str) -> Any:
    """The answer, with frames of both cameras coming meanwhile."""
    asking = asyncio.ensure_future(get(world.port, path, headers=headers))
    while not asking.done():
        for camera in ("door", "yard"):
            world.cameras.feed(camera)
        await asyncio.wait([asking], timeout=0.02)
    return asking.result()


@EACH
async def test_a_foreign_camera_is_answered_as_one_that_is_not_there(
    world: World, keyed: Any, side: tuple[str, str, str, str]
) -> None:
    await serve(world, [keyed, tenant()])
    user, name, own, foreign = side
    headers = asks(user, name)
    assert (await feeding(world, f"/snapshot/{own}", headers)).status == 200
    for place in ("/snapshot", "/stream", "/v1/devices", "/devices"):
        real = await get(world.port, f"{place}/{foreign}", headers=headers)
        made_up = await get(world.port, f"{place}/{'x' * len(foreign)}", headers=headers)
        assert real.status == 404, place
        told, other = json.loads(real.body), json.loads(made_up.body)
        assert told | {"detail": ""} == other | {"detail": "", "nearest": told.get("nearest")}, place
        near_miss = await get(world.port, f"{place}/{foreign}s", headers=headers)
        assert foreign not in str(json.loads(near_miss.body).get("nearest", [])), place
        assert real.headers.keys() == made_up.headers.keys(), place
    assert not [one for one in world.cameras.subscriptions if one.camera == foreign]


@EACH
async def test_lists_have_ones_own_alone(world: World, keyed: Any, side: tuple[str, str, str, str]) -> None:
    world.recordings.rows = [{"camera": c, "capture": f"{c}-all", "path": f"{c}/a.mp4"} for c in ("door", "yard")]
    await serve(world, [keyed, tenant()])
    user, name, own, foreign = side
    headers = asks(user, name)
    for path in ("/v1/devices", "/v1/recordings", "/devices"):
        answer = await get(world.port, path, headers=headers)
        assert answer.status == 200, path
        assert own.encode() in answer.body, path
        assert foreign.encode() not in answer.body, path


async def test_what_is_told_of_the_whole_host_is_for_no_tenant(world: World, keyed: Any) -> None:
    await world.start(spec([route("/v1/status", "status", chain=[keyed, tenant()])]))
    assert await status(world, "/v1/status", asks("ann", "acme")) == 403


# -- authorize ---------------------------------------------------------------------------------------------------------


def authorize(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"type": "authorize", "options": {"allow": list(rules)}}


async def test_roles_to_cameras_and_actions(world: World, keyed: Any) -> None:
    rules = authorize(
        {"roles": ["admin"]}, {"users": ["bo?"], "devices": ["yard"], "actions": ["streams"], "methods": ["GET"]}
    )
    world.recordings.rows = [{"camera": c, "capture": c, "path": f"{c}/a.mp4"} for c in ("door", "yard")]
    await serve(world, [keyed, rules])
    assert (await feeding(world, "/snapshot/door", asks("ann"))).status == 200
    assert (await feeding(world, "/snapshot/yard", asks("bob"))).status == 200
    assert await status(world, "/snapshot/door", asks("bob")) == 404
    assert b"door" not in (await get(world.port, "/v1/devices", headers=asks("bob"))).body
    seen = json.loads((await get(world.port, "/v1/recordings", headers=asks("bob"))).body)
    assert seen == {"recordings": []}
    assert len(json.loads((await get(world.port, "/v1/recordings", headers=asks("ann"))).body)["recordings"]) == 2


@pytest.mark.parametrize(
    ("methods", "fitting"),
    [(["HEAD"], {"HEAD"}), (["GET"], {"GET", "HEAD"}), (["HEAD", "POST"], {"HEAD", "POST"}), (["POST"], {"POST"})],
)
async def test_rules_by_method(world: World, methods: list[str], fitting: set[str]) -> None:
    await world.start([route("/", "respond", chain=[authorize({"anyone": True, "methods": methods})], body="x")])
    for method in ("GET", "HEAD", "POST"):
        answer = await get(world.port, "/", method=method)
        assert answer.status == (200 if method in fitting else 403), method


async def test_what_no_rule_allows_is_denied(world: World, keyed: Any) -> None:
    rules = authorize(
        {"users": ["ann"], "paths": ["/a/**", "/b/*"], "methods": ["GET"]}, {"tenants": ["acme"], "paths": ["/**"]}
    )
    await world.start([route("/**", "echo", chain=[keyed, rules])])
    for user, path, expected in [("ann", "/a", 200), ("ann", "/a/x/y", 200), ("ann", "/b/x", 200), ("ann", "/b", 403),
                                 ("ann", "/b/x/y", 403), ("ann", "/ab", 403), ("bob", "/a", 403),
                                 ("", "/a", 401)]:  # fmt: skip
        assert await status(world, path, asks(user)) == expected, (user, path)


async def test_without_authentication_no_rule_for_somebody_fits(world: World) -> None:
    await world.start([route("/", "echo", chain=[authorize({"users": ["*"]}, {"roles": ["admin"]})])])
    assert await status(world, "/", "") == 403
    await world.edit([route("/", "echo", chain=[authorize({"anyone": True})])])
    assert await status(world, "/", "") == 200


@pytest.mark.parametrize(
    "rule",
    [{}, {"anyone": True, "roles": ["x"]}, {"roles": ["x"], "actions": []}, {"roles": ["x"], "actions": ["fly"]}],
)
async def test_rules_that_say_nothing(world: World, rule: dict[str, Any]) -> None:
    with pytest.raises(PermanentError, match="authorize"):
        await world.start([route("/", "echo", chain=[authorize(rule)])])


# -- named keys --------------------------------------------------------------------------------------------------------


async def test_a_client_is_known_by_the_digest_of_its_key(world: World) -> None:
    import hashlib

    digest = "sha256:" + hashlib.sha256(KEYS["ann"].encode()).hexdigest()
    chain = [{"type": "api_key", "options": {"clients": {"ann": {"hashes": [digest]}}}}, authorize({"users": ["ann"]})]
    await world.start([route("/", "echo", chain=chain)])
    assert await status(world, "/", asks("ann")) == 200
    assert await status(world, "/", asks("bob")) == 401
    assert await status(world, "/", f"X-API-Key: {digest}\r\n") == 401


async def test_one_key_of_two_clients_is_refused(world: World) -> None:
    hashes = {"hashes": ["sha256:" + "0" * 64]}
    with pytest.raises(PermanentError, match="the same key"):
        await world.start(
            [route("/", "echo", chain=[{"type": "api_key", "options": {"clients": {"a": hashes, "b": hashes}}}])]
        )


async def test_captures_of_others_are_not_there(world: World, keyed: Any) -> None:
    world.control.answer = {
        "resources": [
            {"kind": "capture", "name": f"{camera}-all", "health": "Healthy", "facts": {"camera": camera}}
            for camera in ("door", "yard")
        ]
    }
    routes = [route("/v1/captures/**", "captures", chain=[keyed, tenant()], writable=True)]
    await world.start(spec(routes))
    headers = asks("ann", "acme")
    listed = await get(world.port, "/v1/captures", headers=headers)
    assert b"door" in listed.body
    assert b"yard" not in listed.body
    real = await get(world.port, "/v1/captures/yard-all/start", method="POST", headers=headers)
    made_up = await get(world.port, "/v1/captures/none-all/start", method="POST", headers=headers)
    assert real.status == made_up.status
    assert real.body.replace(b"yard", b"none") == made_up.body
    assert not world.control.posted
