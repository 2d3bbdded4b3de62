"""The topological sort: right, stable, and clear about circles."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.planning.graph import CycleError, topological

numbers = st.integers(0, 12)
acyclic = st.dictionaries(numbers, st.sets(numbers)).map(
    lambda g: {n: {m for m in needs if m < n} for n, needs in g.items()}
)
graphs = st.dictionaries(numbers, st.sets(numbers))


@given(acyclic)
def test_each_comes_after_what_it_needs(graph: dict[int, set[int]]) -> None:
    order = topological(graph, key=lambda n: -n)
    assert sorted(order) == sorted(graph)
    place = {n: i for i, n in enumerate(order)}
    assert all(place[need] < place[n] for n, needs in graph.items() for need in needs if need in graph)


@given(acyclic, st.integers())
def test_the_order_does_not_depend_on_how_the_graph_is_written(graph: dict[int, set[int]], seed: int) -> None:
    items = list(graph.items())
    random.Random(seed).shuffle(items)
    assert topological(dict(items), key=lambda n: n) == topological(graph, key=lambda n: n)


@given(acyclic)
def test_free_choices_go_by_key(graph: dict[int, set[int]]) -> None:
    order = topological(graph, key=lambda n: n)
    done: set[int] = set()
    for node in order:
        ready = [n for n, needs in graph.items() if n not in done and all(m in done or m not in graph for m in needs)]
        assert node == min(ready)
        done.add(node)


@given(graphs)
def test_a_circle_is_named_or_there_is_none(graph: dict[int, set[int]]) -> None:
    try:
        order = topological(graph, key=lambda n: n)
    except CycleError as error:
        stuck = set(error.members)
        # Each of them waits for another of them: that is what a circle leaves.
        waiting = all(graph[n] & stuck for n in stuck)
    else:
        stuck, waiting = set(), True
        assert sorted(order) == sorted(graph)
    assert waiting
    assert (not stuck) == (not _has_circle(graph))


def _has_circle(graph: dict[int, set[int]]) -> bool:
    def reaches(start: int) -> bool:
        seen: set[int] = set()
        ahead = [m for m in graph[start] if m in graph]
        while ahead:
            node = ahead.pop()
            if node == start:
                return True
            if node not in seen:
                seen.add(node)
                ahead.extend(m for m in graph[node] if m in graph)
        return False

    return any(reaches(n) for n in graph)


def test_a_circle_says_who_is_in_it() -> None:
    with pytest.raises(CycleError, match="circular dependency among b, c, d") as caught:
        topological({"a": [], "b": ["c"], "c": ["b"], "d": ["c", "a"]}, key=str)
    assert caught.value.members == ("b", "c", "d")
