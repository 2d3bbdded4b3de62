"""Parts of what is stored whole (RFC 9110, 13.1.5 and 14; RFC 9111, 3.3)."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.cache.origin import FRESH, Asked, Fields, Make
from vidops_plugins.middleware.cache import ranges

TEXT = b"0123456789"


def part(asked: str, size: int = len(TEXT)) -> tuple[int, int] | None:
    return ranges.part([(b"range", asked.encode())], size)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=2-4", (2, 4)),
        ("bytes=7-", (7, 9)),
        ("bytes=7-99", (7, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-99", (0, 9)),
        ("BYTES=1-2", (1, 2)),
        ("bytes=10-", None),
        ("bytes=10-12", None),
        ("bytes=4-2", None),
        ("bytes=-0", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=0-1,3-4", None),
        ("bytes=a-b", None),
        ("bytes=+1-2", None),
        ("bytes=٠-٣", None),
        ("lines=0-1", None),
        ("0-1", None),
    ],
)
def test_one_range_is_understood(asked: str, found: tuple[int, int] | None) -> None:
    assert part(asked) == found


def test_nothing_is_a_part_of_what_is_empty() -> None:
    for asked in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        assert part(asked, 0) is None


def test_two_fields_are_no_range() -> None:
    assert ranges.part([(b"range", b"bytes=0-1"), (b"range", b"bytes=2-3")], 10) is None


@given(st.text(max_size=20), st.integers(0, 20))
def test_a_part_is_always_within(text: str, size: int) -> None:
    found = part(f"bytes={text}", size) if text.isascii() else None
    assert found is None or 0 <= found[0] <= found[1] < size


async def test_a_part_is_answered_from_the_whole(make: Make) -> None:
    world = make()
    world.says = lambda _: (200, {**FRESH, "etag": '"a"', "content-type": "text/plain"}, TEXT)
    await world.get("/")
    answer = await world.get("/", range="bytes=2-4")
    assert (answer.status, answer.body, answer.hit) == (206, b"234", True)
    assert answer.headers["content-range"] == "bytes 2-4/10"
    assert (answer.headers["content-length"], answer.headers["content-type"]) == ("3", "text/plain")
    # Who has it all is told so, and a HEAD is not about a part.
    assert (await world.get("/", range="bytes=2-4", if_none_match='"a"')).status == 304
    head = await world.get("/", method="HEAD", range="bytes=2-4")
    assert (head.status, head.headers["content-length"]) == (200, "10")
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    ("fields", "condition", "status"),
    [
        ({"etag": '"a"'}, '"a"', 206),
        ({"etag": '"a"'}, '"b"', 200),
        ({"etag": 'W/"a"'}, 'W/"a"', 200),
        ({"etag": 'W/"a"'}, '"a"', 200),
        ({"last-modified": formatdate(1_799_000_000, usegmt=True)}, formatdate(1_799_000_000, usegmt=True), 206),
        ({"last-modified": formatdate(1_799_000_000, usegmt=True)}, formatdate(1_799_000_001, usegmt=True), 200),
        # Changed in the second it was sent: it may have been changed once more.
        ({"last-modified": formatdate(1_800_000_000, usegmt=True)}, formatdate(1_800_000_000, usegmt=True), 200),
        ({}, formatdate(1_799_000_000, usegmt=True), 200),
        ({"etag": '"a"'}, "nonsense", 200),
    ],
)
async def test_a_part_of_something_else_is_no_part(make: Make, fields: Fields, condition: str, status: int) -> None:
    world = make()
    world.says = lambda _: (200, {**FRESH, **fields}, TEXT)
    await world.get("/")
    answer = await world.get("/", range="bytes=0-1", if_range=condition)
    assert (answer.status, answer.body) == (status, TEXT[:2] if status == 206 else TEXT)
    assert answer.hit


async def test_a_part_of_what_is_not_here_is_the_upstreams(make: Make) -> None:
    world = make()

    def says(asked: Asked) -> tuple[int, Fields, bytes]:
        if "range" in asked.headers:
            return 206, {**FRESH, "content-range": "bytes 0-1/10"}, TEXT[:2]
        return 200, {"cache-control": "max-age=10"}, TEXT

    world.says = says
    for _ in range(2):  # nothing of a part is kept
        assert not (await world.get("/", range="bytes=0-1")).hit
    assert (await world.get("/", range="bytes=0-1", cache_control="only-if-cached")).status == 504
    await world.get("/")
    assert (await world.get("/", range="bytes=0-1")).hit
    world.now += 20
    # Stale: it is not revalidated for a part.
    stale = await world.get("/", range="bytes=0-1")
    assert (stale.status, stale.hit, "if-none-match" in world.asked[-1].headers) == (206, False, False)
