"""How long an answer is fresh, and who may be given it when it is not (RFC 9111, 4.2 and 5.2; RFC 5861; RFC 9213)."""

from __future__ import annotations

import pytest

from tests.plugins.cache.corpus.play import Theatre
from tests.plugins.cache.corpus.table import (
    HOUR,
    NEW,
    STORED,
    Case,
    broken,
    case,
    checked,
    instead,
    meanwhile,
    new,
    refused,
    stored,
)

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
DAY = 24 * HOUR
THEN = {"cache-control": "max-age=3600"}


def kept(law: str, said: str, **fields: object) -> Case:
    return case(law, f"is fresh: {said} {fields or ''}", new(said, **fields), STORED)


def not_kept(law: str, said: str, **fields: object) -> Case:
    return case(law, f"is not: {said} {fields or ''}", new(said, **fields), NEW)


LIFETIMES = [
    kept("4.2.1", "max-age=3600"),
    kept("4.2.1", "s-maxage=3600"),
    kept("4.2.1", "max-age=0, s-maxage=3600"),
    kept("4.2.1", "s-maxage=3600, max-age=0", expires=-HOUR),
    kept("4.2.1", "max-age=3600", expires=-HOUR),
    kept("4.2.1", "max-age=3600", expires="0"),
    kept("4.2.1", "", expires=DAY),
    kept("4.2.1", "", expires=HOUR, date="no date"),
    not_kept("4.2.1", ""),
    not_kept("4.2.1", "max-age=0"),
    not_kept("4.2.1", "max-age=3600, s-maxage=0"),
    not_kept("4.2.1", "s-maxage=0, max-age=3600"),
    not_kept("4.2.1", "max-age=0", expires=DAY),
    not_kept("5.3", "", expires=-HOUR),
    not_kept("5.3", "", expires=0),
    not_kept("5.3", "", expires=HOUR, date=2 * HOUR),
    not_kept("5.3", "", expires="0"),
    not_kept("5.3", "", expires="-1"),
    not_kept("5.3", "", expires=["never", "Thu, 18 Aug 2072 02:01:18 GMT"]),
    kept("5.3", "", expires="Sat, 21 Nov 2285 04:46:39 GMT"),
    kept("4.2", "", expires="Thursday, 18-Aug-72 02:01:18 GMT"),
    kept("4.2", "", expires="Thu Aug 18 02:01:18 2072"),
    kept("4.2", "", expires="THU, 18 AUG 2072 02:01:18 gmt"),
    not_kept("4.2", "", expires="Thu, 18 Aug 2072 02:01:18 UTC"),
    not_kept("4.2", "", expires="Thu, 18 Aug 2072 02:01:18 CEST"),
    not_kept("4.2", "", expires="Thu, 18 Aug 2072 02:01:18"),
    not_kept("4.2", "", expires="Thu 18 Aug 2072 02:01:18 GMT"),
    not_kept("4.2", "", expires="Thu, 18 Aug 72 02:01:18 GMT"),
    not_kept("4.2", "", expires="18/08/2072"),
]
WORDS = [
    kept("5.2", "MAX-Age=3600"),
    kept("5.2", "max-age=3600, unheard-of, other=1"),
    kept("5.2", 'x="no-store, private", max-age=3600'),
    kept("5.2", 'max-age="3600"'),
    kept("5.2", "max-age=0003600"),
    kept("5.2", ",, max-age=3600 ,"),
    kept("4.2.1", "max-age=3600, max-age=0"),
    case("4.2.1", "of two lines the first counts", new(cache_control=["max-age=3600", "max-age=0"]), STORED),
    case("5.2", "lines are one list", new(cache_control=["max-age=3600", "s-maxage=0"]), NEW),
    kept("1.2.2", "max-age=2147483648"),
    kept("1.2.2", "max-age=99999999999"),
    not_kept("1.2.2", "max-age=-3600"),
    not_kept("4.2.1", "max-age='3600'"),
    not_kept("4.2.1", "max-age=3600s"),
    not_kept("4.2.1", "max-age=36.5"),
    not_kept("4.2.1", "max-age"),
    not_kept("5.2", "max-age =3600"),
    not_kept("5.2", "max-age= 3600"),
    not_kept("5.2", 'x="max-age=3600", max-age=0'),
    not_kept("5.2", 'max-age=0, x="max-age=3600"'),
    not_kept("5.2", 'x="a\\", max-age=3600", max-age=0'),
]
AGES = [
    case("5.1", "an answer from here says how old it is", new("max-age=3600"), stored(aged=0)),
    case("5.1", "and how old it was", new("max-age=3600", age="1000"), stored(aged=1000)),
    case("4.2.3", "a date tells it, too", new("max-age=3600", date=-1000), stored(aged=1000)),
    case("4.2.3", "the older of both counts", new("max-age=3600", age="500", date=-1000), stored(aged=1000)),
    case("5.1", "for Expires, too", new("", expires=DAY, age="1000"), stored(aged=1000)),
    case("4", "dates are left as they were", new(date=-60, expires=DAY), stored(has={"x-step": "1"}, aged=60)),
    not_kept("4.2.3", "max-age=3600", age="3600"),
    not_kept("4.2.3", "max-age=3600", date=-2 * HOUR),
    not_kept("4.2.3", "", expires=HOUR, date=-HOUR, age="9000"),
    not_kept("4.2.3", "", expires=2 * HOUR, date=HOUR, age="4000"),
    not_kept("5.1", "max-age=3600", age="2147483648"),
    not_kept("5.1", "max-age=3600", age="7200, 0"),
    kept("5.1", "max-age=3600", age="0, 7200"),
    case("5.1", "of two lines the first counts", new("max-age=3600", age=["0", "7200"]), STORED),
    kept("5.1", "max-age=3600", age="soon"),
    kept("5.1", "max-age=3600", age="-7200"),
    kept("5.1", "max-age=3600", age="7200.5"),
]
HEURISTICS = [
    kept("4.2.2", "", last_modified=-10 * DAY),
    not_kept("4.2.2", "", last_modified="yesterday"),
    not_kept("4.2.2", "", last_modified=HOUR),
    not_kept("4.2.2", "", last_modified=-10 * DAY, expires="0"),
    case("4.2.2", "what is said goes before it", new("max-age=0", last_modified=-10 * DAY), checked()),
    *(
        case(
            "4.2.2", f"a status that may be: {status}", new(says=status, last_modified=-10 * DAY), stored(status=status)
        )
        for status in (203, 300, 301, 308, 404, 405, 410, 414, 501)
    ),
    *(
        case("4.2.2", f"a status that may not be: {status}", *[new(says=status, last_modified=-10 * DAY)] * 2)
        for status in (201, 202, 302, 307, 400, 403, 500, 502, 503, 504, 299, 499, 599)
    ),
    case("5.2.2.9", "unless it is public", new("public", says=599, last_modified=-10 * DAY), stored(status=599)),
    case("4.2.2", "a ttl is for what says nothing", new(), STORED, route="timed"),
    case("4.2.2", "and for no other", new("max-age=0"), NEW, route="timed"),
]
STALE = [
    case("4.2.4", "no word, no use", new("max-age=60", age="100"), broken()),
    case("4.2.4", "nor of an error", new("max-age=60", age="100"), new(says=503)),
    *(
        case("4.2.4", f"forbidden: {word}", new(f"max-age=60, stale-if-error=3600, {word}", age="100"), broken())
        for word in ("must-revalidate", "proxy-revalidate", "no-cache")
    ),
    case("5861, 3", "meanwhile", new("max-age=60, stale-while-revalidate=900", age="100"), meanwhile(**THEN)),
    case("5861, 3", "and not afterwards", new("max-age=60, stale-while-revalidate=30", age="100"), NEW),
    case("5861, 3", "not against no-cache", new("no-cache, stale-while-revalidate=900"), NEW),
    case("5861, 4", "no answer", new("max-age=60, stale-if-error=900", age="100"), instead(hangs_up=True)),
    *(
        case("5861, 4", f"an error: {status}", new("max-age=60, stale-if-error=900", age="100"), instead(says=status))
        for status in (500, 502, 503, 504)
    ),
    case("5861, 4", "not of a client's error", new("max-age=60, stale-if-error=900", age="100"), new(says=404)),
    case("5861, 4", "and not afterwards", new("max-age=60, stale-if-error=30", age="100"), broken()),
    case(
        "5861, 4",
        "as a request may say",
        new("max-age=60", age="100"),
        instead(hangs_up=True, asks={"cache-control": "stale-if-error=900"}),
    ),
]
ASKED = [
    case("5.2.1.1", "max-age", new("max-age=3600", age="600"), stored(asks={"cache-control": "max-age=1200"})),
    case(
        "5.2.1.1",
        "max-age, and it is older",
        new("max-age=3600", age="600"),
        new(asks={"cache-control": "max-age=300"}),
    ),
    case("5.2.1.1", "max-age=0", new("max-age=3600", age="1"), new(asks={"cache-control": "max-age=0"})),
    case("5.2.1.2", "max-stale", new("max-age=60", age="100"), stored(asks={"cache-control": "max-stale=900"})),
    case("5.2.1.2", "any max-stale", new("max-age=60", age="100"), stored(asks={"cache-control": "max-stale"})),
    case(
        "5.2.1.2", "max-stale, and it is more", new("max-age=60", age="999"), new(asks={"cache-control": "max-stale=9"})
    ),
    case(
        "5.2.2.2",
        "max-stale against must-revalidate",
        new("max-age=60, must-revalidate", age="100"),
        new(asks={"cache-control": "max-stale"}),
    ),
    case("5.2.1.3", "min-fresh", new("max-age=3600"), stored(asks={"cache-control": "min-fresh=900"})),
    case(
        "5.2.1.3",
        "min-fresh, and it is less",
        new("max-age=3600", age="3000"),
        new(asks={"cache-control": "min-fresh=900"}),
    ),
    case("5.2.1.4", "no-cache", new("max-age=3600"), new(asks={"cache-control": "no-cache"})),
    case(
        "5.2.1.4", "no-cache, with a tag", new("max-age=3600", etag='"a"'), checked(asks={"cache-control": "no-cache"})
    ),
    case("5.2.1.5", "no-store keeps nothing", new("max-age=3600", asks={"cache-control": "no-store"}), NEW),
    case("5.2.1.5", "no-store takes what is here", new("max-age=3600"), stored(asks={"cache-control": "no-store"})),
    case("5.2.1.7", "only-if-cached", refused(504, asks={"cache-control": "only-if-cached"})),
    case("5.2.1.7", "only-if-cached, and it is", new("max-age=3600"), stored(asks={"cache-control": "only-if-cached"})),
    case("5.2.1", "what is unheard of", new("max-age=3600"), stored(asks={"cache-control": "unheard-of=1"})),
    case("5.4", "Pragma", new("max-age=3600"), new(asks={"pragma": "no-cache"})),
    case("5.4", "Pragma, another", new("max-age=3600"), stored(asks={"pragma": "unheard-of"})),
    case(
        "5.4",
        "Pragma beside Cache-Control",
        new("max-age=3600"),
        stored(asks={"pragma": "no-cache", "cache-control": "max-age=900"}),
    ),
    case("5.4", "Pragma of an answer", new("max-age=3600", pragma="no-cache"), STORED),
]


def told(what: str, field: str, *steps: object, said: str = "", **fields: object) -> Case:
    after = steps or (STORED,)
    return case("9213, 2.2", what, new(said, cdn_cache_control=field, **fields), *after, route="told")


TARGETED = [
    told("goes before Cache-Control", "max-age=3600", said="no-store"),
    told("and before Expires", "max-age=3600", expires=-HOUR),
    told("shorter, too", "max-age=0", NEW, said="max-age=3600", expires=DAY),
    told("age counts", "max-age=3600", NEW, age="7200"),
    told("no-store", "no-store", NEW, said="max-age=3600"),
    told("private", "private", NEW, said="max-age=3600"),
    told("no-cache", "no-cache", checked(), said="max-age=3600", etag='"a"'),
    told("with what is unheard of", "unheard-of, max-age=3600;a=b"),
    told("no dictionary is nothing", "max-age=3600, &", NEW, said="no-store"),
    told("nor is one of other types", 'max-age="3600"', NEW, said="no-store"),
    told("and then Cache-Control counts", "max-age =0", said="max-age=3600"),
    told("it goes on", "max-age=3600", stored(has={"cdn-cache-control": "max-age=3600", "cache-control": "max-age=1"}),
         said="max-age=1"),
    case("9213, 2.2", "who is not meant has no use for it", new("no-store", cdn_cache_control="max-age=3600"), NEW),
]  # fmt: skip


@pytest.mark.parametrize("it", LIFETIMES + WORDS + AGES + HEURISTICS + STALE + ASKED + TARGETED, ids=str)
async def test_freshness(theatre: Theatre, it: Case) -> None:
    await theatre.play(it)
