"""`tenant`: on whose behalf a request is made, and whether who makes it may.

The places of `from` are looked at in order; the first that names a tenant counts, and the directory says whether
there is such a one and whether the user is a member. Whoever asks for a tenant that is none of theirs is answered as
if there were none: which names exist is not for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field, model_validator

from vidops.api import (
    TENANT,
    ASGIApp,
    GatewayContext,
    Options,
    PermanentError,
    Receive,
    Reference,
    Scope,
    Send,
    Tenant,
    TenantDirectory,
    User,
    note,
    respond_problem,
    user_of,
)

Word = Annotated[str, Field(min_length=1, max_length=200)]
MAX_NAME = 200
SEVERAL = ""
"""What stands for several names where there should be one: no tenant is called like that."""


class TenantPlace(Options):
    """Where the name of the tenant may be: exactly one of these."""

    claim: Word | None = None
    """A claim of the user's token or session. With dots, one inside of another."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    """A header field. Whoever can set it chooses; membership is asked for all the same."""
    subdomain: Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$", max_length=253)] | None = None
    """The one label of Host before this domain: `example.com` takes `acme` from `acme.example.com`."""
    path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*/\{tenant\}$")] | None = None
    """A segment of the path: `/t/{tenant}` takes `acme` from `/t/acme/stream/door`."""
    directory: bool | None = None
    """`true`: the directory's own word, for example the one tenant that the user is a member of: of `static`, of
    `sqlite` with `tenant_of_user`, or of a plugin's that can tell."""

    @model_validator(mode="after")
    def _one(self) -> TenantPlace:
        given = [value for value in (self.claim, self.header, self.subdomain, self.path, self.directory) if value]
        if len(given) != 1:
            raise ValueError("a place is exactly one of claim, header, subdomain, path, directory: true")
        return self


class TenantChoice(Options):
    """Finds the tenant of a request; what is behind it shows that tenant's cameras alone (403, 401)."""

    directory: Annotated[str, Reference("tenants")] = "directory"
    """The entry of `tenants` that knows tenants and their members."""
    from_: Annotated[tuple[TenantPlace, ...], Field(min_length=1, max_length=20, alias="from")]
    """Where the name may be, in this order."""
    members_only: bool = True
    """Let in members alone. Without it, whoever names a tenant may act for it: only behind something else that makes
    sure of that."""


def build(options: TenantChoice, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    directory = context.tenants(options.directory)
    if any(place.directory for place in options.from_) and not directory.resolves:
        raise PermanentError(
            f"tenant: {options.directory!r} cannot tell of which tenant a user is, as `directory: true` asks: name "
            "another place (a directory of type sqlite can with `tenant_of_user`, one of type http never)",
            reason="NoPlace",
        )
    headers = frozenset(place.header.lower().encode() for place in options.from_ if place.header)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            user = user_of(scope)
            if user is None and options.members_only:
                await respond_problem(scope, send, 401, "nobody is known to ask: log in first", reason="NoUser")
                return
            asking = user or User("")
            name = await find_name(scope, options.from_, asking, directory)
            tenant = await allowed(name, asking, directory, options) if name and len(name) <= MAX_NAME else None
            if tenant is None:
                await respond_problem(scope, send, 403, "for no tenant of yours", reason="NoTenant")
                return
            note(scope, TENANT, tenant)
            if headers:
                scope = {**scope, "headers": [field for field in scope["headers"] if field[0] not in headers]}
            await app(scope, receive, send)

        return guarded

    return wrap


async def allowed(name: str, user: User, directory: TenantDirectory, options: TenantChoice) -> Tenant | None:
    """The tenant, where there is such a one and the user may act for it."""
    tenant = await directory.lookup(name)
    if options.members_only:
        # Asked where there is no such tenant, too: the time of an answer would say that there is none.
        member = await directory.is_member(tenant or Tenant(name), user)
        return tenant if member else None
    return tenant


async def find_name(scope: Scope, places: Sequence[TenantPlace], user: User, directory: TenantDirectory) -> str | None:
    """The name that the first place has which has one."""
    for place in places:
        name = await directory.resolve(user, scope) if place.directory else in_place(scope, place, user)
        if name is not None:
            return name
    return None


def in_place(scope: Scope, place: TenantPlace, user: User) -> str | None:
    if place.claim is not None:
        return _claim(user, place.claim)
    if place.header is not None:
        wanted = place.header.lower().encode()
        values = [value.decode("latin-1").strip() for name, value in scope["headers"] if name == wanted]
        return values[0] if len(values) == 1 else SEVERAL if values else None
    if place.subdomain is not None:
        return _subdomain(scope, place.subdomain)
    if place.path is not None:
        return _segment(scope["path"], place.path.removesuffix("{tenant}"))
    return None


def _claim(user: User, name: str) -> str | None:
    value: Any = user.claims.get(name)
    if value is None:
        value = user.claims
        for step in name.split("."):
            value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) or value is None else SEVERAL


def _subdomain(scope: Scope, domain: str) -> str | None:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    host = hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""
    label, dot, rest = host.partition(":")[0].removesuffix(".").partition(".")
    return label if dot and rest == domain and label else None


def _segment(path: str, prefix: str) -> str | None:
    if not path.startswith(prefix):
        return None
    return path[len(prefix) :].partition("/")[0] or None
