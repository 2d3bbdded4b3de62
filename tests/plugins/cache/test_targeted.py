"""Rules for one kind of cache (RFC 9213)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.cache.origin import Make
from vidops_plugins.middleware.cache.fields import directives
from vidops_plugins.middleware.cache.targeted import governing

CDN = "cdn-cache-control"


def said(text: str) -> dict[str, str] | None:
    """The directives of a targeted field; None where it is as if it were not there."""
    fields = [(b"cache-control", b"no-store"), (CDN.encode(), text.encode())]
    governed = governing(fields, [CDN.encode()])
    return None if governed is fields else directives(governed)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("max-age=60", {"max-age": "60"}),
        ("  max-age=60 ,\tpublic  ", {"max-age": "60", "public": ""}),
        ("max-age=1, max-age=60", {"max-age": "60"}),
        ("max-age=-5", {"max-age": "-5"}),
        ("public=?1, no-store=?0", {"public": ""}),
        ('private="set-cookie, a"', {"private": "set-cookie, a"}),
        ('max-age=60;a;b="x, y", x=(1 2;c "d");e, y=:aGk=:, z=1.5, t=@1700000000, u=tok/en:1', None),
        ("max-age=60;", None),
        ("max-age=60, &&&", None),
        ("max-age=60,", None),
        ("max-age =60", None),
        ("max-age= 60", None),
        ("Max-Age=60", None),
        ('max-age="60"', None),
        ("max-age=60.0", None),
        ("max-age", None),
        ("max-age=60 public", None),
        ('private="set-cookie', None),
        ("", None),
        ("no-store=?0", None),
    ],
)
def test_a_field_is_a_dictionary_or_nothing(text: str, found: dict[str, str] | None) -> None:
    if text.startswith("max-age=60;a"):
        assert (said(text) or {})["max-age"] == "60"
    else:
        assert said(text) == found


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_whatever_stands_there_something_is_said(text: str) -> None:
    found = said(text)
    assert found is None or found


def test_it_stands_in_the_place_of_both() -> None:
    fields = [(b"expires", b"0"), (b"cache-control", b"no-store"), (b"b", b"public"), (b"a", b"x y")]
    assert governing(fields, [b"a", b"b"]) == [(b"b", b"public"), (b"a", b"x y"), (b"cache-control", b"public")]
    assert governing(fields, [b"c"]) is fields


@pytest.mark.parametrize("targeted", [["CDN-Cache-Control"], []])
@pytest.mark.parametrize(
    ("own", "other", "hits"),
    [
        ("max-age=60", "no-store", (True, False)),
        ("no-store", "max-age=60", (False, True)),
        ("private", "max-age=60", (False, True)),
        ("no-cache", "max-age=60", (False, True)),
        ("max-age=0", "max-age=60", (False, True)),
        ("max-age=60, &", "no-store", (False, False)),
    ],
)
async def test_it_is_for_who_was_told_so(
    make: Make, targeted: list[str], own: str, other: str, hits: tuple[bool, bool]
) -> None:
    world = make({CDN: own, "cache-control": other, "expires": "0"}, targeted=targeted)
    await world.get("/")
    again = await world.get("/")
    assert again.hit is hits[0 if targeted else 1]
    # It goes on to the client, and so does what was meant for others.
    assert (again.headers[CDN], again.headers["cache-control"], again.headers["expires"]) == (own, other, "0")


async def test_a_person_is_protected_by_it_too(make: Make) -> None:
    for own, shared in (("max-age=60", False), ("max-age=60, public", True)):
        world = make({CDN: own, "cache-control": "public, max-age=60"}, targeted=["CDN-Cache-Control"])
        await world.get("/", authorization="Basic x")
        assert (await world.get("/")).hit is shared


async def test_it_counts_while_stale_too(make: Make) -> None:
    fields = {CDN: "max-age=10, stale-while-revalidate=30", "cache-control": "max-age=10, must-revalidate"}
    world = make(fields, targeted=["CDN-Cache-Control"])
    await world.get("/")
    world.now += 20
    assert (await world.get("/")).body == b"answer 1"
