"""Built-in middleware: the links of chains. The first of a chain is the outermost."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import MiddlewareType, hookimpl
from vidops_plugins.middleware import (
    access_log,
    api_key,
    authorize,
    basic,
    cache,
    client_certificate,
    compress,
    cors,
    csp,
    csrf,
    filesystem_guard,
    headers,
    host_guard,
    inject_devices,
    jwt,
    limits,
    maintenance,
    metrics,
    oidc,
    rate_limit,
    request_id,
    rewrite,
    security_headers,
    tenant,
    traceparent,
    trusted_proxies,
    websocket_origin,
)


@hookimpl
def vidops_middleware() -> Sequence[MiddlewareType]:
    return (
        MiddlewareType("access_log", access_log.AccessLog, access_log.build, summary="A line of JSON a request."),
        MiddlewareType(
            "traceparent", traceparent.Traceparent, traceparent.build, summary="Each request is part of a trace."
        ),
        MiddlewareType(
            "host_guard",
            host_guard.HostGuard,
            host_guard.build,
            summary="Refuses requests of a host with too much to do.",
        ),
        MiddlewareType(
            "filesystem_guard",
            filesystem_guard.FilesystemGuard,
            filesystem_guard.build,
            summary="Refuses what would write while there is no room.",
        ),
        MiddlewareType("request_id", request_id.RequestId, request_id.build, summary="An id for each request."),
        MiddlewareType(
            "security_headers",
            security_headers.SecurityHeaders,
            security_headers.build,
            summary="Header fields that restrict what browsers do.",
        ),
        MiddlewareType(
            "trusted_proxies",
            trusted_proxies.TrustedProxies,
            trusted_proxies.build,
            summary="Who really asks, by the word of listed proxies.",
            identifies=True,
        ),
        MiddlewareType("headers", headers.Headers, headers.build, summary="Header fields set and taken away."),
        MiddlewareType("rewrite", rewrite.Rewrite, rewrite.build, summary="Another path for what comes after."),
        MiddlewareType(
            "cache", cache.Cache, cache.build, summary="Answers that may be used again are (RFC 9111).", keeps=True
        ),
        MiddlewareType("compress", compress.Compress, compress.build, summary="Smaller texts: zstd, br, gzip."),
        MiddlewareType(
            "cors", cors.Cors, cors.build, summary="Lets pages of listed origins ask.", methods=("OPTIONS",)
        ),
        MiddlewareType("csp", csp.Csp, csp.build, summary="Restricts what pages may load and run."),
        MiddlewareType("csrf", csrf.Csrf, csrf.build, summary="Refuses changes by other sites' pages."),
        MiddlewareType(
            "websocket_origin",
            websocket_origin.WebSocketOrigin,
            websocket_origin.build,
            summary="Refuses WebSockets of other sites' pages.",
        ),
        MiddlewareType(
            "api_key", api_key.ApiKey, api_key.build, summary="Lets through who knows a key.", identifies=True
        ),
        MiddlewareType(
            "authorize",
            authorize.Authorize,
            authorize.build,
            summary="Allows what its rules allow, nothing else.",
            identifies=True,
        ),
        MiddlewareType(
            "tenant",
            tenant.TenantChoice,
            tenant.build,
            summary="Finds the tenant, and shows no other's cameras.",
            identifies=True,
        ),
        MiddlewareType("basic", basic.Basic, basic.build, summary="Asks for name and password.", identifies=True),
        MiddlewareType(
            "client_certificate",
            client_certificate.ClientCertificate,
            client_certificate.build,
            summary="Lets through who has shown a certificate.",
            identifies=True,
        ),
        MiddlewareType(
            "oidc",
            oidc.Oidc,
            oidc.build,
            summary="Has browsers log in at an OpenID provider.",
            alone=oidc.alone,
            identifies=True,
        ),
        MiddlewareType(
            "jwt", jwt.Jwt, jwt.build, summary="Lets through who has a valid JSON Web Token.", identifies=True
        ),
        MiddlewareType(
            "rate_limit",
            rate_limit.RateLimit,
            rate_limit.build,
            summary="How often somebody may ask.",
            alone=rate_limit.alone,
        ),
        MiddlewareType("metrics", metrics.CountRequests, metrics.build, summary="Counts requests for Prometheus."),
        MiddlewareType(
            "inject_devices",
            inject_devices.InjectDevices,
            inject_devices.build,
            summary="Puts this host's cameras into a backend's answers.",
        ),
        MiddlewareType(
            "limits",
            limits.Limits,
            limits.build,
            summary="Size of bodies, number of requests.",
            alone=limits.alone,
        ),
        MiddlewareType("maintenance", maintenance.Maintenance, maintenance.build, summary="503 for everybody."),
    )
