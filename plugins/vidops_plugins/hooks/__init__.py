"""Built-in hooks: who is told of what happens, and how."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import EventHookType, hookimpl
from vidops_plugins.hooks import bus, command, http


@hookimpl
def vidops_event_hooks() -> Sequence[EventHookType]:
    return (
        EventHookType("command", command.Command, command.build, summary="Runs a command with the event on its input."),
        EventHookType("http", http.Http, http.build, summary="Posts the event as JSON."),
        EventHookType("nats", bus.Nats, bus.build_nats, summary="Publishes the event to a NATS subject."),
        EventHookType("mqtt", bus.Mqtt, bus.build_mqtt, summary="Publishes the event to an MQTT topic."),
    )
