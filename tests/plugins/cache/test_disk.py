"""`cache` with a file: what is there after a restart, what is not, and what a disk that fails costs."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway import world as gateway
from tests.gateway.client import get
from tests.plugins.cache.origin import FRESH, Make, World
from vidops_plugins.middleware.cache import disk as disk_module
from vidops_plugins.middleware.cache.disk import MOST_WAITING, Disk
from vidops_plugins.middleware.cache.rules import Stored

LIMIT = 1 << 20
KEY = ("", "x", "/", "")


class Disks:
    """`await open()` gives one more on the same file, as a restart does."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cache" / "route.db"
        self.log: list[Any] = []
        self.opened: list[Disk] = []

    async def open(self, limit: int = LIMIT, *names: str) -> Disk:
        disk = Disk(str(self.path), limit, self.log.append, lambda: names)
        await disk.open()
        self.opened.append(disk)
        return disk


@pytest.fixture
async def disks(tmp_path: Path) -> AsyncIterator[Disks]:
    it = Disks(tmp_path)
    yield it
    for disk in it.opened:
        await disk.close()


def answer(body: bytes, **fields: str) -> Stored:
    pairs = [(name.encode(), value.encode()) for name, value in fields.items()]
    return Stored(200, pairs, body, {}, 1_800_000_000.0, 0.0, 60.0)


async def again(world: World, disks: Disks) -> World:
    """The same after a restart: nothing is in memory."""
    if world.store.disk is not None:
        await world.store.disk.close()
    world.__post_init__()
    world.store.disk = await disks.open()
    return world


async def test_it_is_there_after_a_restart_and_as_old_as_it_is(make: Make, disks: Disks) -> None:
    world = await again(make({**FRESH, "vary": "accept-language", "x-name": "caf\xe9"}), disks)
    await world.get("/a", accept_language="de")
    await world.get("/a", accept_language="fr")
    world.now += 30
    await again(world, disks)
    for language, body in (("de", b"answer 1"), ("fr", b"answer 2")):
        found = await world.get("/a", accept_language=language)
        assert (found.body, found.hit, found.headers["age"]) == (body, True, "30")
    assert not (await world.get("/a", accept_language="it")).hit
    world.now += 31
    await again(world, disks)
    assert not (await world.get("/a", accept_language="de")).hit
    assert disks.log == []


async def test_what_was_changed_is_not_there_after_a_restart(make: Make, disks: Disks) -> None:
    world = await again(make(FRESH), disks)
    await world.get("/a")
    await again(world, disks)
    # It is not in memory when it is changed.
    await world.get("/a", method="POST")
    assert not (await world.get("/a")).hit
    await again(world, disks)
    assert (await world.get("/a")).body == b"answer 3"


async def test_a_change_while_the_disk_is_asked_counts(make: Make, disks: Disks) -> None:
    world = await again(make(FRESH), disks)
    await world.get("/a")
    await again(world, disks)
    asking = asyncio.ensure_future(world.get("/a"))
    await asyncio.sleep(0)
    await world.get("/a", method="POST")
    assert not (await asking).hit


async def test_tenants_have_their_own_there_too(make: Make, disks: Disks) -> None:
    world = await again(make(FRESH), disks)
    await world.get("/a", tenant="one")
    await again(world, disks)
    assert not (await world.get("/a", tenant="two")).hit
    assert (await world.get("/a", tenant="one")).hit


async def test_it_is_bounded_and_the_oldest_goes_first(disks: Disks) -> None:
    size = answer(bytes(10_000)).size + 50
    disk = await disks.open(limit=8 * size + 1)
    for n in range(50):
        disk.put(("", "x", f"/{n}", ""), [answer(bytes(10_000))])
        await disk.of(("", "x", "/0", ""))
    assert [n for n in range(50) if await disk.of(("", "x", f"/{n}", ""))] == [0, *range(43, 50)]
    await disk.close()
    smaller = await disks.open(limit=2 * size)
    assert len([n for n in range(50) if await smaller.of(("", "x", f"/{n}", ""))]) == 2


async def test_what_clients_write_counts_there_too(disks: Disks) -> None:
    disk = await disks.open(limit=100_000)
    for n in range(100):
        long = Stored(200, [], b"", {"x-lang": "a" * 5000}, 1_800_000_000.0, 0.0, 60.0)
        disk.put(("", "http", "x", f"/{n}", "q" * 2000), [long])
    await disk.of(KEY)
    with sqlite3.connect(disks.path) as database:
        (written,) = database.execute("SELECT SUM(2 * LENGTH(key) + LENGTH(about)) FROM answers").fetchone()
    database.close()
    assert 50_000 < written < 100_000


async def test_a_disk_that_is_behind_is_not_waited_for(disks: Disks) -> None:
    disk = await disks.open()
    hold = asyncio.get_running_loop().run_in_executor(disk._pool, os.read, (pipe := os.pipe())[0], 1)
    for n in range(MOST_WAITING + 10):
        disk.put(("", "x", f"/{n}", ""), [answer(b"new")])
    os.write(pipe[1], b"x")
    await hold
    kept = [n for n in range(MOST_WAITING + 10) if await disk.of(("", "x", f"/{n}", ""))]
    assert kept == list(range(MOST_WAITING))
    for end in pipe:
        os.close(end)


async def test_a_disk_that_hangs_holds_up_no_request(make: Make, disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "PATIENCE", 0.05)
    world = await again(make(FRESH), disks)
    read, write = os.pipe()
    hold = asyncio.get_running_loop().run_in_executor(disks.opened[-1]._pool, os.read, read, 1)
    async with asyncio.timeout(5):
        assert (await world.get("/a")).body == b"answer 1"
        assert (await world.get("/a")).hit, "memory works"
        assert (await world.get("/b")).body == b"answer 2"
    os.write(write, b"x")
    await hold
    await again(world, disks)
    assert (await world.get("/b")).hit, "what waited is written"
    for end in (read, write):
        os.close(end)


async def test_a_disk_that_hangs_is_asked_no_more_until_it_answers(
    disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look-up would wait in vain, and in a queue."""
    monkeypatch.setattr(disk_module, "PATIENCE", 0.05)
    disk = await disks.open()
    disk.put(KEY, [answer(b"kept")])
    read, write = os.pipe()
    hold = asyncio.get_running_loop().run_in_executor(disk._pool, os.read, read, 1)
    try:
        assert await disk.of(KEY) == ()
        queued = disk._pool._work_queue.qsize()
        for n in range(20):
            assert await disk.of(("", "x", f"/{n}", "")) == ()
        disk.drop(("", "x", "/0", ""))
        assert disk._pool._work_queue.qsize() == queued + 1, "changes wait all the same, and they alone"
    finally:
        os.close(write)
        await hold
        os.close(read)
    monkeypatch.setattr(disk_module, "PATIENCE", 60.0)
    await asyncio.get_running_loop().run_in_executor(disk._pool, int)  # behind all that waited
    assert [stored.body for stored in await disk.of(KEY)] == [b"kept"]


async def test_a_disk_that_hangs_holds_up_no_start_and_no_end(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "PATIENCE", 0.05)
    read, write = os.pipe()
    opening = Disk._open

    def hanging(self: Disk) -> None:
        os.read(read, 1)
        opening(self)

    monkeypatch.setattr(Disk, "_open", hanging)
    async with asyncio.timeout(5):
        disk = await disks.open()
        disk.put(KEY, [answer(b"late")])
        assert await disk.of(KEY) == ()
        await disk.close()
    os.write(write, b"x")
    monkeypatch.undo()
    found = await (await disks.open()).of(KEY)
    assert [stored.body for stored in found] == [b"late"], "what waited is written once the disk answers"
    for end in (read, write):
        os.close(end)


async def test_a_disk_that_hangs_for_too_many_changes_is_given_up(
    disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "MOST_DROPS", 100)
    disk = await disks.open()
    disk.put(KEY, [answer(b"old")])
    read, write = os.pipe()
    hold = asyncio.get_running_loop().run_in_executor(disk._pool, os.read, read, 1)
    for n in range(200):
        disk.drop(("", "x", f"/{n}", ""))
    assert disk._waiting < 110
    os.write(write, b"x")
    await hold
    await disk.close()
    # Something may have been dropped that is still in the file: it is not read again, and said.
    disks.opened.remove(disk)
    anew = await disks.open()
    assert list(await anew.of(KEY)) == []
    assert [(record["event"], "changes wait" in record["error"]) for record in disks.log] == [
        ("cache_disk_failed", True)
    ]
    for end in (read, write):
        os.close(end)


async def test_clients_that_leave_while_the_disk_is_asked_leave_nothing(make: Make, disks: Disks) -> None:
    world = await again(make(FRESH), disks)
    disk, (read, write) = disks.opened[-1], os.pipe()
    hold = asyncio.get_running_loop().run_in_executor(disk._pool, os.read, read, 1)
    leaving = [asyncio.ensure_future(world.get(f"/{n}")) for n in range(2 * MOST_WAITING)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    os.write(write, b"x")
    await hold
    await world.get("/a")
    await again(world, disks)
    assert (await world.get("/a")).hit
    assert (disk._waiting, world.store._recalled) == (0, set())
    for end in (read, write):
        os.close(end)


@pytest.mark.parametrize("damage", ["garbage", "another version", "a strange row"])
async def test_a_file_that_is_no_use_begins_anew(make: Make, disks: Disks, damage: str) -> None:
    world = await again(make(FRESH), disks)
    await world.get("/a")
    await disks.opened[-1].close()
    if damage == "garbage":
        disks.path.write_bytes(b"not a database" * 1000)
    else:
        with sqlite3.connect(disks.path) as database:
            database.execute(
                "PRAGMA user_version = 99" if damage == "another version" else "UPDATE answers SET about = 3"
            )
        database.close()
    await again(world, disks)
    assert not (await world.get("/a")).hit
    assert (await world.get("/a")).hit
    assert [record["event"] for record in disks.log] == (["cache_disk_failed"] if damage == "a strange row" else [])


async def test_a_disk_that_fails_costs_nothing_else(make: Make, disks: Disks, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where a directory should be")
    world = await again(make(FRESH), disks)
    await world.get("/a")
    assert (await world.get("/a")).hit
    assert [record["event"] for record in disks.log] == ["cache_disk_failed"]


async def test_files_are_its_users_alone_and_go_with_their_routes(disks: Disks) -> None:
    disk = await disks.open(LIMIT, "other")
    folder = disks.path.parent
    for name in ("other.db", "gone.db", "gone.db-wal"):
        (folder / name).touch()
    await disk.of(("",))
    assert {p.name.partition("-")[0] for p in folder.iterdir()} == {"other.db", "route.db"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.glob("route.db*")} == {0o600}


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=5))
def test_what_is_written_is_what_is_read(body: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    async def there_and_back(folder: str) -> None:
        disks = Disks(Path(folder))
        disk = await disks.open()
        stored = Stored(404, fields, body, {"accept": "a, b"}, 1.5, 2.25, 3.125)
        disk.put(("t", "h", "/p\xff", "q"), [stored])
        (found,) = await disk.of(("t", "h", "/p\xff", "q"))
        await disk.close()
        found.id = stored.id
        assert found == stored

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(there_and_back(folder))


async def test_it_goes_with_its_route(world: gateway.World) -> None:
    chain = [{"type": "cache", "options": {"ttl": "1h", "disk": "10MiB"}}]
    routes = [gateway.route("/a", "respond", chain=chain, body="hello")]
    await world.start(routes)
    await get(world.port, "/a")
    folder = Path(world.layout.cache_folder("public"))
    (file,) = folder.glob("*.db")
    # What is kept goes with the route as it was written: another one may not give it out.
    await world.edit([gateway.route("/a", "respond", chain=chain, body="changed")])
    assert (await get(world.port, "/a")).body == b"changed"
    assert file not in list(folder.glob("*.db"))
