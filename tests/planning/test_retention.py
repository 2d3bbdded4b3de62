"""What retention takes away: the laws, whatever the archive looks like."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vidops.planning.retention import Clip, Doomed, Shelf, doomed
from vidops.resources.specs import Retention

NOW = 1_000_000.0
GIB = 1024**3


def clip(capture: str, start: float, size: int = 10, end: float | None = None) -> Clip:
    return Clip(f"{capture}/{start:g}.mp4", capture, start, start + 60 if end is None else end, size)


def shelf(capture: str, rule: Retention, *starts: float, size: int = 10) -> dict[str, Shelf]:
    clips = [clip(capture, start, size) for start in sorted(starts)]
    return {capture: Shelf(rule, sum(c.bytes for c in clips), clips)}


def starts(found: list[Doomed]) -> list[tuple[float, str]]:
    return [(item.clip.start, item.why) for item in found]


def test_by_age_to_the_second() -> None:
    shelves = shelf("a", Retention(max_age=3600), NOW - 3661, NOW - 3660, NOW - 60)
    # It ends sixty seconds after its start: the second one is exactly an hour old, and stays.
    assert starts(doomed(shelves, now=NOW, free=GIB)) == [(NOW - 3661, "MaxAge")]


def test_by_size_the_oldest_first_and_no_more_than_it_takes() -> None:
    shelves = shelf("a", Retention(max_size=25), 1, 2, 3, 4)
    assert starts(doomed(shelves, now=NOW, free=GIB)) == [(1, "MaxSize"), (2, "MaxSize")]


def test_free_room_takes_the_oldest_of_all_that_ask_for_it() -> None:
    shelves = (
        shelf("a", Retention(min_free=100), 10, 30)
        | shelf("b", Retention(min_free=100), 20, 40)
        | shelf("theirs", Retention(), 1, 2)
    )
    assert starts(doomed(shelves, now=NOW, free=75)) == [(10, "MinFree"), (20, "MinFree"), (30, "MinFree")]


def test_who_asks_for_less_room_pays_less() -> None:
    shelves = shelf("a", Retention(min_free=100), 10, 30) | shelf("b", Retention(min_free=60), 1, 2)
    assert starts(doomed(shelves, now=NOW, free=85)) == [(10, "MinFree"), (30, "MinFree")]


def test_what_a_rule_frees_counts_for_the_disk() -> None:
    shelves = shelf("a", Retention(max_size=10, min_free=100), 1, 2, 3) | shelf("b", Retention(min_free=100), 0)
    assert starts(doomed(shelves, now=NOW, free=80)) == [(1, "MaxSize"), (2, "MaxSize")]


RULES = st.builds(
    Retention,
    max_age=st.none() | st.floats(0, 5000),
    max_size=st.none() | st.integers(0, 500),
    min_free=st.none() | st.integers(0, 2000),
)
CAPTURES = st.dictionaries(
    st.sampled_from("abc"),
    st.tuples(RULES, st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 90)), max_size=12)),
)


@given(CAPTURES, st.integers(0, 2000))
def test_laws(captures: dict[str, tuple[Retention, list[tuple[int, int]]]], free: int) -> None:
    shelves = {}
    for name, (rule, found) in captures.items():
        clips = [Clip(f"{name}/{i}", name, NOW - age, NOW - age, size) for i, (age, size) in enumerate(found)]
        clips.sort(key=lambda c: (c.start, c.path))
        shelves[name] = Shelf(rule, sum(c.bytes for c in clips), clips)
    gone = doomed(shelves, now=NOW, free=free)
    paths = {item.clip.path for item in gone}

    # Each is named once, oldest first; of a capture, what goes is the oldest part of it.
    assert len(paths) == len(gone)
    assert [item.clip.start for item in gone] == sorted(item.clip.start for item in gone)
    left = {}
    for name, s in shelves.items():
        flags = [c.path in paths for c in s.oldest]
        assert flags == sorted(flags, reverse=True)
        rest = [c for c in s.oldest if c.path not in paths]
        left[name] = Shelf(s.rule, sum(c.bytes for c in rest), rest)
    # Nothing goes without a rule, and what a rule asks for holds afterwards: asked again, it names nothing.
    assert all(shelves[item.clip.capture].rule != Retention() for item in gone)
    freed = free + sum(item.clip.bytes for item in gone)
    assert doomed(left, now=NOW, free=freed) == []
    # No more than it takes: without the youngest that went for room, the room would be wanted still.
    for_room = [item for item in gone if item.why == "MinFree"]
    if for_room:
        last = for_room[-1].clip
        wanted = shelves[last.capture].rule.min_free
        assert wanted is not None
        assert freed - last.bytes < wanted
