"""Uploads to a server that speaks S3: everything arrives, goes on where it was broken off, and stays until it has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from vidops.resources.layout import Layout
from vidops.resources.specs import Retention, SecretRef
from vidops.runtime.index import Recording, RecordingsIndex
from vidops.runtime.retention import clear
from vidops.testing import Host, free_port, wait_until
from vidops_plugins.uploads.s3 import S3, S3Sink

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
BUCKET = "footage"


class Bucket:
    """A real server on loopback, which may be away."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.log = log
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.client: Any = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="id", aws_secret_access_key="s3cret"
        )

    def start(self) -> None:
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        wait_until(self._made, timeout=30, what="the server")

    def _made(self) -> bool:
        try:
            self.client.create_bucket(Bucket=BUCKET)
        except Exception as error:
            raise AssertionError(str(error)) from error
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def names(self) -> dict[str, int]:
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        return {item["Key"]: item["Size"] for item in found}

    def requests(self, text: str) -> int:
        return self.log.read_text().count(text)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    it = Bucket(tmp_path / "s3.log")
    it.start()
    yield it
    it.stop()


def options(bucket: Bucket, **more: Any) -> S3:
    keys = {"access_key": {"env": "KEY_ID"}, "secret_key": {"env": "KEY"}}
    return S3.model_validate({"type": "s3", "bucket": BUCKET, "endpoint": bucket.url, **keys, **more})


def secret(reference: SecretRef) -> str:
    return {"KEY_ID": "id", "KEY": "s3cret"}[reference.env or ""]


def test_parts_that_arrived_are_not_sent_again(bucket: Bucket, tmp_path: Path) -> None:
    file = tmp_path / "large.mp4"
    file.write_bytes(os.urandom(12 * MIB))
    remembered: list[str] = []

    class BreaksOff(S3Sink):
        """Fails before its second part."""

        def broken(self) -> None:
            original = self._client.upload_part

            def once(**words: Any) -> Any:
                if words["PartNumber"] == 2:
                    raise KeyboardInterrupt
                return original(**words)

            self._client.upload_part = once

    first = BreaksOff(options(bucket, part_size="5MiB"), secret)
    first.broken()
    with pytest.raises(KeyboardInterrupt):
        first.put(str(file), "a/large.mp4", resume="", remember=remembered.append)
    assert bucket.names() == {}
    before = bucket.requests("PUT /footage/a/large.mp4")
    again = S3Sink(options(bucket, part_size="5MiB", prefix=""), secret)
    assert again.put(str(file), "a/large.mp4", resume=remembered[0], remember=remembered.append)
    assert len(remembered) == 1
    assert bucket.requests("PUT /footage/a/large.mp4") - before == 2, "parts two and three"
    assert bucket.client.get_object(Bucket=BUCKET, Key="a/large.mp4")["Body"].read() == file.read_bytes()
    # What is there is confirmed, and not sent once more; an upload that the server forgot begins anew.
    assert again.put(str(file), "a/large.mp4", resume="", remember=remembered.append)
    assert bucket.requests("PUT /footage/a/large.mp4") - before == 2
    assert again.put(str(file), "b/large.mp4", resume="no-such-upload", remember=remembered.append)
    assert set(bucket.names()) == {"a/large.mp4", "b/large.mp4"}


def test_nothing_goes_before_it_is_confirmed(tmp_path: Path) -> None:
    layout = Layout(f"{tmp_path}/run", f"{tmp_path}/state", f"{tmp_path}/data")
    index = RecordingsIndex(layout)
    for number in range(4):
        Path(layout.data_dir, f"{number}.mp4").write_bytes(b"x" * 10)
        index.add([Recording(f"{number}.mp4", "cam", "door", number, number + 1.0, 10, "complete")])
    rules, uploads = {"door": Retention(max_size=10)}, {"door": ("one", "two")}

    def left() -> set[str]:
        clear(index, rules, now=1e9, free=lambda: 1 << 40, uploads=uploads)
        return {r.path for r in index.newest()}

    assert len(left()) == 4
    index.note_upload("one", "0.mp4", confirmed="yes")
    assert len(left()) == 4
    index.note_upload("two", "0.mp4", remembered="half of it")
    assert len(left()) == 4
    index.note_upload("two", "0.mp4", confirmed="yes")
    assert left() == {"1.mp4", "2.mp4", "3.mp4"}
    assert [r.path for r, _ in index.unconfirmed("one", 10)] == ["1.mp4", "2.mp4", "3.mp4"]
    index.close()


STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 160x90, framerate: 5}}}}
captures:
  up: {{device: cam, segment: {{duration: 1s, path: "up/%s"}}, retention: {{max_age: 2s}}}}
  other: {{device: cam, segment: {{duration: 1s, path: "other/%s"}}}}
uploads:
  away:
    type: s3
    captures: up
    bucket: footage
    prefix: site-7/
    endpoint: {url}
    access_key: {{env: KEY_ID}}
    secret_key: {{env: KEY}}
"""


@pytest.mark.long
def test_recordings_arrive_through_outages_and_kills(vidops_host: Callable[..., Host], bucket: Bucket) -> None:
    host = vidops_host(STACK.format(url=bucket.url), env={"KEY_ID": "id", "KEY": "s3cret"})
    host.until(bucket.names, timeout=40, what="something in the bucket")
    assert all(name.startswith("site-7/up/") for name in bucket.names())
    host.healthy()
    bucket.stop()
    kept = Path(host.layout.data_dir, "up")
    # Long past its age, and not confirmed: it stays.
    host.until(lambda: len(list(kept.glob("*.mp4"))) > 8, timeout=40, what="footage that waits")
    row = host.until(
        lambda: r if (r := host.resource("upload/away"))["health"] == "Degraded" else None, what="the error"
    )
    assert row["reason"] == "NotUploaded"
    os.kill(host.pid("upload/away"), signal.SIGKILL)
    waiting = {p.name for p in kept.glob("*.mp4")}
    bucket.start()
    host.until(lambda: {f"site-7/up/{n}" for n in waiting} <= bucket.names().keys(), timeout=90, what="all of it there")
    host.until(lambda: not waiting & {p.name for p in kept.glob("*.mp4")}, timeout=30, what="and gone from here")
    host.until(lambda: host.health("upload/away") == "Healthy", what="it is well again")
    assert "s3cret" not in host.log() + host.cli("plan", str(host.stack_path)).stdout
    assert all(b"s3cret" not in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in host.processes())
