"""Which route a path finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.errors import PermanentError
from vidops.gateway.routing import Pattern, Table


@pytest.mark.parametrize(
    ("pattern", "path", "rest"),
    [
        ("/", "/", ""),
        ("/", "/a", None),
        ("/a", "/a", ""),
        ("/a", "/a/", None),
        ("/a", "/ab", None),
        ("/a/", "/a/", ""),
        ("/a/", "/a", None),
        ("/a/*", "/a/b", ""),
        ("/a/*", "/a/", None),
        ("/a/*", "/a", None),
        ("/a/*", "/a/b/c", None),
        ("/*/b", "/a/b", ""),
        ("/*/b", "/b", None),
        ("/a/**", "/a", ""),
        ("/a/**", "/a/", ""),
        ("/a/**", "/a/b", "b"),
        ("/a/**", "/a/b/c d", "b/c d"),
        ("/a/**", "/ab", None),
        ("/a/*/**", "/a/b/c", "c"),
        ("/**", "/", ""),
        ("/**", "/a/b", "a/b"),
        ("/A", "/a", None),
    ],
)
def test_a_pattern_matches_whole_segments(pattern: str, path: str, rest: str | None) -> None:
    assert Pattern.parse(pattern).match(path[1:].split("/")) == rest


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("a", "does not start with /"),
        ("", "does not start with /"),
        ("/a*", "whole segment"),
        ("/**/a", "whole segment"),
        ("/a//b", "empty segment"),
        ("//**", "empty segment"),
        ("/a/../b", "no request has a segment"),
        ("/a b", "a space"),
        ("/a?b", "one of"),
        ("/a\\b", "one of"),
    ],
)
def test_a_pattern_that_could_never_match_is_an_error(pattern: str, said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        Pattern.parse(pattern)


def table(*routes: tuple[str, str]) -> Table[int]:
    return Table((Pattern.parse(path), methods.split(), i) for i, (path, methods) in enumerate(routes))


def test_the_first_in_order_answers() -> None:
    routes = table(("/a/b", ""), ("/a/*", ""), ("/a/b", ""), ("/**", ""))
    assert [routes.find(p, "GET").target for p in ("/a/b", "/a/c", "/x")] == [0, 1, 3]


def test_a_route_of_other_methods_is_passed_over() -> None:
    routes = table(("/a", "POST"), ("/a", "GET"), ("/b", "PUT"), ("/b", "GET DELETE"))
    assert routes.find("/a", "GET").target == 1
    assert routes.find("/a", "HEAD").target == 1
    assert routes.find("/b", "PATCH").allowed == ("PUT", "GET", "DELETE", "HEAD")
    assert routes.find("/b", "PATCH").target is None
    assert routes.find("/c", "GET").allowed == ()


SEGMENTS = st.lists(st.text("ab.-~é ", min_size=1, max_size=4), min_size=1, max_size=4)


@given(SEGMENTS, SEGMENTS)
def test_what_the_rest_holds_is_what_was_not_named(named: list[str], below: list[str]) -> None:
    pattern = Pattern(text="", segments=tuple(named), rest=True)
    assert pattern.match([*named, *below]) == "/".join(below)
    assert Pattern(text="", segments=tuple(named), rest=False).match([*named, *below]) is None
