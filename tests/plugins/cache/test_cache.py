"""`cache`: what is stored and used again, and what must not be (RFC 9111, RFC 5861, RFC 9211)."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from tests.plugins.cache.origin import FRESH, Fields, Make, validated


async def test_a_fresh_answer_is_used_again_until_it_is_not(make: Make) -> None:
    world = make(FRESH)
    first = await world.get("/a")
    assert (first.body, first.hit) == (b"answer 1", False)
    assert first.headers["cache-status"] == "vidops; fwd=uri-miss; fwd-status=200; stored"
    world.now += 30
    again = await world.get("/a")
    assert (again.body, again.headers["age"], again.headers["content-length"]) == (b"answer 1", "30", "8")
    assert again.headers["cache-status"] == "vidops; hit; ttl=30"
    world.now += 30
    assert (await world.get("/a")).body == b"answer 2"
    assert (await world.get("/a?q=1")).body == b"answer 3"


@pytest.mark.parametrize(
    ("fields", "stored"),
    [
        ({"cache-control": "max-age=60"}, True),
        ({"cache-control": "MAX-AGE=60"}, True),
        ({"cache-control": 'max-age="60"'}, True),
        ({"cache-control": "s-maxage=60, max-age=0"}, True),
        ({"cache-control": "max-age=60, s-maxage=0"}, False),
        ({"cache-control": "max-age=60, no-store"}, False),
        ({"cache-control": "max-age=60, private"}, False),
        ({"cache-control": "max-age=60, no-cache"}, False),
        ({"cache-control": "max-age=abc"}, False),
        ({"cache-control": "max-age=-1"}, False),
        ({"cache-control": "max-age=" + "9" * 30}, False),
        ({"cache-control": "max-age=60", "set-cookie": "a=b"}, False),
        ({"cache-control": "max-age=60", "vary": "*"}, False),
        ({"cache-control": "public"}, False),
        ({"cache-control": "public", "last-modified": formatdate(1_799_000_000, usegmt=True)}, True),
        ({"cache-control": "max-age=60, no-store, must-understand"}, True),
        ({"cache-control": "max-age=60", "age": "90, 0"}, False),
        ({"cache-control": "max-age=60", "age": "0, 90"}, True),
        ({"expires": formatdate(1_800_000_060, usegmt=True)}, True),
        ({"expires": formatdate(1_799_999_999, usegmt=True)}, False),
        ({"expires": "0"}, False),
        ({"expires": "Fri, 15 Jan 2027 09:00:00 GMT"}, True),
        ({"expires": "Fri, 15 Jan 2027 09:00:00 UTC"}, False),
        ({"expires": formatdate(1_800_000_060, usegmt=True), "cache-control": "max-age=0"}, False),
        ({"last-modified": formatdate(1_799_000_000, usegmt=True)}, True),
        ({"last-modified": "nonsense"}, False),
        ({}, False),
    ],
)
async def test_what_may_be_used_again(make: Make, fields: Fields, stored: bool) -> None:
    world = make(fields)
    await world.get("/")
    assert (await world.get("/")).hit is stored


@pytest.mark.parametrize(
    ("status", "stored"), [(200, True), (404, True), (301, True), (206, False), (500, True), (201, True)]
)
async def test_statuses_with_an_explicit_freshness(make: Make, status: int, stored: bool) -> None:
    world = make(FRESH, status=status)
    await world.get("/")
    assert (await world.get("/")).hit is stored


async def test_a_ttl_is_for_what_says_nothing(make: Make) -> None:
    world = make({}, ttl="500ms")
    await world.get("/")
    world.now += 0.4
    assert (await world.get("/")).hit
    world.now += 0.2
    assert not (await world.get("/")).hit
    for said in ("no-store", "private", "max-age=0"):
        world = make({"cache-control": said}, ttl="1h")
        await world.get("/")
        assert not (await world.get("/")).hit


async def test_the_age_of_another_cache_counts(make: Make) -> None:
    world = make({"cache-control": "max-age=60", "age": "50"})
    await world.get("/")
    world.now += 9
    assert (await world.get("/")).headers["age"] == "59"
    world.now += 2
    assert not (await world.get("/")).hit
    world = make({"cache-control": "max-age=60", "date": formatdate(world.now - 100, usegmt=True)})
    await world.get("/")
    assert not (await world.get("/")).hit


@pytest.mark.parametrize(
    ("asked", "hit"),
    [
        ({"cache_control": "no-cache"}, False),
        ({"pragma": "no-cache"}, False),
        ({"pragma": "no-cache", "cache_control": "max-stale"}, True),
        ({"cache_control": "max-age=5"}, False),
        ({"cache_control": "max-age=15"}, True),
        ({"cache_control": "min-fresh=55"}, False),
        ({"cache_control": "min-fresh=45"}, True),
        ({"cache_control": "no-store"}, True),
        ({"range": "bytes=0-1"}, True),
        ({"range": "bytes=0-1,3-4"}, False),
        ({"range": "bytes=8-"}, False),
        ({"range": "bytes=0-1", "if_match": '"x"'}, False),
    ],
)
async def test_a_request_may_want_more(make: Make, asked: Fields, hit: bool) -> None:
    world = make(FRESH)
    await world.get("/")
    world.now += 10
    assert (await world.get("/", **asked)).hit is hit


@pytest.mark.parametrize("method", ["OPTIONS", "PROPFIND"])
async def test_what_changes_nothing_leaves_what_is_stored(make: Make, method: str) -> None:
    world = make(FRESH)
    await world.get("/")
    await world.get("/", method=method)
    assert (await world.get("/")).hit


@pytest.mark.parametrize(("status", "stored"), [(200, True), (404, True), (299, False), (599, False)])
async def test_a_status_is_to_be_understood_where_that_is_said(make: Make, status: int, stored: bool) -> None:
    world = make({"cache-control": "max-age=60, must-understand"}, status=status)
    await world.get("/")
    assert (await world.get("/")).hit is stored


async def test_without_a_last_modified_the_date_counts(make: Make) -> None:
    world = make(FRESH)
    await world.get("/")
    world.now += 10
    for since, status in ((world.now - 10, 304), (world.now, 304), (world.now - 11, 200)):
        assert (await world.get("/", if_modified_since=formatdate(since, usegmt=True))).status == status


async def test_what_a_request_forbids_is_not_stored(make: Make) -> None:
    world = make(FRESH)
    await world.get("/", cache_control="no-store")
    assert not (await world.get("/")).hit


async def test_stale_is_taken_by_who_says_so(make: Make) -> None:
    world = make(FRESH)
    await world.get("/")
    world.now += 70
    assert (await world.get("/", cache_control="max-stale=20")).body == b"answer 1"
    assert (await world.get("/", cache_control="max-stale=5")).body == b"answer 2"
    world = make({"cache-control": "max-age=60, must-revalidate"})
    await world.get("/")
    world.now += 70
    assert (await world.get("/", cache_control="max-stale")).body == b"answer 2"


async def test_only_if_cached(make: Make) -> None:
    world = make(FRESH)
    assert (await world.get("/", cache_control="only-if-cached")).status == 504
    await world.get("/")
    assert (await world.get("/", cache_control="only-if-cached")).body == b"answer 1"


async def test_variants_are_kept_apart(make: Make) -> None:
    world = make()
    world.says = lambda asked: (
        200, {**FRESH, "vary": "Accept-Language"}, asked.headers.get("accept-language", "none").encode(),
    )  # fmt: skip
    for language in ("de", "fr"):
        assert (await world.get("/", accept_language=language)).body == language.encode()
    for language in ("de", "fr"):
        again = await world.get("/", accept_language=language)
        assert (again.body, again.hit) == (language.encode(), True)
    assert not (await world.get("/")).hit


async def test_what_is_stale_is_revalidated(make: Make) -> None:
    world = make()
    validated(world, "1")
    await world.get("/")
    world.now += 20
    again = await world.get("/")
    assert (again.status, again.body, again.headers["x-seen"], again.headers["age"]) == (200, b"version 1", "2", "0")
    assert "fwd=stale; fwd-status=304" in again.headers["cache-status"]
    assert (await world.get("/")).hit
    validated(world, "2")
    world.now += 20
    assert (await world.get("/")).body == b"version 2"
    assert (await world.get("/")).body == b"version 2"


async def test_a_client_that_has_it_is_told_so(make: Make) -> None:
    world = make()
    validated(world, "1")
    await world.get("/")
    for tags in ('"1"', 'W/"1"', '"0", "1"', "*"):
        answer = await world.get("/", if_none_match=tags)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", '"1"')
        assert "content-length" not in answer.headers
    assert (await world.get("/", if_none_match='"0"')).status == 200
    world.now += 20
    # Stale: it is revalidated for all, and this client is answered by what came of it.
    assert (await world.get("/", if_none_match='"1"')).status == 304
    assert len(world.asked) == 2


async def test_a_head_is_answered_from_what_was_got(make: Make) -> None:
    world = make(FRESH)
    await world.get("/")
    answer = await world.get("/", method="HEAD")
    assert (answer.hit, answer.body, answer.headers["content-length"]) == (True, b"", "8")
    # One that is not is passed on, and nothing is kept of it.
    await world.get("/b", method="HEAD")
    assert not (await world.get("/b")).hit


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH"])
async def test_a_change_takes_what_is_stored_away(make: Make, method: str) -> None:
    world = make(FRESH)
    await world.get("/a")
    await world.get("/b")
    await world.get("/c")
    world.says = lambda _: (201, {"location": "/b", "content-location": "http://elsewhere/c"}, b"")
    await world.get("/a", method=method)
    world.says = lambda _: (200, FRESH, b"new")
    assert (await world.get("/a")).body == b"new"
    assert (await world.get("/b")).body == b"new"
    # Another host's is not its to take away.
    assert (await world.get("/c")).hit


async def test_a_change_that_failed_does_not(make: Make) -> None:
    world = make(FRESH)
    await world.get("/")
    world.says = lambda _: (400, {}, b"")
    await world.get("/", method="POST")
    assert (await world.get("/")).hit


@pytest.mark.parametrize(
    ("said", "shared"),
    [("max-age=60", False), ("max-age=60, public", True), ("s-maxage=60", True), ("max-age=60, must-revalidate", True)],
)
@pytest.mark.parametrize("who", [{"user": "ann"}, {"authorization": "Basic x"}, {"cookie": "session=1"}])
async def test_what_is_one_persons_is_not_anothers(make: Make, said: str, shared: bool, who: dict[str, str]) -> None:
    world = make({"cache-control": said})
    await world.get("/", **who)
    assert (await world.get("/")).hit is shared


async def test_tenants_have_caches_of_their_own(make: Make) -> None:
    world = make({"cache-control": "public, max-age=60"})
    assert (await world.get("/", tenant="acme")).body == b"answer 1"
    assert (await world.get("/", tenant="globex")).body == b"answer 2"
    assert (await world.get("/", tenant="acme")).body == b"answer 1"
    # And hosts.
    assert (await world.get("/", tenant="acme", host="other")).body == b"answer 3"


async def test_what_is_told_to_who_comes_without_tls_is_for_them_alone(make: Make) -> None:
    world = make(FRESH)
    for scheme, body in (("http", b"answer 1"), ("https", b"answer 2")):
        for hit in (False, True):
            answer = await world.get("/", scheme=scheme)
            assert (answer.body, answer.hit) == (body, hit)
    # What was changed is of one of them, and so is what it says that it changed besides.
    world.says = lambda _: (200, {"location": "http://x/a", **FRESH}, b"new")
    await world.get("/a")
    await world.get("/", method="POST", scheme="https")
    assert [(await world.get("/", scheme=scheme)).hit for scheme in ("http", "https")] == [True, False]
    assert (await world.get("/a")).hit


async def test_memory_is_bounded(make: Make) -> None:
    world = make(max_size="100kB", max_object="10kB")
    world.says = lambda _: (200, FRESH, b"x" * 9000)
    for number in range(100):
        await world.get(f"/{number}")
        assert world.store.size <= 100_000
    assert (await world.get("/99")).hit
    assert not (await world.get("/0")).hit
    world.says = lambda _: (200, FRESH, b"x" * 10_001)
    large = await world.get("/large")
    assert len(large.body) == 10_001
    assert not (await world.get("/large")).hit
    # A Vary on what everybody has differently does not fill it either.
    world.says = lambda _: (200, {**FRESH, "vary": "user-agent"}, b"x")
    for number in range(200):
        await world.get("/vary", user_agent=str(number))
    assert len(world.store.of(("", "http", "x", "/vary", ""))) <= 20


async def test_a_no_content_has_no_length(make: Make) -> None:
    world = make(FRESH, status=204)
    world.says = lambda _: (204, FRESH, b"")
    await world.get("/")
    assert "content-length" not in (await world.get("/")).headers


async def test_what_is_written_otherwise_is_something_else(make: Make) -> None:
    world = make(FRESH)
    assert (await world.get("/a%2Fb")).body == b"answer 1"
    assert (await world.get("/a/b")).body == b"answer 2"
