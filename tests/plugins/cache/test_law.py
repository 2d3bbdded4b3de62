"""The law of a cache: whatever was asked before, nobody is given what is another person's or another tenant's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.cache.origin import Answer, World, copying, install
from vidops.api import TENANT, USER, ASGIApp, Receive, Scope, Send, Tenant, User, note

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
LONG = "/" + "c" * 3000


@dataclass(frozen=True)
class Step:
    """`late`: who asks is found out behind the cache. `content`: of the request, and whether it is announced."""

    person: str
    how: str
    tenant: str
    late: bool
    scheme: str
    path: str
    said: str
    passes: float
    method: str
    content: tuple[bytes, bool]

    @property
    def owner(self) -> str:
        """What the application answers: whose it is."""
        found_late = self.late and bool(self.tenant or (self.person and self.how == "user"))
        return "|".join((self.person, self.tenant, self.said, str(found_late), self.scheme, self.content[0].decode()))

    async def ask(self, world: World) -> Answer:
        who = {self.how: self.person} if self.person else {}
        method, tenant = self.method, self.tenant
        if method == "GET a part":
            method, who["range"] = "GET", "bytes=0-"
        if self.content[1]:
            who["content_length"] = str(len(self.content[0]))
        if self.late:
            user, tenant = who.pop("user", ""), ""
            world.found = {USER: User(user)} if user else {}
            world.found |= {TENANT: Tenant(self.tenant)} if self.tenant else {}
        return await world.get(
            self.path, method=method, scheme=self.scheme, tenant=tenant, content=self.content[0], **who
        )


steps = st.lists(
    st.builds(
        Step,
        person=st.sampled_from(["ann", "bob", ""]),
        how=st.sampled_from(["user", "authorization", "cookie"]),
        tenant=st.sampled_from(["acme", "globex", ""]),
        late=st.booleans(),
        scheme=st.sampled_from(["http", "http", "https"]),
        path=st.sampled_from(["/a", "/a", "/b", LONG]),
        said=st.sampled_from(SAID),
        passes=st.sampled_from([0.0, 1.0, 61.0]),
        method=st.sampled_from(["GET", "GET", "GET a part", "HEAD", "POST"]),
        content=st.sampled_from([(b"", False), (b"", True), (b"evil", True), (b"evil", False)]),
    ),
    max_size=25,
)


class LateWorld(World):
    """One with links behind the cache, of which one has a scope of its own, and the other notes `found` in it."""

    found: dict[str, Any]

    def __post_init__(self) -> None:
        self.found = {}
        self.behind = (copying, self._noting)
        super().__post_init__()

    def _noting(self, app: ASGIApp) -> ASGIApp:
        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            for name, value in self.found.items():
                note(scope, name, value)
            await app(scope, receive, send)

        return noted


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from([{}, {"ttl": "30s"}, {"targeted": ["for-this"]}, {"max_size": "3kB"}]))
async def test_nobody_is_given_what_is_another_persons(history: list[Step], options: dict[str, Any]) -> None:
    """Whatever was asked before: an answer for one person reaches another only where it says that it may, one for a
    tenant never another's, and what a request's body or what is found out behind the cache has made never anybody."""
    with pytest.MonkeyPatch.context() as patch:
        world = LateWorld(options=options)
        install(patch, world)
        for step in history:
            world.now += step.passes
            world.found = {}
            fields = {"cache-control": step.said} if step.said else {}
            if "targeted" in options and step.said:
                # What the others may do is not what this one may.
                fields = {"for-this": step.said, "cache-control": "public, max-age=60"}
            world.says = lambda _, owner=step.owner, fields=fields: (200, fields, owner.encode())  # type: ignore[misc]
            answer = await step.ask(world)
            assert world.store.size <= world.store.limit
            assert all(LONG not in key for key in world.store.keys())  # noqa: SIM118 - no dictionary
            if not answer.hit or not answer.body:
                continue
            made_for, made_in, said_then, found_late, scheme, content = answer.body.decode().split("|")
            assert made_in == ("" if step.late else step.tenant)
            assert (found_late, scheme, content) == ("False", step.scheme, "")
            assert not (step.content[0] and step.content[1])
            assert "private" not in said_then
            assert "no-store" not in said_then
            assert made_for in ("", step.person) or "public" in said_then or "s-maxage" in said_then
