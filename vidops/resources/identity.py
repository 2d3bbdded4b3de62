"""Who asks, on whose behalf, and where tenants are looked up. Pure; the middleware that finds these out are plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from vidops.resources.specs import SecretRef

Action = Literal["streams", "controls", "recordings", "edits"]
"""What is done with a camera: its pictures are looked at; it is started, stopped, set; its recordings are looked at;
recordings are kept and deleted."""
ACTIONS: tuple[Action, ...] = ("streams", "controls", "recordings", "edits")


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. `via` is the middleware that found out; `claims` what its token or session says besides."""

    name: str
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict)
    via: str = ""


@dataclass(frozen=True, slots=True)
class Tenant:
    """On whose behalf. `devices`: globs over names of cameras; what fits none of them is not there for this tenant."""

    name: str
    devices: tuple[str, ...] = ()

    def has(self, camera: str) -> bool:
        return any(fnmatchcase(camera, glob) for glob in self.devices)


@dataclass(frozen=True, slots=True)
class Grant:
    """Some actions on the cameras that one of the globs fits."""

    actions: frozenset[str]
    devices: tuple[str, ...]

    @property
    def everything(self) -> bool:
        return "*" in self.devices and self.actions.issuperset(ACTIONS)

    def covers(self, action: str, camera: str) -> bool:
        return action in self.actions and any(fnmatchcase(camera, glob) for glob in self.devices)


class TenantDirectory:
    """Where tenants are looked up: base of what a `TenantDirectoryType` builds, inside the gateway process.

    All methods are asked in the event loop and must not block it; each raises `TemporaryError` where it cannot tell
    now (the request is answered 503). A name comes from a request: it may be anything of at most 200 characters.
    """

    async def lookup(self, name: str) -> Tenant | None:
        """The tenant of that name; None where there is none."""
        raise NotImplementedError

    async def is_member(self, tenant: Tenant, user: User) -> bool:
        """Whether the user may act for the tenant. `user.name` is what the authentication before vouches for.

        Asked of a name that `lookup` does not know, too, so that the time of a refusal does not tell which there are:
        False then, after as much work.
        """
        raise NotImplementedError

    async def resolve(self, user: User, request: Mapping[str, Any]) -> str | None:
        """The tenant that a request is for, where the directory itself can tell (`from: [{directory: true}]`).

        `request` is the ASGI scope. None: it cannot tell, and the next place is asked.
        """
        return None

    @property
    def resolves(self) -> bool:
        """Whether `resolve` can ever tell. A route that asks one which cannot (`directory: true`) is not built."""
        return type(self).resolve is not TenantDirectory.resolve

    async def close(self) -> None:
        """No route uses it any more."""


@dataclass(frozen=True, slots=True)
class TenantContext:
    """What a directory may know when it is built. `secret(ref)` resolves a reference; relative paths start from
    `base_dir`, the stack file's directory; `log(record)` writes a line of JSON."""

    directory: str
    base_dir: str
    secret: Callable[[SecretRef], str]
    log: Callable[[Mapping[str, Any]], None]
