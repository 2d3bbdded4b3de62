"""What may be kept, whose it is, what of it is kept, and which request it answers (RFC 9111, 3, 4.1 and 5.2.2)."""

from __future__ import annotations

import pytest

from tests.plugins.cache.corpus.play import Theatre
from tests.plugins.cache.corpus.table import NEW, STORED, Case, Step, case, checked, meanwhile, new, refused, stored

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
FRESH = "max-age=3600"
BASIC = {"authorization": "Basic YTpi"}


def once(law: str, said: str, *, asks: dict[str, str] | None = None, **fields: object) -> Case:
    """Not kept, and not compared with either."""
    return case(law, f"{said} {asks or ''} {fields or ''}", new(said, asks=asks or {}, **fields), NEW)


DIRECTIVES = [
    once("5.2.2.5", "no-store"),
    once("5.2.2.5", "max-age=3600, no-store"),
    once("5.2.2.5", "No-Store", expires=3600),
    once("5.2.2.7", "private, max-age=3600"),
    once("5.2.2.7", "PRIVATE", expires=3600),
    once("5.2.2.4", "max-age=3600, no-cache"),
    once("5.2.2.4", "No-Cache", expires=3600),
    case("5.2.2.4", "no-cache is kept to be asked for", new("no-cache", etag='"a"'), checked(), checked()),
    case("5.2.2.4", "though it is fresh", new("max-age=3600, no-cache", etag='"a"'), checked()),
    case(
        "5.2.2.4",
        "no-cache of some fields",
        new('max-age=3600, no-cache="a, b"', a="1", b="2", c="3"),
        stored(has={"c": "3"}, lacks=("a", "b")),
    ),
    case(
        "5.2.2.7",
        "private fields",
        new('max-age=3600, private="a"', a="1", b="2"),
        stored(has={"b": "2"}, lacks=("a",)),
    ),
    case("5.2.2.2", "must-revalidate, fresh", new("max-age=3600, must-revalidate"), STORED),
    case("5.2.2.2", "must-revalidate, stale", new("max-age=60, must-revalidate", age="99", etag='"a"'), checked()),
    case("5.2.2.3", "must-understand", new("max-age=3600, no-store, must-understand"), STORED),
    case("5.2.2.3", "must-understand what nobody does", *[new("max-age=3600, must-understand", says=599)] * 2),
    case(
        "5.2.2.5", "what is newer takes its place", new(FRESH), new("no-store", asks={"cache-control": "no-cache"}), NEW
    ),
    case("8246", "immutable is as fresh as it says", new("max-age=60, immutable", age="99", etag='"a"'), checked()),
]
STATUSES = [
    *(
        case("3", f"{status}, and fresh", new(FRESH, says=status, body=body), stored(status=status, content=body))
        for status, body in (
            (200, "x"), (203, "x"), (204, ""), (299, "x"), (301, "x"), (302, "x"), (303, "x"), (307, "x"), (308, "x"),
            (400, "x"), (404, "x"), (410, "x"), (499, "x"), (500, "x"), (502, "x"), (503, "x"), (504, "x"), (599, "x"),
        )
    ),
    *(
        case("4.2", f"{status}, and stale", *[new(says=status, expires=-3600, last_modified=-9000)] * 2)
        for status in (200, 204, 301, 302, 404, 410, 500, 503, 599)
    ),
]  # fmt: skip
PERSONS = [
    once("3.5", FRESH, asks=BASIC),
    once("3.5", "", asks=BASIC, expires=3600),
    once("3.5", FRESH, asks={"cookie": "session=1"}),
    *(
        case("3.5", f"{word} is for all", new(word, asks=asks), STORED)
        for word in ("max-age=3600, public", "max-age=3600, must-revalidate", "s-maxage=3600")
        for asks in (BASIC, {"cookie": "session=1"})
    ),
    case("3.5", "what is anybody's is a person's, too", new(FRESH), stored(asks=BASIC), stored(asks={"cookie": "a=b"})),
    case("3.5", "two persons", new(FRESH, asks=BASIC), new(FRESH, asks={"authorization": "Basic Yzpk"}), NEW),
    # By the letter it may be stored (7.3); whose cookie it would be is nobody's to guess.
    once("7.3", FRESH, set_cookie="a=b"),
    once("7.3", "max-age=3600, public", set_cookie="a=b"),
    case(
        "3.5",
        "a part of what is a person's",
        new(FRESH, asks=BASIC),
        new(asks={"range": "bytes=0-1"}, says=206, body="an"),
    ),
]
FIELDS = [
    case("3.1", "fields are kept", new(FRESH, x_own="1", content_type="text/x"),
         stored(has={"x-own": "1", "content-type": "text/x"})),
    case("3.1", "also those that are about it", new(FRESH, content_language="de", content_location="/x"),
         stored(has={"content-language": "de", "content-location": "/x"})),
    case("3.1", "those of a connection are not", new(FRESH, connection="a, b", a="1", b="2", c="3"),
         stored(has={"c": "3"}, lacks=("a", "b"))),
    *(
        case("3.1", f"not {name}", new(FRESH, **{name: "x"}), stored(lacks=(name.replace("_", "-"),)))
        for name in ("keep_alive", "proxy_authenticate", "proxy_authentication_info", "proxy_connection", "te")
    ),
    case("3.1", "its length is its own", new(FRESH, body="12345"),
         stored(has={"content-length": "5"}, content="12345")),
    case("9211", "what was done is said",
         new(FRESH, has={"cache-status": "vidops; fwd=uri-miss; fwd-status=200; stored"}), STORED),
    # An interim answer is none: neither it nor its fields are kept.
    case("9110, 15.2", "hints are not the answer", new(FRESH, hint="</a>; rel=preload"), stored(lacks=("link",))),
]  # fmt: skip


def vary(names: object, first: dict[str, str], then: dict[str, object], step: Step, **fields: object) -> Case:
    varied = new(FRESH, vary=names, asks=first, **fields)
    return case("4.1", f"Vary: {names}: {first}, {then}", varied, Step(**{**step.__dict__, "asks": then}))


VARIANTS = [
    vary("X", {"x": "1"}, {"x": "1"}, STORED),
    vary("X", {"x": "1"}, {"x": "2"}, NEW),
    vary("X", {"x": "1"}, {}, NEW),
    vary("X", {}, {"x": "1"}, NEW),
    vary("X", {}, {}, STORED),
    vary("x, Y", {"x": "1", "y": "2"}, {"y": "2", "x": "1"}, STORED),
    vary("X, Y", {"x": "1", "y": "2"}, {"x": "1", "y": "3"}, NEW),
    vary("X, Y", {"x": "1", "y": "2"}, {"x": "1"}, NEW),
    vary("X, Y, Z", {"x": "1", "z": "3"}, {"z": "3", "x": "1"}, STORED),
    vary(["X", "Y"], {"x": "1", "y": "2"}, {"x": "1", "y": "3"}, NEW),
    vary("X", {"x": "1", "other": "1"}, {"x": "1", "other": "2"}, STORED),
    *(vary(star, {"x": "1"}, {"x": "1"}, NEW) for star in ("*", "*, *", ", *", "*, X", "X, *", ["", "*"], ["X", "*"])),
    vary("X", {"x": "1, 2"}, {"x": ["1", "2"]}, STORED),
    vary("X", {"x": "a"}, {"x": "A"}, NEW),
    vary("Accept-Language", {"accept-language": "en, de"}, {"accept-language": "EN ,DE"}, STORED),
    vary("Accept-Language", {"accept-language": "en, de"}, {"accept-language": "de, en"}, NEW),
    vary("Accept-Encoding", {"accept-encoding": "br,gzip"}, {"accept-encoding": "br, GZip"}, STORED),
    case(
        "4.1",
        "variants are beside each other",
        new(FRESH, vary="X", asks={"x": "1"}),
        new(FRESH, vary="X", asks={"x": "2"}),
        stored(asks={"x": "1"}, of=1),
        stored(asks={"x": "2"}, of=2),
    ),
    case(
        "4.3.1",
        "a variant is asked for with its own tag",
        new("max-age=60", age="99", vary="X", etag='"a"', asks={"x": "1"}),
        new("max-age=60", age="99", vary="X", etag='"b"', asks={"x": "2"}, told={"if-none-match": None}),
        checked(asks={"x": "1"}, of=1, told={"if-none-match": '"a"', "x": "1"}),
    ),
    case("2", "a query is part of it", new(FRESH, path="?a=1"), new(FRESH, path="?a=2"), stored(path="?a=1", of=1)),
    case("2", "as it is written", new(FRESH, path="/%41"), new(FRESH, path="/A"), stored(path="/%41", of=1)),
]
WHOLE = new(FRESH, body="0123456789", etag='"a"', content_type="text/x")


def part(asked: str, content: str, span: str, **options: object) -> Step:
    return stored(asks={"range": asked, **dict(options.pop("asks", {}))}, status=206, content=content,
                  has={"content-range": f"bytes {span}/10", "content-type": "text/x"}, **options)  # fmt: skip


PASSED = new(FRESH, asks={"range": "bytes=0-1"}, says=206, body="01", content_range="bytes 0-1/10")
PARTS = [
    case("9110, 14", "from the first", WHOLE, part("bytes=0-1", "01", "0-1")),
    case("9110, 14", "to the last", WHOLE, part("bytes=8-", "89", "8-9")),
    case("9110, 14", "beyond the last", WHOLE, part("bytes=8-99", "89", "8-9")),
    case("9110, 14", "the last ones", WHOLE, part("bytes=-3", "789", "7-9")),
    case("9110, 14.2", "several are the origin's", WHOLE, new(asks={"range": "bytes=0-1,4-5"}, says=206, body="...")),
    case("9110, 14.2", "as is what it has not", WHOLE, new(asks={"range": "bytes=10-"}, says=416, body="")),
    case("9110, 14.2", "a HEAD has no part", WHOLE,
         stored(method="HEAD", asks={"range": "bytes=0-1"}, has={"content-length": "10"})),
    case("9110, 13.1.5", "the same one", WHOLE, part("bytes=0-1", "01", "0-1", asks={"if-range": '"a"'})),
    case("9110, 13.1.5", "another one", WHOLE,
         stored(asks={"range": "bytes=0-1", "if-range": '"b"'}, content="0123456789")),
    case("9110, 13.2.2", "a condition comes first", WHOLE,
         stored(asks={"range": "bytes=0-1", "if-none-match": '"a"'}, status=304)),
    case("3.3", "a part is not kept", PASSED, PASSED, NEW),
    case("3.4", "nor taken for the whole", new(FRESH, says=206, body="01", content_range="bytes 0-1/10"), NEW),
    case("3.4", "a part of what is stale", new("max-age=60", age="99", etag='"a"'), PASSED),
    case("5861, 3", "a part of what is stale, meanwhile",
         new("max-age=60, stale-while-revalidate=900", age="99", body="0123456789", etag='"a"'),
         meanwhile(FRESH, etag='"b"', asks={"range": "bytes=0-1", "if-range": '"a"'}, status=206, content="01",
                   told={"range": None, "if-range": None, "if-none-match": '"a"'})),
    case("5.2.1.7", "a part of what is not here",
         refused(504, asks={"range": "bytes=0-1", "cache-control": "only-if-cached"})),
]  # fmt: skip


@pytest.mark.parametrize("it", DIRECTIVES + STATUSES + PERSONS + FIELDS + VARIANTS + PARTS, ids=str)
async def test_storing(theatre: Theatre, it: Case) -> None:
    await theatre.play(it)
