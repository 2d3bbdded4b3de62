"""Scalars with units: what is taken, and that what is written out is read back as the same."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vidops.stack import scalars
from vidops.stack.scalars import (
    MAX_DURATION,
    MAX_SIZE,
    Bind,
    Duration,
    Name,
    PositiveDuration,
    RoutePath,
    Size,
    VideoSize,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds", "canonical"),
    [
        ("10s", 10, "10s"), ("250ms", 0.25, "250ms"), ("5m", 300, "5m"), ("1h30m", 5400, "90m"),
        ("30d", 2592000, "30d"),
        ("1w", 604800, "7d"), ("0s", 0, "0s"), ("1.5s", 1.5, "1500ms"), ("0.0001s", 0.0001, "0.0001s"),
        ("60s", 60, "1m"),
        ("1d1ms", 86400.001, "86400001ms"), ("0.3m", 18, "18s"),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float, canonical: str) -> None:
    assert parse_duration(text) == pytest.approx(seconds)
    assert format_duration(parse_duration(text)) == canonical


@pytest.mark.parametrize(
    "value",
    [
        "", "10", "s", "10 s", " 10s", "10s ", "10s\n", "-1s", "+1s", "1e3s", "1.s", ".5s", "10sec", "1h 30m", "10S",
        "١s",
        10, 1.5, True, None, [], {}, "1h" * 101, "1s" + "0" * 10**6, "9999w",
    ],
)  # fmt: skip
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(ValueError, match=r"not a duration|hundred years"):
        parse_duration(value)


@pytest.mark.parametrize(("value", "hint"), [(10, "10s"), (1.5, "1.5s"), (0, "0s")])
def test_a_number_without_a_unit_is_answered_with_one(value: float, hint: str) -> None:
    with pytest.raises(ValueError, match=f"for example {hint}"):
        parse_duration(value)


@given(st.floats(0, MAX_DURATION))
def test_durations_come_back_exactly(seconds: float) -> None:
    seconds = round(seconds, 9)
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, MAX_SIZE))
def test_sizes_come_back_exactly(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0), ("1kB", 1000), ("1KB", 1000), ("64MiB", 2**26), ("50GiB", 50 * 2**30), ("1.5GiB", 3 * 2**29),
        ("10 MB", 10**7),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "value", ["", "10", "10mb", "10 ", "10  MB", "-1MB", 10, 1.5, None, True, "9e9GB", "9" * 100 + "B"]
)
def test_what_is_no_size(value: Any) -> None:
    with pytest.raises(ValueError, match=r"not a size|larger than"):
        parse_size(value)


def test_zero_is_refused_where_it_would_be_a_busy_loop() -> None:
    assert TypeAdapter(Duration).validate_python("0s") == 0
    with pytest.raises(ValidationError, match="longer than zero"):
        TypeAdapter(PositiveDuration).validate_python("0ms")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (VideoSize, ["1280x720", "1x1"], ["1280X720", "0x1", "1x", "100000x1", "1280x720\n", 1280]),
        (Name, ["a", "a-b_c", "0", "a" * 48], ["", "A", "-a", "a-", "a" * 49, "a b", "a/b", "a.b", "ä", "a\n", 1]),
        (
            Bind,
            ["0.0.0.0:80", "localhost:0", "[::1]:65535", "[fe80::1%eth0]:80", "unix:/run/a.sock"],
            ["80", ":80", "a:", "a:65536", "unix:80", "::1:80", "unix:a", "unix:/a b", "a b:80", 80,
             "unix:/" + "a" * 107],
        ),
        (
            RoutePath,
            ["/", "/**", "/a", "/a/", "/a/*", "/a/**", "/*/b", "/é", "/a.b", "/...", "/a:b@c;d"],
            ["", "a", "**", "/**/a", "/a*", "/***", "//", "/a//b", "//**", "/.", "/a/../b", "/a?b", "/a#b",
             "/a%20b", "/a b"],
        ),
    ],
)  # fmt: skip
def test_texts_with_a_form(kind: Any, good: list[str], bad: list[Any]) -> None:
    adapter = TypeAdapter(kind)
    for value in good:
        assert adapter.validate_python(value) == value
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers(), max_size=2)
)
unitish = st.lists(st.sampled_from("0123456789.smhdwkKMGTiB x:/*[]-_aA%"), max_size=12).map("".join)


@given(anything | unitish, st.sampled_from([Duration, PositiveDuration, Size, VideoSize, Name, Bind, RoutePath]))
def test_anything_is_taken_or_refused_and_the_schema_agrees(value: Any, kind: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        found = adapter.validate_python(value)
    except ValidationError:
        return
    jsonschema.validate(value, adapter.json_schema())
    assert adapter.validate_json(adapter.dump_json(found)) == found


@given(unitish, st.sampled_from([VideoSize, Name, RoutePath]))
def test_what_the_schema_takes_is_taken(text: str, kind: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    if jsonschema.Draft202012Validator(adapter.json_schema()).is_valid(text):
        assert adapter.validate_python(text) == text


def test_python_keeps_base_units_and_json_gets_units() -> None:
    assert TypeAdapter(Duration).dump_python(90.0) == 90.0
    assert TypeAdapter(Duration).dump_python(90.0, mode="json") == "90s"
    assert TypeAdapter(Size).dump_python(2**20, mode="json") == "1MiB"
    assert scalars.parse_video_size("640x360") == "640x360"
