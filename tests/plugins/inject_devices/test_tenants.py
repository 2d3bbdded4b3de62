"""What a backend lists of cameras that a request may not see goes, in answers and in messages."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.gateway.world import FedCameras
from vidops.api import TENANT, Message, Receive, Scope, Send, Tenant
from vidops_plugins.middleware.inject_devices import InjectDevices, build

LISTED = [{"serial": "S-YARD", "url": "rtsp://10.0.0.9"}, {"name": "yard"}, {"serial": "S-DOOR", "x": 1}, {"id": 7}]
LIST = {"type": "devices", "devices": LISTED}


@pytest.fixture
def cameras() -> FedCameras:
    it = FedCameras("door", "yard")
    for name, state in it.known.items():
        state["description"] = {"serial": f"S-{name.upper()}"}
    return it


def chain(cameras: FedCameras, app: Any) -> Any:
    options = InjectDevices.model_validate({"paths": ["/d"], "fields": {"id": "name"}, "messages": {}})
    context: Any = SimpleNamespace(cameras=cameras)
    return build(options, context)(app)


def scope(kind: str) -> Scope:
    return {
        "type": kind, "method": "GET", "path": "/d", "headers": [], "extensions": {}, TENANT: Tenant("acme", ("door",)),
    }  # fmt: skip


async def nothing() -> Message:
    return {"type": "http.request"}


async def test_an_answer_has_no_camera_of_another_tenant(cameras: FedCameras) -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(LIST).encode()})

    async def send(message: Message) -> None:
        sent.append(message)

    await chain(cameras, app)(scope("http"), nothing, send)
    assert json.loads(sent[1]["body"])["devices"] == [{"serial": "S-DOOR", "x": 1, "id": "door"}, {"id": 7}]


async def test_nor_has_a_message_at_once_and_later(cameras: FedCameras) -> None:
    sent: asyncio.Queue[Message] = asyncio.Queue()
    done = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.send", "text": json.dumps(LIST)})
        await done.wait()

    running = asyncio.ensure_future(chain(cameras, app)(scope("websocket"), nothing, sent.put))
    async with asyncio.timeout(10):
        first = json.loads((await sent.get())["text"])
        assert first["devices"] == [{"serial": "S-DOOR", "x": 1, "id": "door"}, {"id": 7}]
        cameras.change("door", state="Missing", description={"serial": "OTHER"})
        later = json.loads((await sent.get())["text"])
    assert later["devices"] == [{"serial": "S-DOOR", "x": 1}, {"id": 7}, {"id": "door"}]
    done.set()
    await running
