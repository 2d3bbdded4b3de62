"""Paths and heads that mean one thing only, and those that are refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidops.gateway.guard import Refused, check, decode_path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/a/b/", "/a/b/"),
        (b"/a%20b", "/a b"),
        (b"/%C3%A9t%C3%A9", "/été"),
        (b"/a;b=c", "/a;b=c"),
        (b"/%252f", "/%2f"),
        (b"/a;/b..;c/;d", "/a;/b..;c/;d"),
        (b"/100%25/why%3f%23", "/100%/why?#"),
        (b"/...", "/..."),
    ],
)
def test_a_path_is_decoded_once(raw: bytes, path: str) -> None:
    assert decode_path(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        b"/a%2fb", b"/a%2Fb", b"/a%5cb", b"/a\\b", b"/a%00", b"/a%0a", b"/a%7f", b"/a/../b", b"/..", b"/.", b"/a/.",
        b"/%2e%2e/a", b"/.%2e/a", b"//a", b"/a//b", b"/\xff", b"/%ff", b"/%", b"/%zz", b"/%2", b"/a b", b"/a\x00",
        b"", b"/a?b", b"/a#b", b"/a/..;/b", b"/a/..;x=1/b", b"/..%3b/a", b"/%2e%2E;/a", b"/.;", b"/;/a", b"/a/%3bx/b",
    ],
)  # fmt: skip
def test_a_path_that_could_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        decode_path(raw)
    assert caught.value.status == 400


@given(st.binary(max_size=60).map(lambda tail: b"/" + tail))
@example(b"/%2e%2e%2f")
@example(b"/a/%2e%2e/%2e%2e/b")
def test_whatever_comes_out_has_no_way_up(raw: bytes) -> None:
    try:
        path = decode_path(raw)
    except Refused:
        return
    segments = path.split("/")
    assert segments[0] == ""
    assert not {".", ".."} & set(segments)
    assert "" not in segments[1:-1]
    assert not {".", ".."} & {segment.partition(";")[0] for segment in segments}
    assert not any(c < " " or c in "\\\x7f" for c in path)


@given(st.lists(st.text(st.characters(exclude_characters="/\\", exclude_categories=["C"]), min_size=1), min_size=1))
def test_a_quoted_path_comes_back(segments: list[str]) -> None:
    if {".", "..", ""} & {segment.partition(";")[0] for segment in segments}:
        return
    assert decode_path(("/" + "/".join(quote(s, safe="") for s in segments)).encode()) == "/" + "/".join(segments)


def scope(target: bytes = b"/", headers: list[tuple[bytes, bytes]] | None = None, version: str = "1.1") -> Any:
    fields = [(b"host", b"cam.example:8080")] if headers is None else headers
    return {"type": "http", "raw_path": target, "headers": fields, "http_version": version}


HOST = (b"host", b"cam.example")


@pytest.mark.parametrize(
    "case",
    [
        scope(headers=[]),
        scope(headers=[HOST, HOST]),
        *(
            scope(headers=[(b"host", h)])
            for h in (b"", b"a b", b"a/b", b"a:99999", b"a@b", b"-a", b"a:b", b"[::1", b"\xe9")
        ),
        scope(headers=[HOST, (b"content-length", b"1"), (b"transfer-encoding", b"chunked")]),
        scope(headers=[HOST, (b"content-length", b"1"), (b"content-length", b"1")]),
        scope(headers=[HOST, (b"transfer-encoding", b"chunked")], version="1.0"),
        scope(headers=[HOST, (b"upgrade", b"h2c")]),
        scope(headers=[HOST, (b"upgrade", b"websocket, H2C")]),
        scope(b"http://other.example/"),
        scope(b"http://cam.example/"),
        scope(b"ftp://cam.example:8080/"),
        scope(b"cam.example:8080"),
        scope(b"*"),
        *(
            {**scope(), "method": method}
            for method in ("GET /admin HTTP/1.1", "GET\t/a", "GE\x01T", "", "G" * 33, "GET\n", "\xe9")
        ),
        *({**scope(), "query_string": query} for query in (b"a HTTP/1.1", b"a\r\nb: c", b"\x7f", b"\0")),
    ],
)
def test_an_ambiguous_head_is_refused(case: Any) -> None:
    with pytest.raises(Refused) as caught:
        check(case)
    assert caught.value.status == 400


def test_methods_of_all_kinds_are_taken() -> None:
    for method in ("GET", "VERSION-CONTROL", "M-SEARCH"):
        assert check({**scope(), "method": method, "query_string": b"a=%20b&\xc3\xa9"}).path == "/"


def test_a_fragment_is_nobodys() -> None:
    with pytest.raises(Refused) as caught:
        check({**scope(), "query_string": b"a=1#b"})
    assert caught.value.status == 400


def test_sizes_are_bounded() -> None:
    with pytest.raises(Refused) as caught:
        check(scope(b"/" + b"a" * 9000))
    assert caught.value.status == 414
    with pytest.raises(Refused) as caught:
        check(scope(headers=[HOST, *[(b"x", b"y")] * 100]))
    assert caught.value.status == 431


def test_an_absolute_target_of_the_same_host_is_its_path() -> None:
    assert check(scope(b"http://CAM.example:8080/a%20b")).path == "/a b"
    assert check(scope(b"https://cam.example:8080")).path == "/"


def test_older_clients_need_not_name_a_host() -> None:
    assert check(scope(b"/a", headers=[], version="1.0")).path == "/a"
    for case in (
        scope(b"/a", headers=[], version="2"),
        scope(b"/a", headers=[HOST, HOST], version="1.0"),
        scope(b"http://cam.example/a", headers=[], version="1.0"),
    ):
        with pytest.raises(Refused):
            check(case)


def test_underscores_in_names_are_dropped() -> None:
    request = check(scope(headers=[HOST, (b"x_user", b"root"), (b"x-user", b"ann")]))
    assert request.headers == [HOST, (b"x-user", b"ann")]


@pytest.mark.parametrize("host", [b"localhost", b"127.0.0.1:80", b"[::1]:8080", b"a-b.example.", b"h_o.st", b"A"])
def test_hosts_that_are_hosts(host: bytes) -> None:
    assert check(scope(headers=[(b"host", host)])).path == "/"
