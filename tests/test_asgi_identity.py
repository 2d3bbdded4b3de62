"""`may_do` and `may_see`: what tenants and grants let through, by a reference that is written in another way."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.api import ACTIONS, GRANTS, TENANT, Grant, Tenant, may_do, may_see, restricted

NAMES = st.sampled_from(["door", "door-2", "gate", "lab-1", "Door", ""])
GLOBS = st.sampled_from(["*", "door*", "gate", "lab-?", "[dg]*", "nothing"])
GRANT = st.builds(Grant, st.frozensets(st.sampled_from(ACTIONS)), st.lists(GLOBS, max_size=2).map(tuple))


def fits(camera: str, glob: str) -> bool:
    return re.fullmatch(glob.replace("*", ".*").replace("?", "."), camera) is not None


def test_nothing_restricts_where_nobody_asked_for_it() -> None:
    assert may_see({}, "door")
    assert all(may_do({}, action, "door") for action in ACTIONS)
    assert not restricted({})


@pytest.mark.parametrize(
    ("devices", "seen"), [(("door*",), True), (("gate", "door"), True), (("Door",), False), ((), False)]
)
def test_a_tenant_sees_what_its_globs_fit(devices: tuple[str, ...], seen: bool) -> None:
    scope: dict[str, Any] = {TENANT: Tenant("acme", devices)}
    assert may_see(scope, "door") is seen
    assert restricted(scope)


def test_an_authorize_without_a_grant_denies() -> None:
    assert not may_see({GRANTS: ((),)}, "door")
    assert restricted({GRANTS: ((),)})


@given(
    tenant=st.none() | st.builds(Tenant, st.just("acme"), st.lists(GLOBS, max_size=3).map(tuple)),
    grants=st.lists(st.lists(GRANT, max_size=3), max_size=3),
    camera=NAMES,
)
def test_everything_in_the_way_has_to_agree(tenant: Tenant | None, grants: list[list[Grant]], camera: str) -> None:
    scope: dict[str, Any] = {GRANTS: grants} | ({} if tenant is None else {TENANT: tenant})
    own = tenant is None or any(fits(camera, glob) for glob in tenant.devices)
    expected = {
        action: own
        and all(any(action in g.actions and any(fits(camera, d) for d in g.devices) for g in one) for one in grants)
        for action in ACTIONS
    }
    assert {action: may_do(scope, action, camera) for action in ACTIONS} == expected
    assert may_see(scope, camera) is any(expected.values())


def test_a_grant_of_everything_restricts_nothing() -> None:
    everything = Grant(frozenset(ACTIONS), ("door", "*"))
    assert not restricted({GRANTS: [[everything], [everything]]})
    assert restricted({GRANTS: [[everything], [Grant(frozenset(ACTIONS), ("door*",))]]})
    assert restricted({GRANTS: [[Grant(frozenset(["streams"]), ("*",))]]})
    assert restricted({TENANT: Tenant("acme", ("*",)), GRANTS: [[everything]]})
