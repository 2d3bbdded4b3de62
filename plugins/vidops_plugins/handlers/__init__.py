"""Built-in handlers: what answers at the end of a route."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import HandlerType, hookimpl
from vidops_plugins.handlers import (
    application,
    captures,
    console,
    control,
    csp_report,
    devices,
    docs,
    health,
    metrics,
    proxy,
    recordings,
    redirect,
    registry,
    respond,
    snapshot,
    static,
    status,
    stream,
)


@hookimpl
def vidops_handlers() -> Sequence[HandlerType]:
    return (
        HandlerType(
            "stream",
            stream.Stream,
            stream.build,
            summary="Live video of a camera, as multipart JPEG.",
            describe=stream.describe,
        ),
        HandlerType(
            "snapshot",
            snapshot.Snapshot,
            snapshot.build,
            summary="One fresh JPEG of a camera.",
            describe=snapshot.describe,
        ),
        HandlerType(
            "devices",
            devices.Devices,
            devices.build,
            summary="The cameras, their states and controls, as JSON.",
            describe=devices.describe,
        ),
        HandlerType(
            "recordings",
            recordings.Recordings,
            recordings.build,
            summary="Recordings: list and files.",
            describe=recordings.describe,
        ),
        HandlerType(
            "captures",
            captures.Captures,
            captures.build,
            summary="What records; start and stop on demand.",
            describe=captures.describe,
        ),
        HandlerType("control", control.Control, control.build, summary="A WebSocket: cameras, commands."),
        HandlerType(
            "registry",
            registry.Registry,
            registry.build,
            summary="Devices and what records them, as JSON.",
            describe=registry.describe,
        ),
        HandlerType(
            "status",
            status.Status,
            status.build,
            summary="What the control plane says, as JSON.",
            describe=status.describe,
        ),
        HandlerType("console", console.Console, console.build, summary="A page: live cameras, states, recordings."),
        HandlerType(
            "health", health.Health, health.build, summary="Probes: /livez and /readyz.", describe=health.describe
        ),
        HandlerType("docs", docs.Docs, docs.build, summary="What this gateway answers: OpenAPI, and a page."),
        HandlerType("proxy", proxy.Proxy, proxy.build, summary="Services behind this gateway, WebSockets included."),
        HandlerType("static", static.Static, static.build_static, summary="Files of a directory."),
        HandlerType("spa", static.Spa, static.build_spa, summary="A single-page application."),
        HandlerType("media", static.Media, static.build_media, summary="Pictures, films and sounds of a directory."),
        HandlerType("redirect", redirect.Redirect, redirect.build, summary="Somewhere else, by a template."),
        HandlerType(
            "csp_report", csp_report.CspReport, csp_report.build, summary="Takes browsers' reports of refusals."
        ),
        HandlerType("metrics", metrics.ShowMetrics, metrics.build, summary="Figures for Prometheus."),
        HandlerType(
            "quart", application.Application, application.build, summary="An application of your own, by import path."
        ),
        HandlerType("respond", respond.Respond, respond.build, summary="A fixed answer."),
    )
