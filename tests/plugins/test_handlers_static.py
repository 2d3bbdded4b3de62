"""Files of a directory: found, not found, and never from outside it."""

from __future__ import annotations

import gzip
import os
import re
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.client import Client, get
from tests.gateway.world import World, route
from vidops.errors import PermanentError
from vidops_plugins.handlers.static import Static, find


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with a bit of everything, and a secret beside it."""
    root = tmp_path / "site"
    (root / "app").mkdir(parents=True)
    (root / "index.html").write_text("<p>home")
    (root / "app" / "index.html").write_text("<p>app")
    (root / "app" / "main-4f2a9c1b.js").write_text("let a = 1;" * 100)
    (root / "app" / "main-4f2a9c1b.js.gz").write_bytes(gzip.compress(b"let a = 1;" * 100))
    (root / "a b.txt").write_text("0123456789")
    (root / ".env").write_text("SECRET=1")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "out").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    return root


async def serve(world: World, site: Path, handler: str = "static", **options: object) -> None:
    await world.start([route("/**", handler, root=str(site), **options)])


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/", b"<p>home", "text/html; charset=utf-8"),
        ("/index.html", b"<p>home", "text/html; charset=utf-8"),
        ("/app/", b"<p>app", "text/html; charset=utf-8"),
        ("/a%20b.txt", b"0123456789", "text/plain; charset=utf-8"),
        ("/app/main-4f2a9c1b.js", b"let a = 1;" * 100, "text/javascript; charset=utf-8"),
    ],
)
async def test_files(world: World, site: Path, path: str, body: bytes, kind: str) -> None:
    await serve(world, site)
    answer = await get(world.port, path)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, body, kind)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["/missing", "/.env", "/.git/config", "/link.txt", "/out/secret.txt", "/pipe", "/index.html/", "/INDEX.html",
     "/app/missing/", "/index.html/x"],
)  # fmt: skip
async def test_what_is_not_there_for_anybody(world: World, site: Path, path: str) -> None:
    await serve(world, site)
    answer = await get(world.port, path)
    assert answer.status == 404
    assert b"secret" not in answer.body.lower()


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/app/..%5c..%5csecret.txt", "//etc/passwd",
     "/index.html%00.txt", "/%2e%2e%2fsecret.txt", "/app/%252e%252e/x", "/./index.html", "/%c0%ae%c0%ae/secret.txt"],
)  # fmt: skip
async def test_ways_out_are_refused(world: World, site: Path, path: str) -> None:
    await serve(world, site)
    answer = await get(world.port, path)
    assert answer.status in (400, 404)
    assert b"secret" not in answer.body.lower()


@given(
    st.lists(st.sampled_from(["..", ".", "", "out", "site", "secret.txt", "link.txt", "app", "~", "x\0y"]), max_size=6)
)
def test_nothing_outside_is_ever_opened(segments: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as outside:
        root = Path(outside, "site")
        (root / "app").mkdir(parents=True)
        Path(outside, "secret.txt").write_text("secret")
        (root / "link.txt").symlink_to(Path(outside, "secret.txt"))
        (root / "out").symlink_to(outside)
        assert find(str(root), "/".join(segments), index="secret.txt", accepted=("gzip",)) is None


async def test_caching(world: World, site: Path) -> None:
    await serve(world, site)
    async with await Client.connect(world.port) as client:
        page = await client.get("/index.html")
        assert page.headers["cache-control"] == "no-cache"
        hashed = await client.get("/app/main-4f2a9c1b.js")
        assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
        tag = page.headers["etag"]
        for condition in (f"If-None-Match: {tag}", f'If-None-Match: "x", W/{tag}', "If-None-Match: *"):
            answer = await client.get("/index.html", headers=f"{condition}\r\n")
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
        assert (await client.get("/index.html", headers='If-None-Match: "x"\r\n')).status == 200
        since = f"If-Modified-Since: {page.headers['last-modified']}\r\n"
        assert (await client.get("/index.html", headers=since)).status == 304
        assert (await client.get("/index.html", headers=since + 'If-None-Match: "x"\r\n')).status == 200
        assert (await client.get("/index.html", headers="If-Modified-Since: yesterday\r\n")).status == 200
        old = formatdate(0, usegmt=True)
        assert (await client.get("/index.html", headers=f"If-Modified-Since: {old}\r\n")).status == 200


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        *((name, True) for name in ("main.8e3b1fa2.js", "a/logo.6ce24c58023cc2f8fd88.svg", "base.27e20196a850.css")),
        *((name, False) for name in (
            "firebase-messaging-sw.js", "my-service-worker.js", "asset-manifest.json", "site-settings.json",
            "user-documentation.html", "apple-touch-icon.png", "hero-background.jpg", "hero-background2.jpg",
            "banner-1920x1080.png", "report-20251124.pdf", "lib-base64encode.js", "a-deadbeef.js", "index-DkYx3_aB.js",
            "page-4f2a9c1b.html", "data-4f2a9c1b.json", "4f2a9c1b.js", "-4f2a9c1b.js/x.js",
        )),
    ],
)  # fmt: skip
def test_what_is_kept_for_a_year_has_a_hash_in_its_name(path: str, kept: bool) -> None:
    """What is kept without one cannot be called back."""
    assert bool(re.search(Static(root="x").immutable, path)) is kept


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [("bytes=2-4", 206, b"234"), ("bytes=-3", 206, b"789"), ("bytes=5-", 206, b"56789"), ("bytes=20-", 416, b""),
     ("bytes=7-99999999999999999999999", 206, b"789"), ("bytes=-99999999999999999999999", 206, b"0123456789"),
     ("bytes=99999999999999999999999-", 416, b""), (f"bytes=3-{'9' * 5000}", 206, b"3456789"),
     (f"bytes={'0' * 5000}8-", 206, b"89"),
     ("bytes=1-2,4-5", 200, b"0123456789"), ("lines=1-2", 200, b"0123456789"), ("bytes=4-2", 200, b"0123456789")],
)  # fmt: skip
async def test_ranges(world: World, site: Path, asked: str, status: int, body: bytes) -> None:
    await serve(world, site)
    answer = await get(world.port, "/a%20b.txt", headers=f"Range: {asked}\r\n")
    assert (answer.status, answer.body) == (status, body)
    if status == 206:
        stale = await get(world.port, "/a%20b.txt", headers=f'Range: {asked}\r\nIf-Range: "old"\r\n')
        assert (stale.status, stale.body) == (200, b"0123456789")


async def test_what_is_expected_is_there_or_nothing_is_sent(world: World, site: Path) -> None:
    await serve(world, site)
    os.utime(site / "a b.txt", (1000, 1000))
    async with await Client.connect(world.port) as client:
        page = await client.get("/a%20b.txt")
        tag, date = page.headers["etag"], page.headers["last-modified"]
        old, new = formatdate(999, usegmt=True), formatdate(1001, usegmt=True)
        for condition, status in (
            (f"If-Match: {tag}", 200), (f'If-Match: "x", {tag}', 200), ("If-Match: *", 200), ('If-Match: "x"', 412),
            (f"If-Match: W/{tag}", 412), (f"If-Match: {tag}\r\nIf-Unmodified-Since: {old}", 200),
            (f"If-Unmodified-Since: {date}", 200), (f"If-Unmodified-Since: {new}", 200),
            (f"If-Unmodified-Since: {old}", 412), ("If-Unmodified-Since: yesterday", 200),
            (f'If-Match: "x"\r\nIf-None-Match: {tag}', 412), (f"If-Match: {tag}\r\nIf-None-Match: {tag}", 304),
            (f"Range: bytes=1-2\r\nIf-Range: {date}", 206), (f"Range: bytes=1-2\r\nIf-Range: {new}", 200),
        ):  # fmt: skip
            assert (await client.get("/a%20b.txt", headers=f"{condition}\r\n")).status == status, condition
        head = await client.get("/a%20b.txt", method="HEAD", headers="Range: bytes=1-2\r\n")
        assert (head.status, head.headers["content-length"]) == (200, "10")
        (site / "new.txt").write_text("0123456789")
        os.utime(site / "new.txt", (time.time() + 2, time.time() + 2))
        date = (await client.get("/new.txt")).headers["last-modified"]
        fresh = await client.get("/new.txt", headers=f"Range: bytes=1-2\r\nIf-Range: {date}\r\n")
        assert fresh.status == 200, "it may be changed within the second that its date names"


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [("gzip", "gzip"), ("br, gzip;q=0.5", "gzip"), ("gzip;q=0", None), ("*", "gzip"), ("identity", None), ("", None),
     ("*;q=0", None), ("gzip;q=nonsense", None)],
)  # fmt: skip
async def test_compressed_beforehand(world: World, site: Path, accept: str, encoding: str | None) -> None:
    await serve(world, site)
    answer = await get(world.port, "/app/main-4f2a9c1b.js", headers=f"Accept-Encoding: {accept}\r\n")
    assert answer.headers.get("content-encoding") == encoding
    body = gzip.decompress(answer.body) if encoding else answer.body
    assert body == b"let a = 1;" * 100


@pytest.mark.parametrize(
    ("name", "kind", "coding"),
    [("data.json.gz", "application/gzip", None), ("site.tgz", "application/gzip", None),
     ("x.tar.xz", "application/x-xz", None), ("page.html.br", "application/octet-stream", None),
     ("pic.svgz", "image/svg+xml; charset=utf-8", "gzip")],
)  # fmt: skip
async def test_what_is_compressed_by_itself(world: World, site: Path, name: str, kind: str, coding: str | None) -> None:
    (site / name).write_bytes(b"12345")
    await serve(world, site)
    answer = await get(world.port, f"/{name}")
    assert (answer.headers["content-type"], answer.headers.get("content-encoding")) == (kind, coding)
    assert answer.body == b"12345"


async def test_an_older_compressed_sibling_is_of_another_file(world: World, site: Path) -> None:
    os.utime(site / "app" / "main-4f2a9c1b.js.gz", (1, 1))
    await serve(world, site)
    answer = await get(world.port, "/app/main-4f2a9c1b.js", headers="Accept-Encoding: gzip\r\n")
    assert "content-encoding" not in answer.headers


async def test_a_directory_is_behind_its_slash(world: World, site: Path) -> None:
    await serve(world, site)
    answer = await get(world.port, "/app?x=1")
    assert (answer.status, answer.headers["location"]) == (308, "./app/?x=1")


async def test_methods_and_head(world: World, site: Path) -> None:
    await serve(world, site)
    async with await Client.connect(world.port) as client:
        answer = await client.get("/index.html", method="HEAD")
        assert (answer.status, answer.headers["content-length"]) == (200, "7")
        answer = await client.get("/index.html", method="POST", body=b"x")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_root_that_is_missing_is_said_at_once(world: World, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="is not a directory"):
        await serve(world, tmp_path / "nowhere")


async def test_a_relative_root_starts_from_the_stack_file(world: World, site: Path) -> None:
    await world.start([{**route("/**", "static", root="site"), "base_dir": str(site.parent)}])
    assert (await get(world.port, "/")).body == b"<p>home"


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/devices/door", "text/html", 200),
        ("/devices/door", "*/*", 200),
        ("/missing.js", "*/*", 404),
        ("/api/data", "application/json", 404),
    ],
)
async def test_an_application_finds_out_by_itself(
    world: World, site: Path, path: str, accept: str, status: int
) -> None:
    await serve(world, site, "spa")
    answer = await get(world.port, path, headers=f"Accept: {accept}\r\n")
    assert answer.status == status
    if status == 200:
        assert answer.body == b"<p>home"
        assert answer.headers["cache-control"] == "no-cache"


async def test_a_directory_without_a_page_is_an_applications_to_name(world: World, site: Path) -> None:
    (site / "recordings").mkdir()
    await serve(world, site, "spa")
    for path in ("/recordings", "/recordings/", "/recordings/today"):
        answer = await get(world.port, path, headers="Accept: text/html\r\n")
        assert (answer.status, answer.body) == (200, b"<p>home"), path
    assert (await get(world.port, "/app")).status == 308, "that one has a page"
    assert (await get(world.port, "/app/")).body == b"<p>app"
    assert (await get(world.port, "/recordings/x.js")).status == 404


async def test_media_is_all_that_media_shows(world: World, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"film")
    (tmp_path / "notes.txt").write_text("private")
    (tmp_path / "page.html").write_text("<script>")
    await serve(world, tmp_path, "media")
    answer = await get(world.port, "/clip.mp4", headers="Range: bytes=1-2\r\n")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (206, b"il", "video/mp4")
    for path in ("/notes.txt", "/page.html", "/"):
        assert (await get(world.port, path)).status == 404


async def test_each_tenant_has_media_of_its_own(world: World, tmp_path: Path) -> None:
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").write_text(name)
    await serve(world, tmp_path, "media", by_tenant=True)
    assert (await get(world.port, "/clip.mp4")).status == 404, "without a tenant there is nothing"
    assert (await get(world.port, "/north/clip.mp4")).status == 404
