"""What a gateway counts, for Prometheus: one registry a process, in which middleware counts and a handler reads.

Names end in their unit (prometheus.io, "Metric and label naming"). Labels are bounded: routes as the stack file writes
them, known methods, status codes; never paths, addresses or users.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds."""


class Metrics:
    """Made when they are first used: a gateway that counts nothing does not load the library."""

    @cached_property
    def registry(self) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        return registry

    def text(self) -> bytes:
        """In Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)

    @cached_property
    def requests(self) -> Counter:
        """Of `route`, `method` and `status`."""
        from prometheus_client import Counter

        labels = ("route", "method", "status")
        return Counter("vidops_http_requests", "Requests that were answered.", labels, registry=self.registry)

    @cached_property
    def seconds(self) -> Histogram:
        """Of `route`; streams and WebSockets are not in it, since they last as long as somebody watches."""
        from prometheus_client import Histogram

        what = "From a request's head to the end of its answer."
        return Histogram(
            "vidops_http_request_duration_seconds", what, ("route",), buckets=BUCKETS, registry=self.registry
        )

    @cached_property
    def sent(self) -> Counter:
        """Of `route`."""
        from prometheus_client import Counter

        return Counter("vidops_http_response_bytes", "Bytes of answers' bodies.", ("route",), registry=self.registry)

    @cached_property
    def running(self) -> Gauge:
        """Of `route`."""
        from prometheus_client import Gauge

        return Gauge("vidops_http_requests_running", "Requests being answered.", ("route",), registry=self.registry)
