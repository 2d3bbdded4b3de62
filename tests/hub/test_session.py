"""The control socket: everything that can be said, and everything that should not be."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from tests.hub.conftest import Inside, camera_json, until_true
from vidops.runtime.hubwire import LINE_LIMIT


async def ask(inside: Inside, *lines: bytes) -> list[dict[str, Any]]:
    """Answers until the hub closes the connection or all are there."""
    reader, writer = await asyncio.open_unix_connection(inside.layout.hub_socket, limit=LINE_LIMIT)
    answers = []
    try:
        for line in lines:
            writer.write(line + b"\n")
        for _ in lines:
            answer = await asyncio.wait_for(reader.readline(), 5)
            if not answer:
                break
            answers.append(json.loads(answer))
    except ConnectionError:
        pass
    finally:
        writer.close()
    return answers


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b'{"op": "dance"}',
        b'{"op": ["status"]}',
        b'{"op": "apply"}',
        b'{"op": "apply", "camera": []}',
        b'{"op": "apply", "camera": {"name": "x"}}',
        b'{"op": "apply", "camera": {"name": "../x", "program": null}}',
        b'{"op": "remove", "name": null}',
        b'{"op": "subscribe", "camera": 7}',
        b'{"viewers": 5}',
    ],
)
async def test_what_makes_no_sense_is_answered_and_the_connection_goes_on(inside: Inside, line: bytes) -> None:
    bad, good = await ask(inside, line, b'{"op": "status"}')
    assert (bad["ok"], bad["reason"]) == (False, "BadRequest")
    assert bad["error"]
    assert good["ok"]


async def test_an_unknown_camera_is_said(inside: Inside) -> None:
    (answer,) = await ask(inside, b'{"op": "subscribe", "camera": "attic"}')
    assert answer == {"ok": False, "reason": "UnknownCamera", "error": "there is no camera 'attic'"}


async def test_an_endless_line_ends_the_connection(inside: Inside) -> None:
    (answer,) = await ask(inside, b"x" * (LINE_LIMIT + 2))
    assert answer["reason"] == "BadRequest"
    (answer,) = await ask(inside, b'{"op": "status"}')
    assert answer["ok"]


async def test_requests_without_end_are_refused(inside: Inside) -> None:
    answers = await ask(inside, *[b'{"op": "status"}'] * 5000)
    assert len(answers) < 5000


async def test_arbitrary_bytes_leave_the_hub_serving(inside: Inside) -> None:
    dice = random.Random(7)
    words = [b"{", b"}", b'"op"', b":", b'"subscribe"', b'"camera"', b'"door"', b",", b"\n", b"\xff", b"[", b"1e999"]
    await inside.camera()
    for _ in range(60):
        _, writer = await asyncio.open_unix_connection(inside.layout.hub_socket)
        writer.write(b"".join(dice.choices(words, k=40)) + b"\n" + dice.randbytes(50))
        writer.close()
    assert (await inside.client.status())["ok"]
    await until_true(lambda: not inside.hub.cameras["door"].consumers, "nobody is left")


async def test_status_tells_of_cameras_and_consumers(inside: Inside) -> None:
    await inside.camera("yard")
    await inside.camera("door")
    subscription = inside.client.subscribe("door", lambda _: None)
    await inside.until_state("Online")
    status = await inside.client.status()
    assert [c["name"] for c in status["cameras"]] == ["door", "yard"]
    door = status["cameras"][0]
    assert door.keys() == {
        *(
            "name",
            "state",
            "reason",
            "message",
            "held",
            "viewers",
            "captured_fps",
            "width",
            "height",
            "frames",
            "drops",
        ),
        *("drop_reasons", "last_drop", "restarts", "since", "start_timeout", "fingerprint", "description", "codec"),
    }
    (consumer,) = status["consumers"]
    assert consumer.keys() == {"camera", "pid", "every", "frames", "backlog", "lost"}
    assert status["hub"].keys() == {"pid", "rss", "max_rss", "cpu"}
    subscription.close()


async def test_viewers_are_those_who_look_and_not_the_connections(inside: Inside) -> None:
    await inside.camera()
    first = inside.client.subscribe("door", lambda _: None)
    await inside.until_state("Online")
    second = inside.client.subscribe("door", lambda _: None)
    await until_true(lambda: inside.state()["viewers"] == 2, "two viewers")
    assert len((await inside.client.status())["consumers"]) == 1
    first.viewers = 300
    await until_true(lambda: inside.state()["viewers"] == 301, "301 viewers")
    first.close()
    await until_true(lambda: inside.state()["viewers"] == 1, "one is left")
    second.close()
    await until_true(lambda: inside.state()["viewers"] == 0, "none")


async def test_a_watcher_is_told_of_every_change(inside: Inside) -> None:
    reader, writer = await asyncio.open_unix_connection(inside.layout.hub_socket, limit=LINE_LIMIT)
    writer.write(b'{"op": "watch"}\n')
    assert json.loads(await reader.readline()) == {"ok": True, "cameras": []}

    async def news(wanted: str) -> None:
        while True:
            told = json.loads(await asyncio.wait_for(reader.readline(), 5))
            if told.get("camera", {}).get("state") == wanted or told == {wanted: "door"}:
                return

    await inside.camera()
    await news("Idle")
    subscription = inside.client.subscribe("door", lambda _: None)
    await news("Starting")
    await news("Online")
    subscription.close()
    await news("Idle")
    await inside.client.apply(camera_json("door", None))
    await news("Missing")
    await inside.client.remove("door")
    await news("removed")
    writer.close()
