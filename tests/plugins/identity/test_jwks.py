"""Keys at the issuer, on a real socket: fetched once for all, changed, away, slow, wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route, until
from tests.plugins.identity.tokens import AUDIENCE, ISSUER, Issuer, b64, claims, key, public, sign
from vidops.errors import TemporaryError
from vidops_plugins.middleware.jwt.guard import Verifier
from vidops_plugins.middleware.jwt.keys import RemoteKeys
from vidops_plugins.middleware.jwt.options import Jwt
from vidops_plugins.middleware.jwt.verify import InvalidTokenError


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    it = Issuer()
    await it.open()
    yield it
    if it.hold is not None:
        it.hold.set()
    await it.close()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Setup:
    """A verifier whose keys are at `issuer`, with a clock of its own for their age."""

    def __init__(self, issuer: Issuer, **more: Any) -> None:
        self.clock = Clock()
        self.log: list[Any] = []
        self.options = Jwt.model_validate(
            {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": issuer.url, "jwks_timeout": "500ms", **more}
        )
        self.keys = RemoteKeys(self.options, self.log.append, self.clock)
        self.verifier = Verifier(self.options, self.keys)

    async def accepts(self, token: str) -> bool:
        try:
            await self.verifier.verify(token.encode())
        except InvalidTokenError:
            return False
        return True


def by(kid: str) -> str:
    return sign(claims(), with_key=key("P-256", kid), kid=kid)


async def test_one_fetch_for_however_many_requests(issuer: Issuer) -> None:
    it = Setup(issuer)
    issuer.hold = asyncio.Event()
    waiting = [asyncio.ensure_future(it.accepts(by("k1"))) for _ in range(50)]
    await until(lambda: issuer.asked, "the issuer is asked")
    issuer.hold.set()
    assert all(await asyncio.gather(*waiting))
    assert issuer.asked == 1


async def test_a_new_key_is_fetched_when_it_is_first_seen(issuer: Issuer) -> None:
    it = Setup(issuer)
    assert await it.accepts(by("k1"))
    issuer.keys = [key("P-256", "k1"), key("P-256", "k2")]
    assert not await it.accepts(by("k2"))
    assert issuer.asked == 1
    it.clock.now += it.options.jwks_cooldown
    assert await it.accepts(by("k2"))
    assert issuer.asked == 2


async def test_unknown_keys_do_not_become_questions_to_the_issuer(issuer: Issuer) -> None:
    it = Setup(issuer)
    for minute in range(3):
        for number in range(50):
            assert not await it.accepts(sign(claims(), kid=f"made-up-{number}"))
        assert issuer.asked <= minute + 1
        it.clock.now += it.options.jwks_cooldown


async def test_a_key_that_was_taken_back_verifies_nothing_more(issuer: Issuer) -> None:
    it = Setup(issuer)
    token = by("k1")
    assert await it.accepts(token)
    issuer.keys = [key("P-256", "k2")]
    it.clock.now += it.options.jwks_ttl
    # The old ones are taken while new ones are on their way.
    assert await it.accepts(token)
    await until(lambda: it.keys.fetches == 2 and it.keys._task is None, "the keys are fetched again")
    assert not await it.accepts(token)
    assert await it.accepts(by("k2"))


async def test_an_issuer_that_is_away(issuer: Issuer) -> None:
    it = Setup(issuer, jwks_stale="1h")
    assert await it.accepts(by("k1"))
    await issuer.close()
    it.clock.now += it.options.jwks_ttl + 3599
    assert await it.accepts(by("k1"))
    it.clock.now += 2
    with pytest.raises(TemporaryError) as caught:
        await it.accepts(by("k1"))
    assert caught.value.reason == "KeysUnavailable"
    assert issuer.url not in str(caught.value)
    assert issuer.url in it.log[-1]["error"]
    await issuer.open()
    it.clock.now += it.options.jwks_cooldown
    assert await it.accepts(by("k1"))


async def test_tries_in_an_outage_are_counted_not_one_a_request(issuer: Issuer) -> None:
    it = Setup(issuer)
    issuer.status = 500
    for _ in range(100):
        with pytest.raises(TemporaryError):
            await it.accepts(by("k1"))
    assert issuer.asked == 1
    assert "HTTP 500" in it.log[-1]["error"]
    for _ in range(10):
        it.clock.now += 1
        with pytest.raises(TemporaryError):
            await it.accepts(by("k1"))
    assert issuer.asked <= 5


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1, 2], "keys": []}',
        b'{"keys": [' + b"1," * 200 + b"1]}",
        b"{" + b" " * 300_000 + b"}",
        b'{"keys": [{"kty": "oct", "k": "' + b64(b"s" * 64) + b'"}]}',
    ],
)
async def test_an_answer_that_is_no_jwk_set(issuer: Issuer, answer: bytes) -> None:
    it = Setup(issuer)
    issuer.answer = answer
    with pytest.raises(TemporaryError):
        await it.accepts(by("k1"))
    assert it.log[-1]["event"] == "jwks_failed"


async def test_a_bad_answer_does_not_take_good_keys_away(issuer: Issuer) -> None:
    it = Setup(issuer)
    assert await it.accepts(by("k1"))
    issuer.answer = b"<html>"
    it.clock.now += it.options.jwks_ttl
    assert await it.accepts(by("k1"))
    await until(lambda: it.keys.fetches == 2 and it.keys._task is None, "the keys are fetched again")
    assert await it.accepts(by("k1"))


async def test_a_slow_issuer_is_waited_for_so_long_and_no_longer(issuer: Issuer) -> None:
    it = Setup(issuer)
    issuer.hold = asyncio.Event()
    began = asyncio.get_running_loop().time()
    with pytest.raises(TemporaryError):
        await it.accepts(by("k1"))
    assert "within" in it.log[-1]["error"]
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_gateway_serves_before_its_issuer_does(world: World, issuer: Issuer) -> None:
    await issuer.close()
    options = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": issuer.url}
    chain = ["access_log", {"type": "jwt", "options": options}]
    await world.start([route("/", "echo", chain=chain), route("/other", "echo", chain=chain)])
    bearer = f"Authorization: Bearer {by('k1')}\r\n"
    assert (await get(world.port, "/")).status == 401
    answer = await get(world.port, "/", headers=bearer)
    assert answer.status == 503
    assert b"KeysUnavailable" in answer.body
    await issuer.open()

    async def opened(path: str) -> bool:
        return (await get(world.port, path, headers=bearer)).status == 200

    async with asyncio.timeout(10):
        while not await opened("/"):
            await asyncio.sleep(0.05)
    assert await opened("/other")
    assert issuer.asked == 1
    assert public(key("P-256"))["kid"] == "k1"
