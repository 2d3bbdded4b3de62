"""RFC 9111, by hishel's states: what may be stored, what may be used, what a 304 freshens.

Not hishel's, and here: the age of what came from another cache (4.2.3), a request's directives but `no-cache` (5.2.1),
`must-understand` (5.2.2.3), fields for one kind of cache (RFC 9213), and RFC 5861's two kinds of staleness. hishel is
asked with headers that say the age as it is computed here, and with those stored responses alone whose Vary fits, since
it would revalidate others, too.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate

from hishel import (
    CacheMiss,
    CacheOptions,
    Entry,
    FromCache,
    Headers,
    IdleClient,
    NeedRevalidation,
    NeedToBeUpdated,
    StoreAndUse,
)
from hishel import Request as HishelRequest
from hishel import Response as HishelResponse

from vidops_plugins.middleware.cache.fields import Fields, age_said, directives, first, seconds, varied, when, written
from vidops_plugins.middleware.cache.targeted import governing

OPTIONS: CacheOptions = {"shared": True, "supported_methods": ["GET"], "allow_stale": False}
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"})
"""Methods that change nothing. Of one that is not known nobody can say that (4.4)."""
HEURISTIC_SHARE, HEURISTIC_MOST = 0.1, 86400
"""Of the time since Last-Modified, where a response says no more (4.2.2)."""
HEURISTIC_STATUS = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
UNDERSTOOD = frozenset({
    200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410,
    411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 500, 501, 502, 503, 504, 505,
})  # fmt: skip
"""RFC 9110's, of which a whole answer may be stored: what `must-understand` asks for (5.2.2.3)."""


@dataclass(slots=True)
class Stored:
    """A response, and the fields of the request that its Vary names. `at`: Unix time it came; `initial`: its age then.

    `lifetime`: seconds for which it is fresh.
    """

    status: int
    fields: Fields
    body: bytes
    varied: dict[str, str]
    at: float
    initial: float
    lifetime: float
    id: uuid.UUID = field(default_factory=uuid.uuid4)

    def age(self, now: float) -> float:
        return self.initial + max(0.0, now - self.at)

    @property
    def size(self) -> int:
        fields = sum(len(n) + len(v) + 120 for n, v in self.fields)
        return 600 + len(self.body) + fields + sum(len(n) + len(v) + 200 for n, v in self.varied.items())

    def fits(self, request: Fields) -> bool:
        """Whether the fields that its Vary names are the request's (4.1)."""
        return self.varied == varied(self.fields, request)


def storable(
    request: Fields,
    url: str,
    status: int,
    response: Fields,
    *,
    authorized: bool,
    ttl: float | None,
    targeted: Sequence[bytes] = (),
) -> tuple[Fields, float] | None:
    """What of a response's header is kept, and for how many seconds it is fresh; None where it may not be stored.

    `authorized`: whether the answer may be one person's (3.5), by an Authorization field or otherwise. `ttl`: for what
    says nothing of its freshness. `targeted`: fields that say the rules before Cache-Control does.
    """
    if "no-store" in directives(request) or varied(response, request) is None:
        return None
    if any(name == b"set-cookie" for name, _ in response):
        # It may be stored, by the letter; whose cookie it would be is nobody's to guess.
        return None
    governed = governing(response, targeted)
    said = directives(governed)
    if "must-understand" in said:
        if status not in UNDERSTOOD:
            return None
        # It is for caches that do not know of `must-understand`.
        said.pop("no-store", None)
    lifetime = _lifetime(status, governed, said, ttl)
    if lifetime is None:
        return None
    shadow = dict(_headers(governed))
    if not {"max-age", "s-maxage"} & said.keys() and "expires" not in shadow:
        said["max-age"] = str(int(lifetime))
    shadow["cache-control"] = [written(said)]
    headers = {"authorization": "it is there"} if authorized else {}
    state = CacheMiss(request=HishelRequest("GET", url, Headers(headers)), options=OPTIONS)
    outcome = state.next(HishelResponse(status, Headers(shadow)))
    if not isinstance(outcome, StoreAndUse):
        return None
    gone = {name.encode("latin-1") for name in shadow.keys() - set(outcome.response.headers)}
    return [(n, v) for n, v in response if n not in gone], lifetime


def _lifetime(status: int, response: Fields, said: dict[str, str], ttl: float | None) -> float | None:
    """Seconds of freshness (4.2.1); 0 for what is always to be revalidated, None for what cannot be kept."""
    for name in ("s-maxage", "max-age"):
        if name in said:
            # One that is no number is stale (4.2.1).
            return float(seconds(said, name) or 0)
    expires = first(response, b"expires")
    if expires:
        end, date = when(expires), when(first(response, b"date"))
        return max(0.0, end - (date if date is not None else time.time())) if end is not None else 0.0
    if "no-cache" in said:
        return 0.0
    if ttl is None and "must-revalidate" in said:
        return 0.0
    if status not in HEURISTIC_STATUS and not {"public", "must-revalidate"} & said.keys():
        return None
    if ttl is not None:
        return ttl
    modified = when(first(response, b"last-modified"))
    if modified is not None:
        return min(HEURISTIC_MOST, max(0.0, (time.time() - modified) * HEURISTIC_SHARE))
    # What can be revalidated is worth keeping.
    return 0.0 if "public" in said or first(response, b"etag") else None


def initial_age(response: Fields, delay: float, now: float) -> float:
    """How old a response was when it came, `delay` seconds after it was asked for (4.2.3)."""
    date = when(first(response, b"date"))
    # In whole seconds, as the date is: else what was made just now would be a second old.
    apparent = max(0.0, int(now) - date) if date is not None else 0.0
    return max(apparent, age_said(response) + delay)


@dataclass(frozen=True, slots=True)
class Choice:
    """`use`: what may be sent as it is. `check`: what is to be revalidated; it may be sent meanwhile where `meanwhile`,
    and where the upstream fails if `if_error`."""

    use: Stored | None = None
    check: Stored | None = None
    meanwhile: bool = False
    if_error: bool = False


def choose(request: Fields, url: str, found: Iterable[Stored], now: float, targeted: Sequence[bytes] = ()) -> Choice:
    """Of what is stored for a URL: what a request may have (4)."""
    fitting = sorted((s for s in found if s.fits(request)), key=lambda s: s.age(now))
    if not fitting:
        return Choice()
    stored = fitting[0]
    asked, said = directives(request), directives(governing(stored.fields, targeted))
    if not asked and first(request, b"pragma").strip().lower() == "no-cache":
        asked = {"no-cache": ""}
    age = stored.age(now)
    state = IdleClient(OPTIONS).next(_asking(url, asked), [_entry(stored, url, age, said)])
    limit, least = seconds(asked, "max-age"), seconds(asked, "min-fresh")
    too_old = (limit is not None and age > limit) or (least is not None and stored.lifetime - age < least)
    if isinstance(state, FromCache) and not too_old:
        return Choice(use=stored)
    stale = age - stored.lifetime
    strict = {"must-revalidate", "proxy-revalidate", "s-maxage"} & said.keys() or "no-cache" in said
    forced = "no-cache" in asked or too_old
    if "max-stale" in asked and not strict and not forced:
        allowed = seconds(asked, "max-stale")
        if asked["max-stale"] == "" or (allowed is not None and stale <= allowed):
            return Choice(use=stored)
    meanwhile = not strict and not forced and stale < (seconds(said, "stale-while-revalidate") or 0)
    # RFC 5861, 4: `s-maxage` forbids nothing here, `must-revalidate` does.
    hard = {"must-revalidate", "proxy-revalidate"} & said.keys() or "no-cache" in said
    if_error = not hard and stale < max(seconds(said, "stale-if-error") or 0, seconds(asked, "stale-if-error") or 0)
    return Choice(check=stored, meanwhile=meanwhile, if_error=if_error)


def conditions(stored: Stored) -> list[tuple[bytes, bytes]]:
    """The fields that have an upstream answer 304 where nothing has changed (4.3.1)."""
    found = []
    if tag := first(stored.fields, b"etag"):
        found.append((b"if-none-match", tag.encode("latin-1")))
    if modified := first(stored.fields, b"last-modified"):
        found.append((b"if-modified-since", modified.encode("latin-1")))
    return found


def freshened(stored: Stored, url: str, answer: Fields) -> list[tuple[bytes, bytes]] | None:
    """The header of what is stored after a 304 (4.3.4); None where the 304 is of something else."""
    entry = _entry(stored, url, 0.0, directives(stored.fields))
    state = NeedRevalidation(
        request=entry.request, original_request=entry.request, revalidating_entries=[entry], options=OPTIONS
    )
    outcome = state.next(HishelResponse(304, Headers(_headers(answer))))
    if not isinstance(outcome, NeedToBeUpdated):
        return None
    headers = outcome.updating_entries[0].response.headers
    own = {b"date", b"age", b"cache-control", b"expires"}
    # Of what is stored the age and freshness were put in for hishel: the answer's own go before.
    made = [(n, v) for n, v in stored.fields if n.decode("latin-1") in headers and n not in _names(answer)]
    kept = {n for n, _ in made} | own
    made += [(n, v) for n, v in answer if n in own or (n.decode("latin-1") in headers and n not in kept)]
    return made


def _names(fields: Fields) -> set[bytes]:
    return {name for name, _ in fields}


def _headers(fields: Fields) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return found


def _asking(url: str, asked: dict[str, str]) -> HishelRequest:
    return HishelRequest("GET", url, Headers({"cache-control": "no-cache"} if "no-cache" in asked else {}))


def _entry(stored: Stored, url: str, age: float, said: dict[str, str]) -> Entry:
    """As hishel computes: `Date` says the age, and `max-age` the freshness, whatever they were taken from."""
    headers = {n: v for n, v in _headers(stored.fields).items() if n not in ("expires", "age", "vary")}
    # In whole seconds, as dates are: fresh or not was said here, to the millisecond.
    fresh = age < stored.lifetime
    headers["date"] = [formatdate(time.time() - (0 if fresh else 10), usegmt=True)]
    kept = {name: value for name, value in said.items() if name not in ("max-age", "s-maxage")}
    headers["cache-control"] = [written({**kept, "max-age": "2" if fresh else "0"})]
    return Entry(stored.id, HishelRequest("GET", url), HishelResponse(stored.status, Headers(headers)))
