"""Hooks on real parts: a command, an HTTP server, NATS and Mosquitto; failures are tried again, and hold up nobody."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vidops.testing import Host, free_port, wait_until

pytestmark = pytest.mark.integration

Start = Callable[..., Host]

STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: file, path: {video}}}
  other: {{source: testsrc, mode: {{video_size: 160x120, framerate: 5}}}}
captures:
  archive: {{device: cam, segment: {{duration: 1s, path: "%s"}}}}
hooks:
{hooks}
"""


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mkv"
    argv = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=60", "-c:v", "mjpeg"]
    subprocess.run([*argv, str(path)], check=True)
    return path


class Server:
    """Takes posts; answers with `status`."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[dict[str, Any]] = []
        self.tries = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.tries += 1
                if server.status < 300:
                    server.got.append({**json.loads(body), "authorization": self.headers["Authorization"]})
                self.send_response(server.status)
                self.send_header("Location", "http://127.0.0.1:9/")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    it = Server()
    yield it
    it.server.shutdown()
    it.server.server_close()


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_command_hears_of_segments_and_cameras(vidops_host: Start, video: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    script = tmp_path / "tell.sh"
    script.write_text(f'#!/bin/sh\n[ "$VIDOPS_CAMERA" = cam ] && cat >> {heard}\n')
    script.chmod(0o755)
    hooks = (
        f"  all: {{type: command, command: [{script}], cameras: cam, "
        "on: [segment_create, segment_complete, camera_lost, camera_found]}\n"
        f"  none: {{type: command, command: [{script}], captures: nothing, on: [segment_complete]}}\n"
    )
    host = vidops_host(STACK.format(video=video, hooks=hooks))
    done = host.until(
        lambda: [e for e in events(heard) if e["event"] == "segment_complete"], what="a finished segment is told of"
    )[0]
    assert Path(done["file"]) == Path(host.layout.data_dir, done["path"])
    assert (done["camera"], done["capture"], done["codec"]) == ("cam", "archive", "mjpeg")
    assert Path(done["file"]).stat().st_size == done["bytes"]
    assert "segment_create" in {e["event"] for e in events(heard)}

    away = video.rename(video.with_suffix(".away"))
    os.kill(host.pid("source/cam"), signal.SIGKILL)
    lost = host.until(lambda: [e for e in events(heard) if e["event"] == "camera_lost"], what="the loss")[0]
    assert "No such file" in lost["message"]
    away.rename(video)
    host.until(lambda: [e for e in events(heard) if e["event"] == "camera_found"], timeout=60, what="it is found")
    report = host.resource("hook/all")
    assert (report["health"], report["facts"]["failed"], report["facts"]["dropped"]) == ("Healthy", 0, 0)
    assert host.resource("hook/none")["facts"]["delivered"] == 0


def test_what_fails_is_tried_again_and_shown(vidops_host: Start, video: Path, server: Server) -> None:
    hooks = (
        f'  web: {{type: http, url: "http://127.0.0.1:{server.port}/x", on: [segment_complete], '
        "authorization: {env: HOOK_TOKEN}}\n"
        "  hangs: {type: command, command: [sleep, '600'], on: [segment_complete], timeout: 1s, attempts: 2}\n"
        "  missing: {type: command, command: [/no/such/program], on: [segment_complete]}\n"
    )
    host = vidops_host(STACK.format(video=video, hooks=hooks), env={"HOOK_TOKEN": "Bearer s3cret"})
    host.until(lambda: server.got, what="a post")
    assert server.got[0]["authorization"] == "Bearer s3cret"
    server.status = 503
    before = len(server.got)
    row = host.until(
        lambda: r if (r := host.resource("hook/web"))["health"] == "Degraded" else None, what="the failure"
    )
    assert "HTTP 503" in row["message"]
    server.status = 204
    host.until(lambda: len(server.got) > before and host.health("hook/web") == "Healthy", what="it is told again")
    paths = [e["path"] for e in server.got]
    assert paths == list(dict.fromkeys(paths)), "each once, in order"

    # A redirect is no delivery, and one that hangs is ended, with nobody waiting for it.
    server.status = 307
    host.until(lambda: "HTTP 307" in host.resource("hook/web")["message"], what="a redirect")
    assert "no answer within 1s" in host.until(lambda: host.resource("hook/hangs")["message"], what="the timeout")
    assert "/no/such/program" in host.resource("hook/missing")["message"]
    assert host.health("capture/archive") == "Healthy"
    assert "s3cret" not in host.log() + json.dumps(host.status()) + host.cli("plan", str(host.stack_path)).stdout

    # Removing a hook is live.
    recorder = host.pid("capture/archive")
    host.write(STACK.format(video=video, hooks="  {}"))
    host.until(lambda: not host.resource("hook/hangs"), what="the edit")
    assert host.pid("capture/archive") == recorder
    assert host.stop() == 0
    assert host.processes() == []


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Starts a broker as it comes from the distribution."""
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, port: int, *arguments: str) -> None:
        program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, f"{name} is not installed"
        log = open(tmp_path / f"{name}.log", "wb")  # noqa: SIM115 - the process's
        running.append(subprocess.Popen([program, *arguments], stdout=log, stderr=log))
        wait_until(lambda: _listens(port), what=name)

    yield start
    for process in running:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    hexadecimal = f":{port:04X}"
    return any(
        line.split()[1].endswith(hexadecimal) and line.split()[3] == "0A"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    )


async def test_events_on_nats_and_mqtt(
    vidops_host: Start, video: Path, bus: Callable[..., None], tmp_path: Path
) -> None:
    import asyncio

    import aiomqtt
    import nats

    nats_port, mqtt_port = free_port(), free_port()
    bus("nats-server", nats_port, "-a", "127.0.0.1", "-p", str(nats_port), "--auth", "s3cret")
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {mqtt_port} 127.0.0.1\nallow_anonymous true\n")
    bus("mosquitto", mqtt_port, "-c", str(config))
    client = await nats.connect(f"nats://127.0.0.1:{nats_port}", token="s3cret")
    subscription = await client.subscribe("vidops.segment_complete.*")
    on = "on: [segment_complete]"
    hooks = (
        f'  nats: {{type: nats, url: "nats://127.0.0.1:{nats_port}", token: {{env: NATS_TOKEN}}, {on}}}\n'
        f'  mqtt: {{type: mqtt, url: "mqtt://127.0.0.1:{mqtt_port}", topic: "site/{{camera}}", {on}}}\n'
    )
    async with aiomqtt.Client("127.0.0.1", mqtt_port) as other:
        await other.subscribe("site/#")
        text = STACK.format(video=video, hooks=hooks)
        host = await asyncio.to_thread(lambda: vidops_host(text, env={"NATS_TOKEN": "s3cret"}))
        async with asyncio.timeout(30):
            message = await subscription.next_msg(timeout=30)
            told = await anext(aiter(other.messages))
    assert message.subject == "vidops.segment_complete.cam"
    assert json.loads(message.data)["capture"] == "archive"
    assert (str(told.topic), json.loads(bytes(told.payload))["camera"]) == ("site/cam", "cam")
    await client.close()
    assert host.health("hook/nats") == host.health("hook/mqtt") == "Healthy"
    assert time.time() - json.loads(message.data)["time"] < 30
