"""`basic`: names and passwords; only hashes are kept, and what they cost does not stop the gateway."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.client import get
from tests.gateway.world import World, route
from vidops.errors import PermanentError
from vidops_plugins.middleware.basic import MAX_KNOWN, MAX_OF_CLIENT, MAX_WAITING, Checker, TooManyError, credentials
from vidops_plugins.middleware.passwords import BadHashError, PasswordHash, hashed

QUICK = hashed(b"correct horse", b"salt" * 4, ln=14)
PBKDF2 = "$pbkdf2-sha256$i=100000$c2FsdHNhbHRzYWx0c2FsdA$" + "A" * 43


def basic(name: str, password: str) -> str:
    return f"Authorization: Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}\r\n"


@pytest.fixture
def routes(tmp_path: Path) -> list[Any]:
    (tmp_path / "ann").write_text(QUICK + "\n")
    users = {"ann": {"hash": {"file": str(tmp_path / "ann")}, "roles": ["viewer"]}}
    return [route("/", "echo", chain=["access_log", {"type": "basic", "options": {"users": users}}])]


async def test_name_and_password_open_and_are_not_passed_on(world: World, routes: list[Any]) -> None:
    await world.start(routes)
    answer = await get(world.port, "/", headers=basic("ann", "correct horse"))
    assert answer.status == 200
    assert b"Basic" not in answer.body
    assert (await get(world.port, "/", headers=basic("ann", "correct horse"))).status == 200
    assert "correct horse" not in str(world.log)


@pytest.mark.parametrize(
    "headers",
    [
        "",
        basic("ann", ""),
        basic("ann", "correct horsE"),
        basic("bob", "correct horse"),
        basic("", "correct horse"),
        basic("ann", "correct horse").replace("Basic", "Bearer"),
        basic("ann", "correct horse") * 2,
        basic("ann", "x" * 2000),
        "Authorization: Basic !!!!\r\n",
        "Authorization: Basic\r\n",
        f"Authorization: Basic {base64.b64encode(b'ann').decode()}\r\n",
        "Authorization: Basic /zp4\r\n",
    ],
)
async def test_anything_else_is_401(world: World, routes: list[Any], headers: str) -> None:
    await world.start(routes)
    answer = await get(world.port, "/", headers=headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="vidops", charset="UTF-8"'


@given(st.binary(max_size=200))
def test_no_header_does_more_than_be_none(data: bytes) -> None:
    found = credentials([b"Basic " + data])
    assert found is None or ":" not in found[0]


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters=":"), max_size=50),
    st.binary(max_size=50),
)
def test_every_name_and_password_can_be_said(name: str, password: bytes) -> None:
    assert credentials([b"basic " + base64.b64encode(name.encode() + b":" + password)]) == (name, password)


def test_a_hash_fits_its_password_alone() -> None:
    it = PasswordHash.parse(QUICK)
    assert it.fits(b"correct horse")
    assert not it.fits(b"correct horse ")
    import hashlib

    digest = hashlib.pbkdf2_hmac("sha256", b"pw", b"saltsaltsaltsalt", 100_000)
    text = "$pbkdf2-sha256$i=100000$c2FsdHNhbHRzYWx0c2FsdA$" + base64.b64encode(digest).decode().rstrip("=")
    assert PasswordHash.parse(text).fits(b"pw")


BCRYPT = "$2y$10$abcdefghijklmnopqrstuuQ8tzhqaKc9bZWMdKJBzNrSrH6mPwGXy"
ARGON2 = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$" + "A" * 43


@pytest.mark.parametrize("prefix", [b"2a", b"2b"])
def test_hashes_of_bcrypt(prefix: bytes) -> None:
    made = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(10, prefix=prefix)).decode()
    # htpasswd writes 2y, which means the same as 2b.
    for text in {made, made.replace("$2b$", "$2y$")}:
        it = PasswordHash.parse(text)
        assert it.fits(b"correct horse")
        assert not it.fits(b"correct horsE")
        assert not it.fits(b"")
        assert not it.fits(b"\0correct horse")
    # bcrypt looks at 72 bytes: what is longer must not fit by its beginning.
    long = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(10, prefix=prefix)).decode()
    assert PasswordHash.parse(long).fits(b"x" * 72)
    assert not PasswordHash.parse(long).fits(b"x" * 73)


def test_hashes_of_argon2id() -> None:
    it = PasswordHash.parse(argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash("correct horse"))
    assert it.fits(b"correct horse")
    for wrong in (b"", b"correct horsE", b"correct horse\0", b"x" * 5000):
        assert not it.fits(wrong)
    assert not PasswordHash.parse(ARGON2).fits(b"correct horse")


async def test_a_hash_of_another_server_opens(world: World, routes: list[Any], tmp_path: Path) -> None:
    (tmp_path / "ann").write_text(bcrypt.hashpw(b"correct horse", bcrypt.gensalt(10)).decode() + "\n")
    await world.start(routes)
    assert (await get(world.port, "/", headers=basic("ann", "correct horse"))).status == 200
    assert (await get(world.port, "/", headers=basic("ann", "correct horsE"))).status == 401


async def test_a_package_that_is_missing_is_named(
    world: World, routes: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package, text in (("bcrypt", BCRYPT), ("argon2.low_level", ARGON2)):
        monkeypatch.setitem(sys.modules, package, None)
        (tmp_path / "ann").write_text(text)
        with pytest.raises(PermanentError, match=r"'ann'.*vidops\[passwords\]") as caught:
            await world.start(routes)
        assert text not in str(caught.value)


def test_hashes_of_one_sort_take_equally_long() -> None:
    alike = [
        (QUICK, hashed(b"another", b"pepper" * 3, ln=14)),
        (PBKDF2, PBKDF2.replace("$AAAA", "$BBBB")),
        (BCRYPT, BCRYPT.replace("$2y$", "$2b$").replace("$abcd", "$efgh")),
        (ARGON2, ARGON2.replace("$AAAA", "$BBBB")),
    ]
    for text, other in alike:
        assert text != other
        assert PasswordHash.parse(text).sort == PasswordHash.parse(other).sort
    unlike = [
        *(text for text, _ in alike),
        hashed(b"correct horse", b"salt" * 4, ln=15),
        QUICK.replace("p=1", "p=2"),
        PBKDF2.replace("100000", "100001"),
        PBKDF2.replace("sha256", "sha512"),
        PBKDF2 + "A" * 43,  # twice as long, by twice as much work
        BCRYPT.replace("$10$", "$11$"),
        ARGON2.replace("t=2", "t=3"),
    ]
    assert len({PasswordHash.parse(text).sort for text in unlike}) == len(unlike)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password",
        "$2y$10$abcdefghijklmnopqrstuv",
        BCRYPT.replace("$10$", "$09$"),
        BCRYPT.replace("$10$", "$15$"),
        BCRYPT.replace("$2y$", "$2x$"),
        BCRYPT + "x",
        BCRYPT.replace("uuQ", "uvQ"),
        ARGON2.replace("m=19456", "m=4096"),
        ARGON2.replace("m=19456", "m=65537"),
        ARGON2.replace("t=2", "t=11"),
        ARGON2.replace("p=1", "p=0"),
        ARGON2.replace("argon2id", "argon2i"),
        ARGON2.replace("v=19", "v=16"),
        "$apr1$x$y",
        QUICK.replace("ln=14", "ln=4"),
        QUICK.replace("ln=14", "ln=24"),
        QUICK.replace("p=1", "p=99"),
        QUICK + "\nx",
        PBKDF2.replace("i=100000", "i=1000"),
        PBKDF2.replace("i=100000", "i=99999999"),
    ],
)
def test_a_weak_or_costly_hash_is_refused(text: str) -> None:
    with pytest.raises(BadHashError) as caught:
        PasswordHash.parse(text)
    assert not text or text not in str(caught.value)


async def test_a_password_in_the_place_of_a_hash_is_not_told(world: World, routes: list[Any], tmp_path: Path) -> None:
    (tmp_path / "ann").write_text("hunter2-hunter2")
    with pytest.raises(PermanentError, match="ann") as caught:
        await world.start(routes)
    assert "hunter2" not in str(caught.value)


class Counting:
    """A hash that counts how often it is computed."""

    def __init__(self, sort: str = "quick") -> None:
        self.sort, self.asked = sort, 0

    def fits(self, password: bytes) -> bool:
        self.asked += 1
        return password == b"right"


async def test_a_good_password_is_remembered_a_bad_one_is_not() -> None:
    now, it = [0.0], Counting()
    checker = Checker({"ann": it}, 300.0, lambda: now[0])  # type: ignore[dict-item]
    for _ in range(10):
        assert await checker.knows("ann", b"right")
    assert it.asked == 1
    for count in range(3):
        assert not await checker.knows("ann", b"wrong")
        assert it.asked == 2 + count
    now[0] = 300
    assert await checker.knows("ann", b"right")
    assert it.asked == 5


async def test_a_stranger_costs_as_much_as_anybody_and_never_gets_in() -> None:
    it = Counting()
    checker = Checker({"ann": it}, 300.0)  # type: ignore[dict-item]
    assert not await checker.knows("nobody", b"right")
    assert it.asked == 1
    assert not await checker.knows("nobody", b"right")


async def test_a_refusal_costs_the_same_for_all_names_whatever_their_hashes_cost() -> None:
    users = {"ann": Counting("quick"), "bob": Counting("dear"), "eve": Counting("dear")}
    checker = Checker(users, 300.0)  # type: ignore[arg-type]
    for name in (*users, "nobody"):
        before = {user: one.asked for user, one in users.items()}
        assert not await checker.knows(name, b"wrong")
        costs = Counter[str]()
        for user, one in users.items():
            costs[one.sort] += one.asked - before[user]
        assert costs == {"quick": 1, "dear": 1}, name
        if name in users:
            assert users[name].asked > before[name], "its own hash is the one of its sort"
        assert not await checker.knows("nobody", b"right")
    assert await checker.knows("eve", b"right")


async def test_what_waits_and_what_is_remembered_is_bounded() -> None:
    checker = Checker({str(n): Counting() for n in range(MAX_KNOWN + 10)}, 300.0)  # type: ignore[misc]
    for n in range(MAX_KNOWN + 10):
        assert await checker.knows(str(n), b"right")
    assert len(checker._known) == MAX_KNOWN
    slow = Checker({"ann": PasswordHash.parse(QUICK)}, 300.0)
    asked = [asyncio.ensure_future(slow.knows("ann", b"%d" % n)) for n in range(MAX_WAITING + 20)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, TooManyError) and not answer.mine for answer in answers) == 20
    assert not slow._checking
    assert not slow._waiting


async def test_a_client_has_a_share_of_what_waits() -> None:
    checker = Checker({"ann": PasswordHash.parse(QUICK)}, 300.0)
    asked = [asyncio.ensure_future(checker.knows("ann", b"%d" % n, "203.0.113.9")) for n in range(MAX_OF_CLIENT + 10)]
    await asyncio.sleep(0)
    assert await checker.knows("ann", b"correct horse", "203.0.113.10")
    # One that is remembered waits for nothing, wherever it comes from.
    assert await checker.knows("ann", b"correct horse", "203.0.113.9")
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, TooManyError) and answer.mine for answer in answers) == 10
    assert not checker._waiting


@pytest.mark.parametrize(("limit", "expected"), [("MAX_OF_CLIENT", 429), ("MAX_WAITING", 503)])
async def test_whoever_is_sent_away_is_told_until_when(
    world: World, routes: list[Any], monkeypatch: pytest.MonkeyPatch, limit: str, expected: int
) -> None:
    monkeypatch.setattr(f"vidops_plugins.middleware.basic.{limit}", 0)
    await world.start(routes)
    answer = await get(world.port, "/", headers=basic("ann", "correct horse"))
    assert (answer.status, answer.headers["retry-after"]) == (expected, "1")
    assert answer.json()["reason"] == "TooManyRequests"


async def test_the_event_loop_goes_on_while_hashes_are_computed() -> None:
    checker = Checker({"ann": PasswordHash.parse(QUICK)}, 0.0)
    asked = [asyncio.ensure_future(checker.knows("ann", b"%d" % n)) for n in range(10)]
    turns = 0
    while not all(one.done() for one in asked):
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100


def test_the_command_makes_a_hash() -> None:
    command = [sys.executable, "-m", "vidops_plugins.middleware.passwords"]
    made = subprocess.run(command, input="a good password\n", capture_output=True, text=True, check=True)
    assert PasswordHash.parse(made.stdout.strip()).fits(b"a good password")
    short = subprocess.run(command, input="short\n", capture_output=True, text=True, check=False)
    assert (short.returncode, short.stdout) == (1, "")
