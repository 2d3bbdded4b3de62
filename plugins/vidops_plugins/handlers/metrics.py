"""`metrics`: what Prometheus reads. Requests as the middleware counted them, cameras, the health of resources.

Who is restricted to some cameras sees those, and nothing of what others do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Options,
    Receive,
    Scope,
    Send,
    VidopsError,
    may_see,
    respond,
    respond_problem,
    restricted,
)

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CAMERA = (
    ("vidops_camera_frames_per_second", "captured_fps", "Frames that come from it."),
    ("vidops_camera_viewers", "viewers", "Who watches it now."),
)
CAMERA_TOTALS = (
    ("vidops_camera_frames", "frames", "Frames that came from it since the hub began."),
    ("vidops_camera_drops", "drops", "Frames of it that were no whole pictures."),
    ("vidops_camera_restarts", "restarts", "Ends of its source that nobody asked for."),
)


class ShowMetrics(Options):
    """The figures of this gateway and of the host's cameras, in Prometheus' text format."""


def build(options: ShowMetrics, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await respond_problem(scope, send, 405, "metrics are read", headers=[(b"allow", b"GET, HEAD")])
            return
        from prometheus_client import CollectorRegistry, generate_latest

        some = restricted(scope)
        seen = [c for c in context.cameras.states() if may_see(scope, str(c["name"]))]
        extra = CollectorRegistry()
        extra.register(_Fixed([*_cameras(seen), *([] if some else await _resources(context))]))
        body = generate_latest(extra)
        if not some:
            own = context.metrics.text()
            others = {int(a["worker"]): a["text"].encode() for a in await context.others("metrics")}
            several = (
                await asyncio.to_thread(side_by_side, {context.worker: own, **others}) if context.several() else own
            )
            body = several + body
        await respond(scope, send, 200, body, content_type=CONTENT_TYPE, headers=[(b"cache-control", b"no-store")])

    return app


def side_by_side(texts: Mapping[int, bytes]) -> bytes:
    """What several processes of one gateway have counted, each with its number as a label. They are not added: where
    one ends, the sum would go down, which Prometheus takes for a restart of all."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.parser import text_string_to_metric_families

    families: dict[str, Metric] = {}
    for worker, text in sorted(texts.items()):
        for family in text_string_to_metric_families(text.decode()):
            own = [s._replace(labels={**s.labels, "worker": str(worker)}) for s in family.samples]
            kept = families.setdefault(family.name, family)
            kept.samples = own if kept is family else [*kept.samples, *own]
    registry = CollectorRegistry()
    registry.register(_Fixed(list(families.values())))
    return generate_latest(registry)


class _Fixed:
    """A collector of what is there already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _cameras(states: list[Any]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    online = GaugeMetricFamily("vidops_camera_online", "Whether frames come from it.", labels=["camera"])
    for state in states:
        online.add_metric([state["name"]], float(state.get("state") == "Online"))
    yield online
    for name, key, text in CAMERA:
        gauge = GaugeMetricFamily(name, text, labels=["camera"])
        for state in states:
            gauge.add_metric([state["name"]], float(state.get(key, 0)))
        yield gauge
    for name, key, text in CAMERA_TOTALS:
        counter = CounterMetricFamily(name, text, labels=["camera"])
        for state in states:
            counter.add_metric([state["name"]], float(state.get(key, 0)))
        yield counter


async def _resources(context: GatewayContext) -> list[Metric]:
    """What the control plane says; that it does not answer is a figure, too."""
    from prometheus_client.core import GaugeMetricFamily

    up = GaugeMetricFamily("vidops_control_plane_up", "Whether the control plane answers.")
    healthy = GaugeMetricFamily("vidops_resource_healthy", "Whether it does its work.", labels=["kind", "name"])
    synced = GaugeMetricFamily("vidops_resource_synced", "Whether it is as the file says.", labels=["kind", "name"])
    try:
        said: Any = await context.control.status()
    except VidopsError:
        up.add_metric([], 0.0)
        return [up]
    up.add_metric([], 1.0)
    for resource in said.get("resources", ()):
        names = [str(resource["kind"]), str(resource["name"])]
        healthy.add_metric(names, float(resource.get("health") == "Healthy"))
        synced.add_metric(names, float(resource.get("sync") == "Synced"))
    return [up, healthy, synced]
