"""Built-in directories of tenants."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import TenantDirectoryType, hookimpl
from vidops_plugins.tenants import static


@hookimpl
def vidops_tenants() -> Sequence[TenantDirectoryType]:
    return (TenantDirectoryType("static", static.Static, static.build, summary="Tenants in the stack file."),)
