"""Built-in directories of tenants."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import TenantDirectoryType, hookimpl
from vidops_plugins.tenants import http, sql, static


@hookimpl
def vidops_tenants() -> Sequence[TenantDirectoryType]:
    return (
        TenantDirectoryType("static", static.StaticTenants, static.build, summary="Tenants in the stack file."),
        TenantDirectoryType("sqlite", sql.SqliteTenants, sql.build, summary="Tenants in a SQLite database."),
        TenantDirectoryType("http", http.HttpTenants, http.build, summary="Tenants that a web service knows."),
    )
