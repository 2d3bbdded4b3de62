"""Network cameras against real servers: what passes, what is told, and where credentials are not."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.hub.conftest import Host, host, layout, until_true
from tests.hub.test_derived import viewing
from vidops.api import Program, SourceContext
from vidops.testing import free_port
from vidops_plugins.sources import http, rtsp

__all__ = ["host", "layout"]
SERVER = Path(__file__).parents[1] / "rtsp" / "server.py"
SYSTEM_PYTHON = "/usr/bin/python3"
TEST_PICTURE = "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=10/1"
H264 = f"{TEST_PICTURE} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0"
MJPEG = f"{TEST_PICTURE} ! jpegenc ! rtpjpegpay name=pay0"
PASSWORD = "p w/:@'x%"


def has_server() -> bool:
    code = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", code], check=False, stderr=subprocess.DEVNULL).returncode == 0


needs_server = pytest.mark.skipif(not has_server(), reason="no gir1.2-gst-rtsp-server-1.0 here")


@contextmanager
def rtsp_server(pipeline: str, port: int, *credentials: str) -> Iterator[None]:
    command = [SYSTEM_PYTHON, str(SERVER), str(port), "/cam", pipeline, *credentials]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def program_of(host: Host, kind: Any, **options: Any) -> Program:
    model = {rtsp: rtsp.RTSP, http: http.HTTP}[kind].model_validate(
        {"source": kind.__name__.rpartition(".")[2], **options}
    )
    program = kind.build(model, SourceContext("door", host.layout)).program
    assert program is not None
    return program


def everywhere(host: Host) -> list[tuple[str, bytes]]:
    """What others may read: all arguments and environments of processes, and every file of the runtime directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "environ"):
            try:
                data = Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:
                continue
            if int(pid) != os.getpid():
                found.append((f"{pid} {name}", data))
    for path in Path(host.layout.run_dir).rglob("*"):
        if path.is_file():
            found.append((str(path), path.read_bytes()))
    return found


@pytest.mark.integration
@needs_server
@pytest.mark.parametrize(("pipeline", "codec"), [(H264, "h264"), (MJPEG, "mjpeg")])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_an_ip_camera_with_credentials(
    host: Host, tmp_path: Path, pipeline: str, codec: str, transport: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    port = free_port()
    with rtsp_server(pipeline, port, "ann", PASSWORD):
        options: dict[str, Any] = {"url": f"rtsp://127.0.0.1:{port}/cam", "username": "ann", "transport": transport}
        await host.camera("door", program_of(host, rtsp, password={"file": str(secret)}, **options), on_demand=None)
        state = await host.until_state("door", "Online")
        assert (state["codec"], state["width"], state["height"]) == (codec, 320, 240)
        async with viewing(host) as frames:
            await until_true(lambda: len(frames) > 10, "frames")
        encoded = b"p%20w%2F%3A%40%27x%25"
        where = [place for place, data in everywhere(host) if PASSWORD.encode() in data or encoded in data]
        # The server of this very test was given it.
        assert [
            place
            for place in where
            if str(SERVER).encode() not in Path(f"/proc/{place.split()[0]}/cmdline").read_bytes()
        ] == []


@pytest.mark.integration
@needs_server
async def test_what_keeps_an_ip_camera_away_is_its_state_and_tells_no_secret(host: Host, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong-one")
    port, closed = free_port(), free_port()
    with rtsp_server(H264, port, "ann", PASSWORD):
        for url, password, reason in (
            (f"rtsp://127.0.0.1:{port}/cam", "wrong-one", "Unauthorized"),
            (f"rtsp://127.0.0.1:{port}/nope", PASSWORD, "NotFound"),
            (f"rtsp://127.0.0.1:{closed}/cam", PASSWORD, "Unreachable"),
            (f"rtsp://camera.invalid:{closed}/cam", PASSWORD, "UnknownHost"),
        ):
            secret.write_text(password)
            program = program_of(host, rtsp, url=url, username="ann", password={"file": str(secret)})
            await host.camera("door", program, on_demand=None)
            state = await host.until_state("door", "Failed")
            assert state["reason"] in (reason, "CrashLoop"), state
            log = host.log("source.door")
            assert "ann:***@" in log or "%61%6E%6E:***@" in log
            assert password not in log


@asynccontextmanager
async def mjpeg_server(frames: list[bytes], authorization: str) -> AsyncIterator[int]:
    """Answers with the frames, one after the other, round and round."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if f"authorization: {authorization}\r\n".encode().lower() not in head.lower():
            writer.write(b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
        try:
            while True:
                for frame in frames:
                    writer.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(frame))
                    writer.write(frame + b"\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.05)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def pictures() -> list[bytes]:
    made = []
    for n in range(3):
        source = f"testsrc=s=64x48,hue=h={n * 90}"
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "1", "-f", "mjpeg", "-"]
        made.append(subprocess.run(command, capture_output=True, check=True).stdout)
    return made


@pytest.mark.integration
async def test_jpegs_over_http_pass_untouched_and_its_refusal_is_told(host: Host, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    frames = pictures()
    basic = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    async with mjpeg_server(frames, f"Basic {basic}") as port:
        url = f"http://127.0.0.1:{port}/stream"
        good = program_of(host, http, url=url, username="ann", password={"file": str(secret)})
        await host.camera("door", good, on_demand=None)
        async with viewing(host) as seen:
            await until_true(lambda: len(seen) > 20, "frames")
            assert {f.data for f in seen} <= set(frames)
        await host.camera("door", program_of(host, http, url=url), on_demand=None)
        assert (await host.until_state("door", "Failed"))["reason"] in ("Unauthorized", "CrashLoop")


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        (rtsp.RTSP, {"url": "rtsp://ann:pw@host/x"}, "no credentials in here"),
        (rtsp.RTSP, {"url": "http://host/x"}, "pattern"),
        (rtsp.RTSP, {"url": "rtsp:///x"}, "names no host"),
        (rtsp.RTSP, {"url": "rtsp://host/x'\nfile y"}, "pattern"),
        (rtsp.RTSP, {"url": "rtsp://host/x", "password": {"env": "P"}}, "needs a username"),
        (rtsp.RTSP, {"url": "rtsp://host/x", "transport": "http"}, "'tcp' or 'udp'"),
        (http.HTTP, {"url": "file://host/etc"}, "pattern"),
    ],
)
def test_what_is_no_network_camera(model: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        model.model_validate({"source": "rtsp" if model is rtsp.RTSP else "http", **options})
