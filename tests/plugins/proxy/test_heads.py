"""What goes on to the next hop and what does not, as tables from RFC 9110 and 9112."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops_plugins.handlers.proxy import heads
from vidops_plugins.handlers.proxy.targets import parse_target

HOST = (b"host", b"cam.example")


def sent(
    *fields: tuple[bytes, bytes], by: str = "", host: bytes | None = None, set_here: frozenset[bytes] = frozenset()
) -> dict[bytes, list[bytes]]:
    chain = ("192.0.2.7", by) if by else ("192.0.2.7",)
    made = heads.request_fields([HOST, *fields], host=host, chain=chain, scheme="https", set_here=set_here)
    found: dict[bytes, list[bytes]] = {}
    for name, value in made:
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("name", sorted(heads.HOP_BY_HOP))
def test_hop_by_hop_fields_stay_here(name: bytes) -> None:
    assert name not in sent((name, b"x"))
    assert heads.end_to_end([(name, b"x"), (b"etag", b'"1"')]) == [(b"etag", b'"1"')]


def test_what_connection_nominates_stays_here() -> None:
    told = [(b"connection", b"close, X-Secret ,x-other"), (b"x-secret", b"1"), (b"x-other", b"2"), (b"x-kept", b"3")]
    assert heads.end_to_end(told) == [(b"x-kept", b"3")]


def test_nominating_what_frames_or_names_changes_nothing() -> None:
    kept = heads.end_to_end([(b"connection", b"content-length, host"), (b"content-length", b"3"), HOST])
    assert kept == [(b"content-length", b"3"), HOST]


@pytest.mark.parametrize("name", sorted(heads.FORWARDED))
def test_nobody_speaks_for_a_proxy(name: bytes) -> None:
    assert b"198.51.100.1" not in b"".join(v for values in sent((name, b"198.51.100.1")).values() for v in values)


@pytest.mark.parametrize("name", [*sorted(heads.CLAIMS), b"x-forwarded-user", b"x-forwarded"])
def test_what_proxies_say_besides_goes_on_from_those_believed(name: bytes) -> None:
    assert name not in sent((name, b"1"))
    assert sent((name, b"1"), by="10.0.0.2")[name] == [b"1"]
    assert sent((name, b"1"), set_here=frozenset({name}))[name] == [b"1"]


def test_who_asks_is_told() -> None:
    found = sent()
    assert found[b"x-forwarded-for"] == [b"192.0.2.7"]
    assert found[b"x-forwarded-host"] == [b"cam.example"]
    assert found[b"x-forwarded-proto"] == [b"https"]
    assert found[b"via"] == [b"1.1 vidops"]


@pytest.mark.parametrize("name", sorted(heads.FORWARDED))
def test_the_stack_files_own_word_goes_on(name: bytes) -> None:
    assert sent((name, b"ours"), set_here=frozenset({name}))[name] == [b"ours"]


def test_a_trusted_proxy_is_believed_and_named() -> None:
    found = sent((b"x-forwarded-for", b"6.6.6.6, 192.0.2.7"), (b"via", b"1.1 front"), by="10.0.0.2")
    assert found[b"x-forwarded-for"] == [b"192.0.2.7, 10.0.0.2"]
    assert found[b"via"] == [b"1.1 front, 1.1 vidops"]


def test_the_host_is_kept_or_named() -> None:
    assert sent()[b"host"] == [b"cam.example"]
    found = sent(host=b"inside:3000")
    assert found[b"host"] == [b"inside:3000"]
    assert found[b"x-forwarded-host"] == [b"cam.example"]


def test_expectations_and_lengths_are_this_hops_own() -> None:
    assert not sent((b"expect", b"100-continue"), (b"content-length", b"5")).keys() & {b"expect", b"content-length"}


@pytest.mark.parametrize(
    ("raw", "query", "base", "rest", "expected"),
    [
        (b"/api/v1/x", b"", b"", None, b"/api/v1/x"),
        (b"/api/v1/x", b"a=b&c", b"", None, b"/api/v1/x?a=b&c"),
        (b"/api/v1/x", b"", b"", "v1/x", b"/v1/x"),
        (b"/api/v1/x", b"q", b"/base", "v1/x", b"/base/v1/x?q"),
        (b"/api", b"", b"", "", b"/"),
        (b"/api/", b"", b"/base", "", b"/base/"),
        (b"/api/%7Euser/a%20b", b"", b"", "~user/a b", b"/%7Euser/a%20b"),
        (b"/api/dir/", b"", b"", "dir/", b"/dir/"),
    ],
)
def test_the_target_goes_on_as_it_came(
    raw: bytes, query: bytes, base: bytes, rest: str | None, expected: bytes
) -> None:
    assert heads.target(raw, query, base=base, rest=rest) == expected


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=8), st.binary(max_size=12)), max_size=5), st.binary(max_size=12)
)
def test_a_head_is_one_head(fields: heads.Fields, target: bytes) -> None:
    try:
        made = heads.request_head("GET", b"/" + target, fields)
    except ValueError:
        assert re.search(rb"[\r\n\0]", target + b"".join(n + v for n, v in fields)) or len(target.split()) != 1
        return
    assert made.count(b"\r\n") == len(fields) + 2
    assert made.index(b"\r\n\r\n") == len(made) - 4


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://10.0.0.5:3000", "10.0.0.5:3000"),
        ("http://app", "app"),
        ("https://app.example/base/v1", "app.example"),
        ("https://app.example:8443/", "app.example:8443"),
        ("http://[::1]:80", "[::1]"),
        ("unix:/run/app.sock", "localhost"),
    ],
)
def test_upstreams(url: str, authority: str) -> None:
    assert parse_target(url).authority == authority


@pytest.mark.parametrize(
    "url",
    ["", "10.0.0.5:3000", "ftp://x", "http://", "http://a b", "http://u:p@h", "http://h/?q", "http://h/../x", "http://h:0",
     "http://h:99999", "http://h\r\nX: y", "unix:relative", "unix:/a\0b", "http://h/a//b"],
)  # fmt: skip
def test_what_is_no_upstream(url: str) -> None:
    with pytest.raises(ValueError, match=r"upstream|port"):
        parse_target(url)


@pytest.mark.parametrize("method", ["GET /admin HTTP/1.1", "GET\t/admin", " GET", ""])
def test_a_method_is_one_word(method: str) -> None:
    with pytest.raises(ValueError, match="method"):
        heads.request_head(method, b"/", [])
