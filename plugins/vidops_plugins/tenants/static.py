"""`type: static`: tenants written in the stack file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from vidops.api import Name, Options, Tenant, TenantContext, TenantDirectory, TenantDirectoryOptions, User

Glob = Annotated[str, Field(min_length=1, max_length=100)]
Member = Annotated[str, Field(min_length=1, max_length=200)]


class StaticTenant(Options):
    """A tenant: who belongs to it, and which cameras are its own."""

    members: tuple[Member, ...] = ()
    """Names of users, as authentication gives them. Nobody else may act for the tenant."""
    devices: tuple[Glob, ...] = ()
    """Its cameras: names and globs, "door*"."""


class StaticTenants(TenantDirectoryOptions):
    """Tenants in the stack file."""

    type: Literal["static"]
    tenants: dict[Name, StaticTenant]
    """By name."""


class StaticDirectory(TenantDirectory):
    def __init__(self, tenants: Mapping[str, StaticTenant]) -> None:
        self._tenants = {name: Tenant(name, tenant.devices) for name, tenant in tenants.items()}
        self._members = {name: frozenset(tenant.members) for name, tenant in tenants.items()}

    async def lookup(self, name: str) -> Tenant | None:
        return self._tenants.get(name)

    async def is_member(self, tenant: Tenant, user: User) -> bool:
        return user.name in self._members.get(tenant.name, frozenset())

    async def resolve(self, user: User, request: Mapping[str, Any]) -> str | None:
        """The one tenant that the user is a member of; whoever is of several has to say which."""
        mine = [name for name, members in self._members.items() if user.name in members]
        return mine[0] if len(mine) == 1 else None


def build(options: StaticTenants, context: TenantContext) -> StaticDirectory:
    return StaticDirectory(options.tenants)
