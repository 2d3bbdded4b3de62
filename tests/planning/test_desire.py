"""From stacks to resources: what is written in another way is desired in the same way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planning.worlds import applied_of, shuffled
from tests.stack.support import built_ins, load_text, resources_of
from vidops.errors import PermanentError, StackError
from vidops.gateway.gateway import final_drain
from vidops.planning.plan import plan
from vidops.ports import DeviceFacts
from vidops.reconcile.compiler import Compiler
from vidops.resources.catalogue import Catalogue, SourceBuild, SourceType
from vidops.resources.layout import Layout
from vidops.resources.resource import Resource
from vidops.resources.specs import CaptureSpec, GatewaySpec, Retention, SourceSpec
from vidops.runtime.plugins import load_catalogue
from vidops.stack.model import Device

names = st.sampled_from(["door", "back", "side", "gate"])
devices = st.dictionaries(
    names,
    st.fixed_dictionaries(
        {"source": st.just("testsrc")},
        optional={
            "always_on": st.booleans(),
            "quality": st.integers(2, 31),
            "start_timeout": st.sampled_from(["10s", "1m", "1500ms"]),
            "mode": st.fixed_dictionaries(
                {}, optional={"framerate": st.integers(1, 30), "video_size": st.sampled_from(["640x360", "320x180"])}
            ),
            "on_demand": st.fixed_dictionaries({}, optional={"close_after": st.sampled_from(["0s", "10s"])}),
        },
    ),
    min_size=1,
)


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, Any]:
    """Stacks of the built-in types, as data."""
    cameras = draw(devices)
    some = st.sampled_from(sorted(cameras))
    recordings = st.fixed_dictionaries(
        {"device": some},
        optional={"segment": st.fixed_dictionaries({}, optional={"duration": st.sampled_from(["60s", "30s"])})},
    )
    graph = st.builds(
        lambda camera, text: {
            "nodes": {
                "cam": {"type": "camera", "device": camera},
                "change": {"type": "filter", "in": "cam", "filter": text},
                "out": {"type": "camera_out", "in": "change"},
            }
        },
        some,
        st.sampled_from(["hflip", "boxblur=8"]),
    )
    route = st.fixed_dictionaries(
        {"path": st.sampled_from(["/a", "/b"]), "handler": st.fixed_dictionaries({"type": st.just("respond")})}
    )
    gateway = st.fixed_dictionaries({"bind": st.just("127.0.0.1:0"), "routes": st.lists(route, min_size=1, max_size=1)})
    return {
        "apiVersion": "vidops/v1",
        "devices": cameras,
        "captures": draw(st.dictionaries(st.sampled_from("xyz"), recordings, max_size=2)),
        "loopbacks": draw(st.dictionaries(st.sampled_from("gh"), graph, max_size=2)),
        "gateways": draw(st.dictionaries(st.sampled_from("pq"), gateway, max_size=2)),
    }


def desired(stack: dict[str, Any]) -> tuple[Resource, ...]:
    return resources_of(load_text(json.dumps(stack)))


def fingerprints(resources: tuple[Resource, ...]) -> dict[str, str]:
    return {str(r.ref): r.fingerprint for r in resources}


@given(stacks(), st.integers(0, 1000))
def test_the_order_of_keys_changes_nothing(stack: dict[str, Any], seed: int) -> None:
    one, other = desired(stack), desired(shuffled(stack, seed))
    assert fingerprints(one) == fingerprints(other)
    assert not plan(other, applied_of(one))


@given(stacks())
def test_defaults_written_out_change_nothing(stack: dict[str, Any]) -> None:
    typed = load_text(json.dumps(stack)).stack
    written = typed.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert fingerprints(desired(written)) == fingerprints(desired(stack))
    assert len(json.dumps(written)) > len(json.dumps(stack))


@given(stacks(), st.sampled_from(["# a comment\n", "\n\n", "---\n"]))
def test_comments_and_layout_change_nothing(stack: dict[str, Any], before: str) -> None:
    other = resources_of(load_text(before + json.dumps(stack, indent=3) + "   # the end\n"))
    assert fingerprints(other) == fingerprints(desired(stack))


@given(stacks(), stacks())
def test_what_a_stack_adds_leaves_the_rest_alone(stack: dict[str, Any], other: dict[str, Any]) -> None:
    """Another camera and its recording, and nothing that was there is touched."""
    device = next(iter(other["devices"].values()))
    more = {
        **stack,
        "devices": {**stack["devices"], "new": device},
        "captures": {**stack["captures"], "new": {"device": "new"}},
    }
    actions = plan(desired(more), applied_of(desired(stack))).actions
    assert [str(a.ref) for a in actions] == ["source/new", "capture/new"]


@given(stacks())
def test_every_stack_has_one_hub_and_all_needs_are_met(stack: dict[str, Any]) -> None:
    resources = desired(stack)
    refs = {r.ref for r in resources}
    assert len(refs) == len(resources)
    assert [r.ref.kind for r in resources].count("hub") == 1
    for resource in resources:
        assert set(resource.depends_on) <= refs
        assert resource.origin.startswith("stack.yaml:") or resource.ref.kind == "hub"


def test_what_a_type_cannot_build_is_a_problem_at_its_entry() -> None:
    class Odd(Device):
        source: str = "odd"
        how: str = ""

    def build(options: Odd, context: object) -> SourceBuild:
        if options.how == "permanent":
            raise PermanentError("cannot be done: do it otherwise")
        raise ZeroDivisionError("by nought")

    catalogue = Catalogue.of([SourceType("odd", Odd, build), *built_ins().captures.values()])
    text = (
        "apiVersion: vidops/v1\n"
        "devices:\n"
        "  a: {source: odd, how: permanent}\n"
        "  b: {source: odd}\n"
        "captures:\n"
        "  x: {device: a}\n"
    )
    with pytest.raises(StackError) as caught:
        resources_of(load_text(text, catalogue=catalogue), catalogue)
    assert str(caught.value).split("\n") == [
        "stack.yaml:3:3: devices.a: cannot be done: do it otherwise",
        "stack.yaml:4:3: devices.b: its plugin failed: ZeroDivisionError: by nought",
    ]


def test_a_capture_of_several_cameras_has_a_recorder_for_each() -> None:
    text = """\
apiVersion: vidops/v1
devices:
  bench-1: {source: testsrc}
  bench-2: {source: testsrc}
  door: {source: testsrc}
captures:
  all: {devices: "bench-*", retention: {max_size: 1MiB}, priority: 3}
"""
    found = {r.ref: r for r in resources_of(load_text(text)) if r.ref.kind == "capture"}
    assert [str(ref) for ref in found] == ["capture/all.bench-1", "capture/all.bench-2"]
    for resource in found.values():
        spec = resource.spec
        assert isinstance(spec, CaptureSpec)
        assert spec.spool.endswith(f"/{resource.ref.name}")
        assert (spec.retention, spec.priority) == (Retention(max_size=1024**2), 3)


def test_what_several_workers_must_not_do_each_by_itself_is_a_problem() -> None:
    text = """\
apiVersion: vidops/v1
middleware:
  edge: [access_log, {type: rate_limit, limit: 5}]
gateways:
  many:
    bind: 127.0.0.1:8080
    workers: 4
    chain: [edge]
    routes:
      - {path: /a, chain: [{type: limits, max_body: 1KiB}], handler: {type: respond, body: a}}
      - {path: /b, chain: [{type: limits, max_concurrent: 5}], handler: {type: respond, body: b}}
  counted-elsewhere:
    bind: 127.0.0.1:8081
    workers: 2
    chain: [{type: rate_limit, limit: 5, redis: {url: "redis://127.0.0.1:6379/0"}}]
    routes:
      - {path: /a, handler: {type: respond, body: a}}
  alone:
    bind: 127.0.0.1:8082
    chain: [edge]
    routes:
      - {path: /a, handler: {type: respond, body: a}}
"""
    with pytest.raises(StackError) as caught:
        resources_of(load_text(text))
    assert str(caught.value).split("\n") == [
        "stack.yaml:8:5: gateways.many.chain: rate_limit: without redis, it counts the requests of one process; "
        "workers: 4 cannot (workers: 1)",
        "stack.yaml:11:20: gateways.many.routes.1.chain: limits: max_concurrent counts the requests of one process; "
        "workers: 4 cannot (workers: 1)",
    ]


FACTS = [DeviceFacts(f"/dev/video{n}", "Acme", "vivid", serial=f"SN{n}", id_path=f"port-{n}") for n in range(3)]


@pytest.mark.parametrize("order", [("b", "a", "rest"), ("rest", "a", "b"), ("a", "rest", "b")])
def test_who_has_a_device_does_not_hang_on_the_order_of_keys(order: tuple[str, ...]) -> None:
    entries: dict[str, Any] = {
        "a": {"source": "v4l2", "match": {"serial": "SN0"}},
        "b": {"source": "v4l2", "match": {"name": "Acme"}},
        "rest": {"source": "v4l2", "match": {"driver": "vivid"}, "each": "cam-{serial}"},
    }
    found = cameras_of({"devices": {name: entries[name] for name in order}}, FACTS)
    assert {name: spec.device if spec.program else spec.reason for name, spec in found.items()} == {
        "a": "/dev/video0",
        "b": "DeviceTaken",
        "cam-sn1": "/dev/video1",
        "cam-sn2": "/dev/video2",
    }


def test_a_template_makes_no_camera_that_a_graph_puts_out() -> None:
    graph = {"cam": {"type": "camera", "device": "a"}, "out": {"type": "camera_out", "in": "cam", "name": "cam-sn1"}}
    entries = {
        "a": {"source": "v4l2", "match": {"serial": "SN0"}},
        "rest": {"source": "v4l2", "match": {"driver": "vivid"}, "each": "cam-{serial}"},
    }
    found = cameras_of({"devices": entries, "loopbacks": {"graph": {"nodes": graph}}}, FACTS)
    assert sorted(found) == ["a", "cam-sn1", "cam-sn2"]
    assert found["cam-sn1"].description["source"] == "loopback"


def cameras_of(stack: dict[str, Any], devices: list[DeviceFacts]) -> dict[str, SourceSpec]:
    """Specs of the cameras that a stack asks for, on a host with these devices; no name twice."""
    text = json.dumps({"apiVersion": "vidops/v1", **stack}).encode()
    compiler = Compiler(load_catalogue(), {}, lambda _data, _base: Layout("/run/x", "/var/x", "/data"), {})
    resources = compiler.compile("/stack.yaml", lambda _: text, devices).resources
    # The text need not be read again for that, nor be where it was.
    kept = replace(compiler.compile("/stack.yaml", lambda _: text), path="/elsewhere/stack.yaml")
    assert compiler.with_devices(kept, devices).resources == resources
    specs = [r.spec for r in resources if isinstance(r.spec, SourceSpec)]
    assert len({spec.camera for spec in specs}) == len(specs)
    return {spec.camera: spec for spec in specs}


@pytest.mark.parametrize("drain", [0.0, 10.0, 23.5, 23.6, 60.2, 300.0])
def test_a_gateways_process_has_time_for_its_whole_drain(drain: float) -> None:
    routes = [{"path": "/hi", "handler": {"type": "respond", "body": "hi"}}]
    entry = {"bind": "127.0.0.1:8080", "drain_timeout": f"{drain}s", "workers": 2, "routes": routes}
    for resource in desired({"apiVersion": "vidops/v1", "gateways": {"main": entry}}):
        if isinstance(resource.spec, GatewaySpec):
            assert final_drain(resource.spec) == drain
            assert resource.spec.program.stop_timeout.is_integer(), "supervisord knows whole seconds"
