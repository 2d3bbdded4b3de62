"""What header fields say to a cache: dates, ages, directives, and what Vary compares (RFC 9110, 5.6.7; RFC 9111)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops_plugins.middleware.cache import fields

MOMENT = datetime(2031, 8, 5, 2, 1, 18, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "Tue, 05 Aug 2031 02:01:18 GMT",
        "tue, 05 AUG 2031 02:01:18 gmt",
        "Tuesday, 05-Aug-31 02:01:18 GMT",
        "Tue Aug  5 02:01:18 2031",
        " Tue, 05 Aug 2031 02:01:18 GMT ",
    ],
)
def test_a_date_has_three_forms(text: str) -> None:
    assert fields.when(text) == MOMENT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "Tue, 05 Aug 2031 02:01:18 UTC",
        "Tue, 05 Aug 2031 02:01:18 +0000",
        "Tue, 05 Aug 2031 02:01:18",
        "Tue 05 Aug 2031 02:01:18 GMT",
        "Tue, 5 Aug 2031 02:01:18 GMT",
        "Tue, 05 Aug 31 02:01:18 GMT",
        "Tue, 05-Aug-2031 02:01:18 GMT",
        "Tue, 05  Aug 2031 02:01:18 GMT",
        "Tue, 05 Aug 2031 2:01:18 GMT",
        "Tue, 05 Aug 2031 02.01.18 GMT",
        "Tue, 31 Feb 2031 02:01:18 GMT",
        "Tue, 05 Aug 2031 24:01:18 GMT",
        "Tue, 05 Aug 0000 02:01:18 GMT",
        "Tue, ٠5 Aug 2031 02:01:18 GMT",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert fields.when(text) is None


@given(st.integers(0, 4_000_000_000))
def test_every_second_is_read_as_it_was_written(second: int) -> None:
    assert fields.when(formatdate(second, usegmt=True)) == second


def test_two_digits_of_a_year_are_no_more_than_fifty_years_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields.time, "time", lambda: datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    for two, year in (("26", 2026), ("76", 2076), ("77", 1977), ("00", 2000)):
        moment = fields.when(f"Monday, 05-Aug-{two} 00:00:00 GMT")
        assert moment is not None
        assert datetime.fromtimestamp(moment, UTC).year == year


def test_a_leap_second_is_a_date() -> None:
    assert fields.when("Sat, 31 Dec 2016 23:59:60 GMT") == fields.when("Sat, 31 Dec 2016 23:59:59 GMT")


@pytest.mark.parametrize(
    ("said", "age"),
    [("0", 0), ("7", 7), (" 7 , 0", 7), ("0, 7", 0), ("-7", 0), ("7.0", 0), ("abc", 0), ("", 0), ("7;a=b", 0)],
)
def test_of_an_age_the_first_number_counts(said: str, age: int) -> None:
    assert fields.age_said([(b"age", said.encode())]) == age


@pytest.mark.parametrize(
    "text", ["max-age=60", "no-store", 'private="set-cookie"', 'no-cache="a, b"', r'x="a\"b"', "public, max-age=1"]
)
def test_directives_are_written_as_they_were_read(text: str) -> None:
    said = fields.directives([(b"cache-control", text.encode())])
    assert fields.written(said) in (text, text.replace('private="set-cookie"', "private=set-cookie"))


def compared(name: str, *values: str) -> dict[str, str] | None:
    return fields.varied([(b"vary", name.encode())], [(name.lower().encode(), value.encode()) for value in values])


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        ("X-Any", ["1, 2"], ["1", "2"], True),
        ("X-Any", ["1   2"], [" 1 2"], True),
        ("X-Any", ["a"], ["A"], False),
        ("X-Any", ["1,2"], ["1, 2"], False),
        ("Accept-Language", ["en, de;q=0.5"], ["EN ,de ; q=0.5"], True),
        ("Accept-Language", ["en, de"], ["en", "de"], True),
        ("Accept-Language", ["en, de"], ["de, en"], False),
        ("Accept-Encoding", ["gzip,br"], ["GZIP, br"], True),
    ],
)
def test_what_means_the_same_is_one_variant(name: str, one: list[str], other: list[str], same: bool) -> None:
    assert (compared(name, *one) == compared(name, *other)) is same
