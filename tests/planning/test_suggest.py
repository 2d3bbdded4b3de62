"""Entries that are suggested: each means its device and no other, after a boot too, and can be loaded."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from vidops.planning.suggest import suggested
from vidops.ports import DeviceFacts, VideoMode
from vidops.reconcile.compiler import Compiler
from vidops.resources.layout import Layout
from vidops.resources.specs import SourceSpec
from vidops.runtime.plugins import load_catalogue

CATALOGUE = load_catalogue()
BEST = VideoMode("mjpeg", "Motion-JPEG", (1280, 1280, 1), (720, 720, 1), (60.0, 30.0))
RAW = VideoMode("yuyv422", "YUYV", (1280, 1280, 1), (720, 720, 1), (30.0,))


def test_a_mode_that_every_viewer_copes_with() -> None:
    def mode(*modes: VideoMode) -> object:
        (entry,) = suggested([DeviceFacts("/dev/video0", "Cam", serial="1", modes=modes)]).values()
        return entry.get("mode")

    good = {"input_format": "mjpeg", "video_size": "1280x720", "framerate": 30}
    assert mode(RAW, BEST) == good
    assert mode(RAW) == {**good, "input_format": "yuyv422"}
    assert mode(replace(BEST, rates=(60.0,))) is None
    assert mode() is None


def test_what_is_no_camera_is_not_suggested() -> None:
    assert suggested([DeviceFacts("/dev/video0", role="loopback"), DeviceFacts("/dev/video1", role="metadata")]) == {}


hosts = st.lists(
    st.builds(
        DeviceFacts,
        device_path=st.integers(0, 20).map(lambda n: f"/dev/video{n}"),
        device_name=st.sampled_from(["", "Acme C1", "Acme C1: Acme C1", "Ünïcode", "---", "x" * 100]),
        driver=st.just("uvcvideo"),
        serial=st.sampled_from(["", "SN1", "SN2"]),
        id_path=st.integers(0, 50).map(lambda n: f"port-{n}"),
        modes=st.sampled_from([(), (RAW,), (RAW, BEST)]),
    ),
    max_size=6,
    unique_by=(lambda d: d.device_path, lambda d: d.id_path),
)


@given(hosts)
def test_each_entry_means_its_device(devices: list[DeviceFacts]) -> None:
    entries = suggested(devices)
    assert len(entries) == len(devices)
    text = json.dumps({"apiVersion": "vidops/v1", "devices": entries}).encode()
    compiler = Compiler(CATALOGUE, {}, lambda _data, _base: Layout("/run/x", "/var/x", "/data"), {})
    specs = [
        r.spec
        for r in compiler.compile("/stack.yaml", lambda _: text, devices).resources
        if isinstance(r.spec, SourceSpec)
    ]
    assert sorted(spec.device for spec in specs) == sorted(d.device_path for d in devices)
    assert all(spec.program is not None and "ambiguous" not in spec.description for spec in specs)
