"""Every example in stacks/ is checked and run, all of it real; a new file there without an entry here fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vidops.app.settings import Settings
from vidops.cli._stack import compile_stack
from vidops.ports import DeviceFacts
from vidops.resources.specs import SourceSpec
from vidops.runtime.plugins import load_catalogue
from vidops.runtime.programs import find_ffmpeg
from vidops.stack.load import load
from vidops.stack.schema import json_schema
from vidops.testing import Host, free_port

STACKS = Path(__file__).parents[2] / "stacks"
KEY = "a-key-of-the-tests-0123456789"
JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Example:
    """`answers`: what its gateway is asked, and the status it gives. `missing`: cameras that no test machine has."""

    answers: dict[str, int]
    missing: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


EXAMPLES = {
    "demo.yaml": Example({"/snapshot/demo": 200, "/snapshot/demo-private": 200, "/v1/status": 200, "/": 200}),
    "two-cameras.yaml": Example(
        {"/snapshot/belt": 200, "/snapshot/left": 503, "/snapshot/middle": 404, "/readyz": 200},
        missing=("source/left", "source/right"),
    ),
    "private-camera.yaml": Example({"/hall.jpg": 200, "/hall": 200, "/stream/hall": 404, "/snapshot/hall": 404}),
    "recorder.yaml": Example({"/v1/recordings": 200, "/readyz": 200}),
    "capture-registry.yaml": Example(
        {"/devices": 200, "/devices/line": 200, "/devices/x": 404, "/recordings": 200, "/captures": 200}
    ),
    "includes/stack.yaml": Example(
        {"/snapshot/door": 200, "/livez": 200}, env={"FRONT_DESK_KEY": KEY}, headers={"X-API-Key": KEY}
    ),
}
PORTS = {f"VIDOPS_{name}_PORT": str(free_port()) for name in ("CAMERA", "REGISTRY", "FRONT")}
EXAMPLES["host-services.yaml"] = Example(
    {"/": 200, "/devices/door": 200, "/api/devices": 401, "/metrics": 401, "/livez": 200},
    env={"VIDOPS_JWT_SECRET": KEY * 2, **PORTS},
)
FRAGMENTS = {"includes/common/cameras.yaml", "includes/common/chains.yaml"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of real video."""
    path = tmp_path_factory.mktemp("video") / "belt: 1.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10", "-t", "1"]
    subprocess.run([find_ffmpeg(), "-v", "error", *source, f"file:{path}"], check=True, timeout=60)
    return path


def test_every_file_has_an_entry() -> None:
    there = {str(p.relative_to(STACKS)) for p in STACKS.rglob("*.yaml")}
    assert there == set(EXAMPLES) | FRAGMENTS


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_loader_and_the_published_schema_take_it(name: str) -> None:
    import yaml
    from jsonschema import Draft202012Validator

    catalogue = load_catalogue()
    loaded = load(str(STACKS / name), catalogue=catalogue, env=EXAMPLES[name].env)
    validator = Draft202012Validator(json_schema(catalogue))
    for file in loaded.files:
        document = {"apiVersion": "vidops/v1", **yaml.safe_load(Path(file).read_text())}
        assert [e.message for e in validator.iter_errors(document)] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_editors_find_its_schema(name: str) -> None:
    first = (STACKS / name).read_text().splitlines()[0]
    _, _, relative = first.partition("$schema=")
    assert ((STACKS / name).parent / relative).resolve() == STACKS.parent / "schemas" / "stack.v1.schema.json"


def test_cameras_are_told_apart_by_serial() -> None:
    """With the hardware that the test machine lacks, as udev would describe it, in the other order."""
    devices = [
        DeviceFacts(device_path=f"/dev/video{n}", device_name="Acme C1", driver="uvcvideo", serial=serial)
        for n, serial in ((0, "SN0002"), (2, "SN0001"))
    ]
    compiled = compile_stack(Settings(), str(STACKS / "two-cameras.yaml"), devices)
    opened = {}
    for resource in compiled.resources:
        if isinstance(resource.spec, SourceSpec) and resource.spec.program is not None:
            opened[resource.ref.name] = [a for a in resource.spec.program.argv if a.startswith("/dev/")]
    assert opened == {"left": ["/dev/video2"], "right": ["/dev/video0"], "belt": []}


@pytest.mark.integration
@pytest.mark.parametrize("name", EXAMPLES)
def test_it_runs(name: str, vidops_host: Callable[..., Host], video: Path) -> None:
    example, port = EXAMPLES[name], str(free_port())
    text = (STACKS / name).read_text()
    env = {"VIDOPS_PORT": port, "VIDOPS_DEMO_PORT": port, "VIDOPS_VIDEO": str(video), **example.env}
    host = vidops_host(text, start=False, env=env)
    for folder in (p for p in (STACKS / name).parent.iterdir() if p.name in ("common", "web")):
        shutil.copytree(folder, host.root / folder.name)
    host.start()

    def as_expected() -> bool:
        health = {f"{r['kind']}/{r['name']}": r["health"] for r in host.status()["resources"]}
        # What a schedule or nobody's asking keeps from recording is as it should be.
        health = {n: h for n, h in health.items() if not (n.startswith("capture/") and h == "Suspended")}
        assert health == {n: "Missing" if n in example.missing else "Healthy" for n in health}
        return host.status()["sync"] == "Synced"

    host.until(as_expected, timeout=60)
    for path, status in example.answers.items():
        assert ask(port, path, example.headers) == status, path
    if KEY in example.env.values():
        assert ask(port, "/snapshot/door", {}) == 401
        kept = [p for p in host.root.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
        assert kept == []
        assert KEY not in json.dumps(host.status())
        assert KEY not in host.cli("plan", str(host.stack_path), "-o", "json").stdout
    if name == "recorder.yaml":
        rows = host.until(lambda: json.loads(host.cli("recordings", "-o", "json").stdout))
        assert {r["path"].split("/")[0] for r in rows} <= {".spool", "line", "short"}
        assert all(os.path.exists(f"{host.layout.data_dir}/{r['path']}") for r in rows)


def ask(port: str, path: str, headers: dict[str, str]) -> int:
    """The status of a GET; what calls itself an image is one. A stream is read to its first part."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read(2000)
            if answer.headers["Content-Type"] == "image/jpeg":
                assert body.startswith(JPEG)
            elif answer.headers["Content-Type"].startswith("multipart/"):
                assert JPEG in body
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
