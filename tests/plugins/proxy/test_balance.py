from __future__ import annotations

from collections import Counter
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops_plugins.handlers.proxy.balance import Balancer, Breaker, Policy, State


def three(policy: Policy) -> Balancer:
    return Balancer(policy, [State(name, Breaker(2, 10)) for name in "abc"])


def picks(balancer: Balancer, count: int, client: str = "x") -> Counter[int | None]:
    return Counter(balancer.pick(0, client, ()) for _ in range(count))


def test_round_robin_takes_each_in_turn() -> None:
    balancer = three("round_robin")
    assert [balancer.pick(0, "", ()) for _ in range(6)] == [0, 1, 2, 0, 1, 2]
    balancer.states[1].healthy = False
    assert picks(balancer, 10) == {0: 5, 2: 5}


def test_first_takes_the_first_that_is_well() -> None:
    balancer = three("first")
    assert picks(balancer, 5) == {0: 5}
    balancer.states[0].healthy = False
    assert picks(balancer, 5) == {1: 5}


def test_least_connections() -> None:
    balancer = three("least_connections")
    balancer.states[0].active, balancer.states[1].active, balancer.states[2].active = 3, 1, 2
    assert balancer.pick(0, "", ()) == 1
    assert balancer.pick(0, "", {1}) == 2


def test_random_leaves_nobody_out() -> None:
    assert len(picks(three("random"), 300)) == 3


def test_a_client_stays_with_its_upstream() -> None:
    balancer = three("client_ip")
    homes = {f"10.0.0.{n}": balancer.pick(0, f"10.0.0.{n}", ()) for n in range(60)}
    assert set(homes.values()) == {0, 1, 2}
    balancer.states[0].healthy = False
    for client, home in homes.items():
        now = balancer.pick(0, client, ())
        assert now != 0
        assert home in (0, now), "only the clients of the one that went away move"


@pytest.mark.parametrize("policy", ["round_robin", "least_connections", "random", "client_ip", "first"])
def test_nobody_is_picked_where_nobody_is_well(policy: Policy) -> None:
    balancer = three(policy)
    assert balancer.pick(0, "", {0, 1, 2}) is None
    for state in balancer.states:
        state.healthy = False
    assert balancer.pick(0, "", ()) is None


def test_where_all_would_be_left_alone_none_is() -> None:
    balancer = three("round_robin")
    for state in balancer.states[:2]:
        for _ in range(2):
            state.breaker.failed(0)
    assert picks(balancer, 6) == {2: 6}
    for _ in range(2):
        balancer.states[2].breaker.failed(0)
    assert picks(balancer, 6) == {0: 2, 1: 2, 2: 2}
    assert balancer.pick(0, "", {0}) is None, "another try is for those that are well"
    balancer.states[1].healthy = False
    assert picks(balancer, 6) == {0: 3, 2: 3}


def test_a_breaker_that_never_opens() -> None:
    breaker = Breaker(inf, 0)
    assert not any(breaker.failed(0) for _ in range(1000))
    breaker.began()
    assert breaker.allows(0)


def test_a_breaker_opens_tries_and_closes() -> None:
    breaker = Breaker(failures=2, open_for=10)
    assert not breaker.failed(0)
    assert breaker.allows(0)
    assert breaker.failed(1)
    assert not breaker.allows(5)
    assert breaker.allows(11)
    breaker.began()
    assert not breaker.allows(11), "one request tries, others do not"
    assert not breaker.failed(12)
    assert not breaker.allows(21)
    breaker.began()
    breaker.succeeded()
    assert breaker.allows(12)


@given(st.lists(st.tuples(st.sampled_from(["ok", "fail", "leave"]), st.floats(0, 20)), max_size=40))
def test_an_open_breaker_lets_through_one_at_a_time(steps: list[tuple[str, float]]) -> None:
    breaker, now, failures = Breaker(failures=3, open_for=5), 0.0, 0
    for what, pause in steps:
        now += pause
        if not breaker.allows(now):
            assert failures >= 3
            continue
        breaker.began()
        if failures >= 3:
            assert not breaker.allows(now)
        match what:
            case "ok":
                breaker.succeeded()
                failures = 0
            case "fail":
                breaker.failed(now)
                failures += 1
            case _:
                breaker.gave_up()
