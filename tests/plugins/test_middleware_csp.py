from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.client import Client, get
from tests.gateway.world import World, route
from vidops_plugins.handlers.csp_report import LIMIT, reports
from vidops_plugins.middleware.csp import Csp

PAGE = '<script nonce="CSP_NONCE_HERE">ours()</script><p>CSP_NONCE_HERE'


async def serve(world: World, body: str = PAGE, kind: str = "text/html", **options: object) -> None:
    link = {"type": "csp", "options": options}
    await world.start([route("/", "respond", chain=[link], body=body, content_type=kind, headers={"etag": '"1"'})])


async def test_each_answer_has_a_nonce_of_its_own(world: World) -> None:
    await serve(world, policy={"script-src": "'nonce-{nonce}'"}, placeholder="CSP_NONCE_HERE", report_to="/csp")
    seen = set()
    async with await Client.connect(world.port) as client:
        for _ in range(3):
            answer = await client.get("/")
            found = re.fullmatch(
                r"script-src 'nonce-([A-Za-z0-9_-]{24})'; report-uri /csp", answer.headers["content-security-policy"]
            )
            assert found
            assert answer.body.decode() == PAGE.replace("CSP_NONCE_HERE", found[1])
            assert answer.headers["cache-control"] == "no-store"
            assert "etag" not in answer.headers
            seen.add(found[1])
        head = await client.get("/", method="HEAD")
        assert head.headers["content-length"] == str(len(PAGE))
    assert len(seen) == 3


@pytest.mark.parametrize(("body", "kind"), [(PAGE, "text/plain"), ("x" * 1_100_000 + "CSP_NONCE_HERE", "text/html")])
async def test_what_is_no_page_is_left_as_it_is(world: World, body: str, kind: str) -> None:
    await serve(world, body, kind, placeholder="CSP_NONCE_HERE")
    answer = await get(world.port, "/")
    assert answer.body.decode() == body
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")


PAGES = {"policy": {"script-src": "'nonce-{nonce}'"}, "placeholder": "CSP_NONCE_HERE"}
ASKED = 'Accept-Encoding: gzip\r\nIf-None-Match: "1"\r\nIf-Modified-Since: Fri, 27 Nov 2026 00:00:00 GMT\r\n'


@pytest.mark.parametrize(
    "more", ["", "Range: bytes=0-9\r\n", "Sec-Fetch-Dest: document\r\n", "Sec-Fetch-Dest: iframe\r\n"]
)
async def test_a_page_comes_whole_and_plain(world: World, tmp_path: Path, more: str) -> None:
    """Where it is there in a coded form, too, and where the client has an old one."""
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "index.html.gz").write_bytes(gzip.compress(PAGE.encode()))
    await world.start([route("/**", "spa", chain=[{"type": "csp", "options": PAGES}], root=str(tmp_path))])
    plain = await get(world.port, "/", headers=more)
    answer = await get(world.port, "/", headers=ASKED.replace('"1"', "*") + more)
    for one in (plain, answer):
        nonce = one.headers["content-security-policy"].partition("nonce-")[2].rstrip("'")
        assert (one.status, one.body.decode()) == (200, PAGE.replace("CSP_NONCE_HERE", nonce))
        assert "content-encoding" not in one.headers


async def test_what_a_page_loads_stays_coded_and_kept(world: World, tmp_path: Path) -> None:
    (tmp_path / "app.js").write_text("run()" * 100)
    (tmp_path / "app.js.gz").write_bytes(gzip.compress(b"run()" * 100))
    await world.start([route("/**", "static", chain=[{"type": "csp", "options": PAGES}], root=str(tmp_path))])
    (tmp_path / "app").write_text("run()")
    for path, wanted in (("/app.js", "Accept-Encoding: gzip\r\n"), ("/app", "Sec-Fetch-Dest: script\r\n")):
        answer = await get(world.port, path, headers=wanted)
        assert ("content-encoding" in answer.headers) == (path == "/app.js")
        again = await get(world.port, path, headers=f"{wanted}If-None-Match: {answer.headers['etag']}\r\n")
        assert again.status == 304
        assert "content-security-policy" not in again.headers, "a nonce of another answer"


async def test_what_is_no_question_for_a_page_goes_on_as_it_came(world: World) -> None:
    await world.start([route("/", "echo", chain=[{"type": "csp", "options": PAGES}])])
    seen = (await get(world.port, "/", method="PUT", body=b"x", headers='If-Match: "1"\r\n')).json()["headers"]
    assert dict(seen)["if-match"] == '"1"'


async def test_a_page_is_one_in_any_letters(world: World) -> None:
    await serve(world, kind="Text/HTML; charset=utf-8", **PAGES)
    assert b"CSP_NONCE_HERE" not in (await get(world.port, "/")).body


async def test_a_handlers_own_policy_stays(world: World) -> None:
    chain = [{"type": "csp", "options": PAGES}]
    routes = [route("/docs/**", "docs"), route("/console/**", "console")]
    await world.start([*routes, *({**it, "path": f"/csp{it['path']}", "chain": chain} for it in routes)])
    for path in ("/docs", "/console"):
        own = (await get(world.port, path)).headers["content-security-policy"]
        assert "sha256-" in own
        assert (await get(world.port, f"/csp{path}")).headers["content-security-policy"] == own


async def test_only_reported(world: World) -> None:
    await serve(world, report_only=True)
    answer = await get(world.port, "/")
    assert "content-security-policy" not in answer.headers
    assert "object-src 'none'" in answer.headers["content-security-policy-report-only"]


@pytest.mark.parametrize(
    "policy", [{"script src": "x"}, {"script-src": "a; b"}, {"script-src": "{other}"}, {"img-src": "é"}]
)
def test_what_is_no_policy(policy: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"directive|line|field"):
        Csp(policy=policy)


REPORT = {
    "csp-report": {
        "document-uri": "https://a/",
        "violated-directive": "script-src",
        "blocked-uri": "https://evil/" + "x" * 999,
        "extra": "no",
    }
}


async def test_reports_are_logged_in_known_fields_and_bounded(world: World) -> None:
    await world.start([route("/csp", "csp_report", per_minute=3)])
    async with await Client.connect(world.port) as client:
        for _ in range(5):
            assert (await client.get("/csp", method="POST", body=json.dumps(REPORT).encode())).status == 204
        for body in (b"", b"nonsense", b"[1]", b"[" * 5000, b"1", b"x" * (LIMIT + 5)):
            assert (
                await client.get("/csp", method="POST", body=body, headers="" if body else "Content-Length: 0\r\n")
            ).status == 400
        assert (await client.get("/csp")).status == 405
    logged = [r for r in world.log if r["event"] == "csp_violation"]
    assert len(logged) == 3
    assert logged[0]["violated-directive"] == "script-src"
    assert len(logged[0]["blocked-uri"]) == 300
    assert "extra" not in logged[0]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(st.sampled_from(["csp-report", "body", "document-uri", "a"]), x, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_any_json_is_a_report_or_none(data: object) -> None:
    for report in reports(json.dumps(data).encode()) or []:
        assert all(isinstance(v, str) for v in report.values())
