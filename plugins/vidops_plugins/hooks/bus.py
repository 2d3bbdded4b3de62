"""`type: nats` and `type: mqtt`: the event as JSON on a message bus. A connection for each: events are rare."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from vidops.api import Deliver, EventHook, EventHookContext, SecretRef, TemporaryError

Topic = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s*>#+]+$")]


class Nats(EventHook):
    """Publishes to a subject, and waits until the server has it."""

    type: Literal["nats"]
    url: Annotated[str, Field(pattern=r"^(nats|tls)://[^\s@]+$", max_length=2000)] = "nats://127.0.0.1:4222"
    """The server; credentials are `token`'s."""
    subject: Topic = "vidops.{event}.{camera}"
    """{event}, {camera} and {capture} stand for the event's own."""
    token: SecretRef | None = None


class Mqtt(EventHook):
    """Publishes to a topic with QoS 1: the broker has it, or it is tried again."""

    type: Literal["mqtt"]
    url: Annotated[str, Field(pattern=r"^mqtts?://[^\s@/]+$", max_length=2000)] = "mqtt://127.0.0.1:1883"
    """The broker; mqtts:// is TLS."""
    topic: Topic = "vidops/{event}/{camera}"
    """{event}, {camera} and {capture} stand for the event's own."""
    username: str | None = None
    password: SecretRef | None = None


def named(template: str, event: Mapping[str, Any]) -> str:
    """A subject or topic with the event's own words in it."""
    for field in ("event", "camera", "capture"):
        template = template.replace(f"{{{field}}}", str(event.get(field) or "-"))
    return template


def build_nats(options: Nats, context: EventHookContext) -> Deliver:
    async def deliver(event: Mapping[str, Any]) -> None:
        import nats
        import nats.errors

        token = context.secret(options.token) if options.token else None
        try:
            client = await nats.connect(
                options.url, token=token, allow_reconnect=False, connect_timeout=options.timeout, error_cb=_quiet
            )  # fmt: skip
            try:
                await client.publish(named(options.subject, event), json.dumps(dict(event)).encode())
                await client.flush(timeout=math.ceil(options.timeout))
            finally:
                await client.close()
        except nats.errors.Error as error:
            raise TemporaryError(f"{options.url}: {error}", reason="Unreachable") from None

    return deliver


async def _quiet(error: Exception) -> None:
    """What goes wrong is raised where it does."""


def build_mqtt(options: Mqtt, context: EventHookContext) -> Deliver:
    place = urlsplit(options.url)

    async def deliver(event: Mapping[str, Any]) -> None:
        import ssl

        import aiomqtt

        secure = place.scheme == "mqtts"
        try:
            async with aiomqtt.Client(
                place.hostname or "",
                place.port or (8883 if secure else 1883),
                username=options.username,
                password=context.secret(options.password) if options.password else None,
                timeout=options.timeout,
                tls_context=ssl.create_default_context() if secure else None,
            ) as client:
                await client.publish(named(options.topic, event), json.dumps(dict(event)), qos=1)
        except aiomqtt.MqttError as error:
            raise TemporaryError(f"{options.url}: {error}", reason="Unreachable") from None

    return deliver
