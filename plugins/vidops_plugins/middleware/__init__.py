"""Built-in middleware: the links of chains. The first of a chain is the outermost."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import MiddlewareType, hookimpl
from vidops_plugins.middleware import (
    access_log,
    api_key,
    authorize,
    basic,
    jwt,
    limits,
    maintenance,
    oidc,
    request_id,
    security_headers,
    tenant,
)


@hookimpl
def vidops_middleware() -> Sequence[MiddlewareType]:
    return (
        MiddlewareType("access_log", access_log.AccessLog, access_log.build, summary="A line of JSON a request."),
        MiddlewareType("request_id", request_id.RequestId, request_id.build, summary="An id for each request."),
        MiddlewareType(
            "security_headers",
            security_headers.SecurityHeaders,
            security_headers.build,
            summary="Header fields that restrict what browsers do.",
        ),
        MiddlewareType("api_key", api_key.ApiKey, api_key.build, summary="Lets through who knows a key."),
        MiddlewareType(
            "authorize", authorize.Authorize, authorize.build, summary="Allows what its rules allow, nothing else."
        ),
        MiddlewareType(
            "tenant", tenant.TenantChoice, tenant.build, summary="Finds the tenant, and shows no other's cameras."
        ),
        MiddlewareType("basic", basic.Basic, basic.build, summary="Asks for name and password."),
        MiddlewareType("oidc", oidc.Oidc, oidc.build, summary="Has browsers log in at an OpenID provider."),
        MiddlewareType("jwt", jwt.Jwt, jwt.build, summary="Lets through who has a valid JSON Web Token."),
        MiddlewareType("limits", limits.Limits, limits.build, summary="Size of bodies, number of requests."),
        MiddlewareType("maintenance", maintenance.Maintenance, maintenance.build, summary="503 for everybody."),
    )
