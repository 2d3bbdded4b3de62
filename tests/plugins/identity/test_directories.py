"""Directories of tenants: SQLite and a web service, their bounds, and what is when they are away."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidops.api import Tenant, User
from vidops.errors import TemporaryError
from vidops.gateway.directories import Directories
from vidops.resources.catalogue import Catalogue, TenantDirectoryType
from vidops.resources.identity import TenantDirectory
from vidops.resources.specs import TenantsSpec
from vidops.stack.model import TenantDirectoryOptions
from vidops_plugins.tenants.http import HttpDirectory, HttpTenants
from vidops_plugins.tenants.sql import SqliteDirectory, SqliteTenants

ANN, BOB = User("ann"), User("bob")


def database(path: Path) -> str:
    with sqlite3.connect(path) as it:
        it.executescript(
            "CREATE TABLE tenant_devices (tenant, device); CREATE TABLE tenant_members (tenant, member);"
            "INSERT INTO tenant_devices VALUES ('acme', 'door*'), ('acme', 'gate'),"
            "('globex', 'yard'), ('empty', NULL);"
            "INSERT INTO tenant_members VALUES ('acme', 'ann'), ('globex', 'bob'), ('empty', 'bob');"
        )
    it.close()
    return str(path)


def sqlite(path: str, **more: Any) -> SqliteDirectory:
    return SqliteDirectory(SqliteTenants.model_validate({"type": "sqlite", "path": path, **more}), path, lambda _: None)


async def test_sqlite_finds_tenants_and_members(tmp_path: Path) -> None:
    it = sqlite(database(tmp_path / "t ?#.db"))
    assert await it.lookup("acme") == Tenant("acme", ("door*", "gate"))
    assert await it.lookup("empty") == Tenant("empty", ())
    assert await it.lookup("nobody") is None
    assert await it.is_member(Tenant("acme"), ANN)
    assert not await it.is_member(Tenant("acme"), BOB)


async def test_sqlite_tells_whose_the_user_is_where_that_is_one(tmp_path: Path) -> None:
    query = "SELECT tenant FROM tenant_members WHERE member = :user"
    it = sqlite(database(tmp_path / "db"), tenant_of_user=query)
    assert await it.resolve(ANN, {}) == "acme"
    assert await it.resolve(BOB, {}) is None
    assert await sqlite(database(tmp_path / "db2")).resolve(ANN, {}) is None


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(["' OR 1=1 --", "acme'; DROP TABLE tenant_devices; --", "%", "*", "\0", ""])
    | st.text(max_size=50)
)
def test_a_name_is_never_sql(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / "injected.db"
    if not path.exists():
        database(path)
    it = sqlite(str(path))
    if name not in ("acme", "globex", "empty"):
        try:
            assert asyncio.run(it.lookup(name)) is None
        except TemporaryError:
            assert not name.isprintable()
    assert asyncio.run(it.lookup("acme")) is not None


@pytest.mark.parametrize("query", ["DELETE FROM tenant_members", "", "DROP TABLE x", "ATTACH '/x' AS y"])
def test_queries_that_do_not_read(query: str) -> None:
    with pytest.raises(ValueError, match="tenant"):
        sqlite("/x", tenant=query)


async def test_a_query_cannot_write(tmp_path: Path) -> None:
    it = sqlite(database(tmp_path / "db"), tenant="WITH x AS (SELECT 1) DELETE FROM tenant_members")
    with pytest.raises(TemporaryError):
        await it.lookup("acme")
    assert await it.is_member(Tenant("acme"), ANN)


async def test_a_query_without_end_is_ended(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    it = sqlite(database(tmp_path / "db"), tenant=endless, timeout="200ms")
    with pytest.raises(TemporaryError) as caught:
        await it.lookup("acme")
    assert caught.value.reason == "DirectoryUnavailable"


async def test_no_database_and_no_database_at_all(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError):
        await sqlite(str(tmp_path / "none")).lookup("acme")
    assert not (tmp_path / "none").exists()
    (tmp_path / "text").write_text("not a database, whatever its name says" * 100)
    with pytest.raises(TemporaryError):
        await sqlite(str(tmp_path / "text")).lookup("acme")


class Service:
    """A web service that knows tenants."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {"/t/acme": {"devices": ["door*"], "members": ["ann"]}}
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.status = 200
        self.hold: asyncio.Event | None = None
        self.port = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        self.asked.append(path)
        self.heads.append(head)
        if self.hold is not None:
            await self.hold.wait()
        found = self.known.get(path)
        status = self.status if self.status != 200 else 200 if found is not None else 404
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)) + body)
        writer.close()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    it = Service()
    await it.open()
    yield it
    if it.hold is not None:
        it.hold.set()
    await it.close()


class Asked:
    def __init__(self, service: Service, authorization: str = "", **more: Any) -> None:
        self.now = 1000.0
        self.log: list[Any] = []
        options = {"type": "http", "url": f"http://127.0.0.1:{service.port}/t", "timeout": "1s", **more}
        self.directory = HttpDirectory(
            HttpTenants.model_validate(options), authorization, self.log.append, lambda: self.now
        )
        self.lookup, self.is_member = self.directory.lookup, self.directory.is_member


async def test_http_finds_tenants_and_members_and_asks_once(service: Service) -> None:
    it = Asked(service, "Bearer s3cret")
    found = await asyncio.gather(*(it.lookup("acme") for _ in range(50)))
    assert set(found) == {Tenant("acme", ("door*",))}
    assert await it.is_member(Tenant("acme"), ANN)
    assert not await it.is_member(Tenant("acme"), BOB)
    assert service.asked == ["/t/acme"]
    assert "Authorization: Bearer s3cret" in service.heads[0]
    it.now += 60
    assert await it.lookup("acme") is not None
    assert len(service.asked) == 2


async def test_members_may_be_asked_for_one_by_one(service: Service) -> None:
    service.known = {"/t/acme": {"devices": []}, "/t/acme/members/ann": {}}
    it = Asked(service)
    assert await it.is_member(Tenant("acme"), ANN)
    assert not await it.is_member(Tenant("acme"), BOB)


@pytest.mark.parametrize("document", [{"devices": []}, {"devices": [], "members": []}])
async def test_a_tenant_that_is_not_there_costs_as_many_questions(service: Service, document: Any) -> None:
    service.known = {"/t/acme": document}
    it = Asked(service)
    assert not await it.is_member(Tenant("acme"), BOB)
    questions = len(service.asked)
    assert not await it.is_member(Tenant("globex"), BOB)
    assert len(service.asked) == 2 * questions


async def test_a_member_of_what_is_not_there_is_none(service: Service) -> None:
    service.known = {"/t/acme": {}, "/t/globex/members/bob": {}}
    it = Asked(service)
    assert not await it.is_member(Tenant("acme"), BOB)
    assert not await it.is_member(Tenant("globex"), BOB)


async def test_what_is_not_there_is_remembered_for_less_long(service: Service) -> None:
    it = Asked(service)
    for _ in range(5):
        assert await it.lookup("globex") is None
    assert len(service.asked) == 1
    service.known["/t/globex"] = {"devices": ["yard"]}
    it.now += 10
    assert await it.lookup("globex") == Tenant("globex", ("yard",))


async def test_a_service_that_is_away(service: Service) -> None:
    it = Asked(service)
    assert await it.lookup("acme")
    await service.close()
    it.now += 60 + 599
    assert await it.lookup("acme")
    with pytest.raises(TemporaryError):
        await it.lookup("globex")
    it.now += 2
    with pytest.raises(TemporaryError) as caught:
        await it.lookup("acme")
    assert caught.value.reason == "DirectoryUnavailable"
    await service.open()
    it.now += 2
    assert await it.lookup("acme")


async def test_a_service_that_fails_is_not_asked_for_each_request(service: Service) -> None:
    it = Asked(service)
    service.status = 500
    for _ in range(20):
        with pytest.raises(TemporaryError) as caught:
            await it.lookup("acme")
        assert str(service.port) not in str(caught.value)
    assert len(service.asked) == 1
    assert "500" in str(it.log)


async def test_what_is_remembered_is_bounded(service: Service) -> None:
    it = Asked(service, max_entries=10)
    for n in range(50):
        assert await it.lookup(f"made-up-{n}") is None
    assert len(it.directory._known) == 10


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"<html>", b'{"devices": "door"}', b'{"devices": [1]}', b"[" * 5000, b" " * 300_000]
)
async def test_answers_that_are_none(service: Service, answer: bytes) -> None:
    service.known["/t/acme"] = answer
    with pytest.raises(TemporaryError):
        await Asked(service).lookup("acme")


@pytest.mark.parametrize("name", ["../admin", "a/b", "a?b=c", "a#b", "..", "a b", "a%2fb", "ü", "a\r\nX: y"])
async def test_a_name_is_one_segment(service: Service, name: str) -> None:
    assert await Asked(service).lookup(name) is None
    assert len(service.asked) == 1
    rest = service.asked[0].removeprefix("/t/")
    assert rest
    assert not set(rest) & set("/?# \r\n")
    assert rest.strip(".")


# -- shared by routes --------------------------------------------------------------------------------------------------


class Closing(TenantDirectory):
    closed = 0

    async def close(self) -> None:
        self.closed += 1


async def test_routes_share_a_directory_and_the_last_closes_it() -> None:
    built: list[Closing] = []

    def build(options: Any, context: Any) -> Closing:
        built.append(Closing())
        return built[-1]

    catalogue = Catalogue.of([TenantDirectoryType("own", TenantDirectoryOptions, build)])
    pool = Directories(catalogue, lambda _: "", lambda _: None)
    specs = {"directory": TenantsSpec(type="own")}
    routes: list[tuple[list[Any], list[Any]]] = [([], []) for _ in range(3)]
    found = [pool.of_route(specs, *callbacks)("directory") for callbacks in routes[:1]]
    for start in routes[0][0]:
        await start()
    found += [pool.of_route(specs, *callbacks)("directory") for callbacks in routes[1:2]]
    for start in routes[1][0]:
        await start()
    # The third is built and never comes to start.
    found += [pool.of_route(specs, *callbacks)("directory") for callbacks in routes[2:]]
    assert len(built) == 1
    assert all(one is built[0] for one in found)
    for number, (_, stopped) in enumerate((routes[2], routes[0], routes[1])):
        for stop in stopped:
            await stop()
        assert built[0].closed == (1 if number == 2 else 0)
    started: list[Any] = []
    pool.of_route(specs, started, [])("directory")
    assert len(built) == 2
