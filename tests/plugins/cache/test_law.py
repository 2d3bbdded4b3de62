"""The law of a cache: whatever was asked before, nobody is given what is another person's or another tenant's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.cache.origin import Answer, World, install

SAID = [
    "",
    "max-age=60",
    "public, max-age=60",
    "private, max-age=60",
    "no-store",
    "s-maxage=60",
    "no-cache",
    "max-age=0",
]
steps = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", ""]),
        st.sampled_from(["user", "authorization", "cookie"]),
        st.sampled_from(["acme", "globex", ""]),
        st.sampled_from(["/a", "/b"]),
        st.sampled_from(SAID),
        st.sampled_from([0.0, 1.0, 61.0]),
        st.sampled_from(["GET", "GET a part", "HEAD", "POST"]),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from([{}, {"ttl": "30s"}, {"targeted": ["for-this"]}]))
async def test_nobody_is_given_what_is_another_persons(history: list[Any], options: dict[str, Any]) -> None:
    """Whatever was asked before: an answer for one person reaches another only where it says that it may, and one for a
    tenant never another's."""
    with pytest.MonkeyPatch.context() as patch:
        world = install(patch, World(options=options))
        for person, how, tenant, path, said, passes, method in history:
            world.now += passes
            fields = {"cache-control": said} if said else {}
            if "targeted" in options and said:
                # What the others may do is not what this one may.
                fields = {"for-this": said, "cache-control": "public, max-age=60"}
            owner = f"{person}|{tenant}|{said}"
            world.says = lambda _, owner=owner, fields=fields: (200, fields, owner.encode())  # type: ignore[misc]
            who = {how: person} if person else {}
            if method == "GET a part":
                method, who["range"] = "GET", "bytes=0-"
            answer: Answer = await world.get(path, method=method, tenant=tenant, **who)
            if not answer.hit or not answer.body:
                continue
            made_for, made_in, said_then = answer.body.decode().split("|")
            assert made_in == tenant
            assert "private" not in said_then
            assert "no-store" not in said_then
            assert made_for in ("", person) or "public" in said_then or "s-maxage" in said_then
