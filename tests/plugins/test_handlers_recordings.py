"""`recordings`: the list, and files by whole or by range, from nowhere but below the data directory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.client import Client, get
from tests.gateway.world import World, route
from vidops.api import GRANTS, TENANT, GatewayContext, Grant, Tenant
from vidops.ranges import parse_range
from vidops.runtime.index import Recording, RecordingsIndex
from vidops.runtime.recordings import RecordingsReader
from vidops_plugins.handlers import footage, recordings

ROUTES = [route("/v1/recordings/**", "recordings")]
BASE = "/v1/recordings"
DATA = bytes(range(256)) * 40


@pytest.fixture
async def kept(world: World) -> World:
    """A finished segment and one that grows."""
    root = Path(world.layout.data_dir)
    for path in ("door/10-00-00.mkv", ".spool/archive/1700000000-7-1.mkv"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(DATA)
    await world.start(ROUTES)
    return world


async def test_the_list_can_be_narrowed_and_limited(world: World) -> None:
    rows = [{"camera": c, "path": f"{c}/{n}.mkv", "finished": True} for n in range(3) for c in ("door", "yard")]
    world.recordings.rows = list(rows)
    await world.start(ROUTES)
    answer = await get(world.port, BASE)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json() == {"recordings": rows}
    narrowed = (await get(world.port, f"{BASE}?camera=door&limit=2")).json()["recordings"]
    assert narrowed == [row for row in rows if row["camera"] == "door"][:2]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1001", "1e3", "", "9" * 400, "%D9%A1"])
async def test_a_limit_that_is_none_is_said_to_be(kept: World, limit: str) -> None:
    answer = await get(kept.port, f"{BASE}?limit={limit}")
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_a_file_comes_whole_with_its_type(kept: World) -> None:
    answer = await get(kept.port, f"{BASE}/door/10-00-00.mkv")
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["content-type"] == "video/x-matroska"
    assert answer.headers["accept-ranges"] == "bytes"
    head = await get(kept.port, f"{BASE}/door/10-00-00.mkv", method="HEAD")
    assert (head.status, head.headers["content-length"]) == (200, str(len(DATA)))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=10000-", 10000, len(DATA) - 1),
        ("bytes=-5", len(DATA) - 5, len(DATA) - 1),
        ("bytes=-99999", 0, len(DATA) - 1),
        ("bytes=5-99999", 5, len(DATA) - 1),
    ],
)
async def test_a_range_comes_alone(kept: World, asked: str, first: int, last: int) -> None:
    answer = await get(kept.port, f"{BASE}/door/10-00-00.mkv", headers=f"Range: {asked}\r\n")
    assert (answer.status, answer.body) == (206, DATA[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(DATA)}"


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=99999-100000", "bytes=-0"])
async def test_a_range_beyond_the_end_is_416(kept: World, asked: str) -> None:
    answer = await get(kept.port, f"{BASE}/door/10-00-00.mkv", headers=f"Range: {asked}\r\n")
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{len(DATA)}")


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,5-9", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b", "x"])
async def test_what_is_no_single_range_is_not_looked_at(kept: World, asked: str) -> None:
    answer = await get(kept.port, f"{BASE}/door/10-00-00.mkv", headers=f"Range: {asked}\r\n")
    assert (answer.status, answer.body) == (200, DATA)


@settings(deadline=None)
@given(st.text(alphabet="bytes=0123456789-, ", max_size=40), st.integers(0, 10**6))
def test_any_range_at_all_lies_within_the_file(asked: str, size: int) -> None:
    found = parse_range(asked, size)
    if found is not None and found.satisfiable:
        assert 0 <= found.start <= found.end < size


async def test_what_a_client_has_already_is_not_sent_again(kept: World) -> None:
    path = f"{BASE}/door/10-00-00.mkv"
    tag = (await get(kept.port, path)).headers["etag"]
    assert (await get(kept.port, path, headers=f"If-None-Match: {tag}\r\n")).status == 304
    ranged = f"Range: bytes=1-2\r\nIf-Range: {tag}\r\n"
    assert (await get(kept.port, path, headers=ranged)).status == 206
    (Path(kept.layout.data_dir) / "door/10-00-00.mkv").write_bytes(b"other")
    assert (await get(kept.port, path, headers=f"If-None-Match: {tag}\r\n")).status == 200
    changed = await get(kept.port, path, headers=ranged)
    assert (changed.status, changed.body) == (200, b"other")


async def test_a_growing_file_can_be_followed_by_range(kept: World) -> None:
    path = f"{BASE}/.spool/archive/1700000000-7-1.mkv"
    answer = await get(kept.port, path)
    assert (answer.body, answer.headers["cache-control"]) == (DATA, "no-store")
    assert "etag" not in answer.headers
    with open(f"{kept.layout.data_dir}/.spool/archive/1700000000-7-1.mkv", "ab") as file:
        file.write(b"more")
    answer = await get(kept.port, path, headers=f"Range: bytes={len(DATA)}-\r\n")
    assert (answer.status, answer.body) == (206, b"more")


async def test_a_large_file_arrives_whole_beside_other_requests(kept: World) -> None:
    large = os.urandom(8 * 1024 * 1024)
    (Path(kept.layout.data_dir) / "door/large.mp4").write_bytes(large)
    answers = await asyncio.gather(*(get(kept.port, f"{BASE}/door/large.mp4") for _ in range(3)), get(kept.port, BASE))
    assert [answer.body == large for answer in answers[:3]] == [True] * 3
    assert answers[3].status == 200


@pytest.mark.parametrize(
    "path",
    [
        "door",
        "door/",
        "door/none.mkv",
        "door/10-00-00.mkv/",
        "door/10-00-00.mkv/x.mkv",
        "secret.txt",
        ".index/recordings.mkv",
        ".hidden.mkv",
        "door/.hidden.mkv",
        ".spool/.hidden/x.mkv",
        ".spool/archive/.x.mkv",
        ".spool/archive/about.json",
        "link.mkv",
        "linked/outside.mkv",
        "pipe.mkv",
        "folder.mkv",
        "door\\10-00-00.mkv",
        "door/" + "x" * 5000 + ".mkv",
        "door/" + "y/" * 500 + "x.mkv",
    ],
)
async def test_nothing_else_is_a_recording(kept: World, path: str) -> None:
    root, outside = Path(kept.layout.data_dir), Path(kept.root) / "outside"
    outside.mkdir()
    (outside / "outside.mkv").write_bytes(b"secret")
    (root / "link.mkv").symlink_to(outside / "outside.mkv")
    (root / "linked").symlink_to(outside)
    for hidden in ("secret.txt", ".index/recordings.mkv", ".hidden.mkv", "door/.hidden.mkv", ".spool/.hidden/x.mkv"):
        (root / hidden).parent.mkdir(exist_ok=True)
        (root / hidden).write_bytes(b"secret")
    for hidden in (".spool/archive/.x.mkv", ".spool/archive/about.json"):
        (root / hidden).write_bytes(b"secret")
    os.mkfifo(root / "pipe.mkv")
    (root / "folder.mkv").mkdir()
    answer = await get(kept.port, f"{BASE}/{path}".replace("\\", "%5C"))
    assert answer.status in (400, 404)
    assert b"secret" not in answer.body
    assert str(root).encode() not in answer.body


@pytest.mark.parametrize(
    "path",
    ["../state/state.db", "door/../../x.mkv", "%2e%2e/x.mkv", "..%2fx.mkv", "//etc/x.mkv", "x%00.mkv", "%ff.mkv"],
)
async def test_ways_out_are_refused(kept: World, path: str) -> None:
    async with await Client.connect(kept.port) as client:
        client.send(f"GET {BASE}/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await client.answer()).status in (400, 404)


async def test_it_is_for_reading(kept: World) -> None:
    answer = await get(kept.port, f"{BASE}/door/10-00-00.mkv", method="DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (Path(kept.layout.data_dir) / "door/10-00-00.mkv").exists()


async def test_no_descriptor_is_left_open(kept: World) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in ("door/10-00-00.mkv", "door", "link.mkv", "none.mkv", ".spool/archive/1700000000-7-1.mkv"):
        for _ in range(5):
            await get(kept.port, f"{BASE}/{path}")
    async with asyncio.timeout(5):
        while len(os.listdir("/proc/self/fd")) > before:
            await asyncio.sleep(0.01)


WRITABLE = [route("/v1/recordings/**", "recordings", writable=True)]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("view=nothing", "view is list, timeline or hls"),
        ("view=timeline", "say `from`"),
        ("view=timeline&from=yesterday&to=1", "`from` is no time"),
        ("view=hls&from=2&to=1", "`from` must be before `to`"),
        ("from=1e400", "`from` is no time"),
        ("to=99999-01-01T00:00", "`to` is no time"),
    ],
)
async def test_a_search_that_makes_no_sense_is_told(kept: World, asked: str, says: str) -> None:
    answer = await get(kept.port, f"{BASE}?{asked}")
    assert answer.status == 400
    assert says in answer.json()["detail"]


async def test_nothing_recorded_has_no_playlist(kept: World) -> None:
    answer = await get(kept.port, f"{BASE}?view=hls&from=1&to=2026-11-25T10:00:00%2B01:00")
    assert (answer.status, answer.json()["reason"]) == (404, "NothingRecorded")
    assert (await get(kept.port, f"{BASE}?view=timeline&from=1&to=2")).json() == {"timeline": []}


async def test_nobody_writes_where_it_is_not_said(kept: World) -> None:
    for method in ("POST", "DELETE", "PUT"):
        answer = await get(kept.port, f"{BASE}/door/10-00-00.mkv?keep=true", method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert kept.control.posted == []


async def test_keeping_and_deleting_is_the_control_planes(world: World) -> None:
    await world.start(WRITABLE)
    path = f"{BASE}/door/10.mkv"
    assert (await get(world.port, f"{path}?keep=true", method="POST")).status == 204
    assert (await get(world.port, f"{path}?keep=false", method="POST")).status == 204
    assert (await get(world.port, path, method="DELETE")).status == 204
    assert world.control.posted == [
        ("/v1/recordings/keep", {"path": "door/10.mkv", "kept": True}),
        ("/v1/recordings/keep", {"path": "door/10.mkv", "kept": False}),
        ("/v1/recordings/delete", {"path": "door/10.mkv"}),
    ]
    assert (await get(world.port, path, method="POST")).status == 400
    assert (await get(world.port, BASE, method="DELETE")).status == 405
    world.control.refuses = "NoRecording"
    assert (await get(world.port, path, method="DELETE")).status == 404
    world.control.answer = None
    gone = await get(world.port, path, method="DELETE")
    assert (gone.status, gone.json()["reason"]) == (503, "ControlPlaneDown")
    assert gone.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    "header", ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: http://evil.example", "Origin: null"]
)
async def test_another_sites_page_changes_nothing(world: World, header: str) -> None:
    await world.start(WRITABLE)
    answer = await get(world.port, f"{BASE}/door/10.mkv", method="DELETE", headers=f"{header}\r\n")
    assert (answer.status, answer.json()["reason"]) == (403, "CrossSite")
    assert world.control.posted == []


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("door/10-00-00.mkv?thumbnail=0", 400),
        ("door/10-00-00.mkv?thumbnail=99999", 400),
        ("door/10-00-00.mkv?thumbnail=x", 400),
        ("door/nothing.mkv?thumbnail", 404),
        ("door?thumbnail", 404),
        ("door/10-00-00.mkv?thumbnail", 404),  # bytes that are no video
        (".index/recordings.db?thumbnail", 404),
    ],
)
async def test_thumbnails_of_what_is_none(kept: World, asked: str, status: int) -> None:
    answer = await get(kept.port, f"{BASE}/{asked}")
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_time_or_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert math.isfinite(footage._time("from", text))


class Shown:
    """What a handler answers to a request with these tenants and grants, without a gateway around."""

    def __init__(self, world: World, *, tenant: str = "", **grants: str) -> None:
        self.context = GatewayContext(
            gateway="public",
            route=BASE,
            layout=world.layout,
            cameras=world.cameras,
            recordings=RecordingsReader(world.layout),
            control=world.control,
            closing=asyncio.Event(),
            secret=lambda _: "",
            log=lambda _: None,
        )
        self.scope: dict[str, Any] = {"type": "http", "headers": [], "query_string": b"", "path": BASE}
        if tenant:
            self.scope[TENANT] = Tenant(name="acme", devices=(tenant,))
        if grants:
            self.scope[GRANTS] = (tuple(Grant(frozenset({a}), (glob,)) for a, glob in grants.items()),)

    async def ask(self, rest: str = "", asked: str = "", method: str = "GET") -> tuple[int, bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        app = recordings.build(recordings.Recordings(writable=True), self.context)
        scope = {**self.scope, "method": method, "query_string": asked.encode(), "vidops.rest": rest}
        await app(scope, receive, send)
        return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


@pytest.fixture
def of_two(world: World) -> World:
    """Recordings of two cameras, on the disk and in the index, as many of the other's as a list holds."""
    index = RecordingsIndex(world.layout)
    rows = [Recording("door/1.mkv", "door", "a", 1, 2, 3, "complete")]
    rows += [Recording(f"yard/{n}.mkv", "yard", "b", n, n + 1, 3, "complete") for n in range(10, 40)]
    for row in rows:
        path = Path(world.layout.data_dir, row.path)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"abc")
    index.add(rows)
    index.close()
    return world


async def test_a_tenant_sees_its_own_recordings_and_no_others(of_two: World) -> None:
    shown = Shown(of_two, tenant="do*")
    _, body = await shown.ask(asked="limit=5")
    assert [row["path"] for row in json.loads(body)["recordings"]] == ["door/1.mkv"]
    assert b"yard" not in (await shown.ask(asked="view=timeline&from=0&to=99"))[1]
    assert (await shown.ask(asked="view=hls&camera=yard&from=0&to=99"))[0] == 404
    assert (await shown.ask(asked="view=hls&from=0&to=99"))[0] == 400
    assert await shown.ask("door/1.mkv") == (200, b"abc")
    unknown = await shown.ask("yard/99.mkv")
    for rest in ("yard/10.mkv", "yard/11.mkv"):
        # As if there were none such.
        assert await shown.ask(rest) == unknown
        assert (await shown.ask(rest, "thumbnail=64"))[0] == 404
        assert (await shown.ask(rest, method="DELETE"))[0] == 404
    assert of_two.control.posted == []
    assert (await shown.ask("door/1.mkv", method="DELETE"))[0] == 204


async def test_who_may_look_may_not_delete(of_two: World) -> None:
    shown = Shown(of_two, recordings="door")
    assert (await shown.ask("door/1.mkv"))[0] == 200
    assert (await shown.ask("door/1.mkv", method="DELETE"))[0] == 403
    assert (await Shown(of_two, streams="door").ask("door/1.mkv"))[0] == 404
    assert (await Shown(of_two).ask("yard/10.mkv"))[0] == 200
    assert of_two.control.posted == []
