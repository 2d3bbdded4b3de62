from __future__ import annotations

import contextlib
import gzip
import zlib
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from vidops_plugins.middleware.inject_devices.coding import Undecodable, decoded
from vidops_plugins.middleware.inject_devices.merge import NoPlace, facts, injected

DOOR = {"name": "door", "serial": "A1", "device_path": "/dev/video0", "state": "Online"}
YARD = {"name": "yard", "serial": "", "device_path": "/dev/video2", "state": "Missing"}
FIELDS = {"id": "name", "serial": "serial", "path": "device_path", "status": "state"}
IDENTITY = {"serial": "serial", "path": "device_path"}


def put(document: Any, pointer: str = "/devices", *, keep: bool = True, fields: dict[str, str] = FIELDS) -> Any:
    return injected(document, pointer, [DOOR, YARD], fields=fields, identity=IDENTITY, keep=keep)


OURS_DOOR = {"id": "door", "serial": "A1", "path": "/dev/video0", "status": "Online"}
OURS_YARD = {"id": "yard", "serial": "", "path": "/dev/video2", "status": "Missing"}


@pytest.mark.parametrize(
    ("document", "pointer", "expected"),
    [
        ({"devices": []}, "/devices", {"devices": [OURS_DOOR, OURS_YARD]}),
        ({"devices": None, "x": 1}, "/devices", {"devices": [OURS_DOOR, OURS_YARD], "x": 1}),
        ({}, "/devices", {"devices": [OURS_DOOR, OURS_YARD]}),
        ([], "", [OURS_DOOR, OURS_YARD]),
        ({"data": [{"list": []}]}, "/data/0/list", {"data": [{"list": [OURS_DOOR, OURS_YARD]}]}),
        ({"a/b": {"~": []}}, "/a~1b/~0", {"a/b": {"~": [OURS_DOOR, OURS_YARD]}}),
        (
            {"devices": [{"serial": "A1", "label": "front", "status": "?"}]},
            "/devices",
            {"devices": [{"serial": "A1", "label": "front", **OURS_DOOR}, OURS_YARD]},
        ),
        (
            {"devices": [{"path": "/dev/video2", "label": "back"}, {"id": "printer"}, "text"]},
            "/devices",
            {"devices": [{"label": "back", **OURS_YARD}, {"id": "printer"}, "text", OURS_DOOR]},
        ),
        # The first field that both have decides: another serial is another camera, whatever its path says.
        (
            {"devices": [{"serial": "B2", "path": "/dev/video0"}]},
            "/devices",
            {"devices": [{"serial": "B2", "path": "/dev/video0"}, OURS_DOOR, OURS_YARD]},
        ),
    ],
)
def test_what_comes_of_a_document(document: Any, pointer: str, expected: Any) -> None:
    assert put(document, pointer) == expected


def test_entries_of_nobody_can_be_left_out() -> None:
    assert put({"devices": [{"id": "printer"}]}, keep=False) == {"devices": [OURS_DOOR, OURS_YARD]}


@pytest.mark.parametrize("keep", [True, False])
def test_entries_that_are_hidden_cameras_go(keep: bool) -> None:
    found = [
        {"serial": "A1", "label": "front"},
        {"path": "/dev/video0"},
        {"serial": "", "path": "/dev/video0", "label": "front"},
        {"serial": "A1", "path": "/dev/video2", "label": "of both"},
        {"path": "/dev/video2", "label": "back"},
    ]
    made = injected(found, "", [YARD], fields=FIELDS, identity=IDENTITY, keep=keep, hidden=[DOOR])
    assert made == [{"label": "back", **OURS_YARD}]


def test_without_names_of_its_own_all_facts_are_put_in() -> None:
    state = {"name": "door", "state": "Online", "description": {"serial": "A1", "driver": "uvcvideo"}}
    assert facts(state) == {"name": "door", "state": "Online", "serial": "A1", "driver": "uvcvideo"}
    assert put({}, fields={})["devices"][0] == DOOR


@pytest.mark.parametrize(
    ("document", "pointer"), [({"devices": {"a": 1}}, "/devices"), ({}, "/a/b"), ([], "/0"), (5, "/a"), ([1], "/x")]
)
def test_no_place(document: Any, pointer: str) -> None:
    with pytest.raises(NoPlace):
        put(document, pointer)


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["devices", "serial", "path", "a"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(DOCUMENTS, st.sampled_from(["", "/devices", "/a/devices", "/0"]))
def test_each_camera_is_there_once_and_nothing_else_is_touched(document: Any, pointer: str) -> None:
    try:
        made = put(document, pointer)
    except NoPlace:
        return
    assert put(made, pointer) == made, "twice is once"
    if pointer == "/devices":
        assert {k: v for k, v in made.items() if k != "devices"} == {
            k: v for k, v in document.items() if k != "devices"
        }
        entries = [e for e in made["devices"] if isinstance(e, dict)]
        assert [e.get("id") for e in entries].count("door") == 1
        assert [e.get("id") for e in entries].count("yard") == 1


PACK = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
}


@given(st.binary(max_size=2000), st.sampled_from(sorted(PACK)))
def test_bodies_are_unpacked(data: bytes, coding: str) -> None:
    assert decoded(PACK[coding](data), coding, 4000) == data


@pytest.mark.parametrize("coding", sorted(PACK))
def test_what_unpacks_to_too_much_is_left(coding: str) -> None:
    with pytest.raises(Undecodable):
        decoded(PACK[coding](bytes(50_000_000)), coding, 100_000)


@given(st.binary(max_size=300), st.sampled_from([*sorted(PACK), "compress", "x"]))
def test_anything_may_come(data: bytes, coding: str) -> None:
    with contextlib.suppress(Undecodable):
        assert len(decoded(data, coding, 1000)) <= 1000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_is_cut_off_is_not_taken_for_whole(coding: str) -> None:
    whole = PACK[coding](bytes(range(256)) * 20)
    for end in range(1, len(whole) - 8, 7):
        with contextlib.suppress(Undecodable):
            assert decoded(whole[:end], coding, 10_000) != bytes(range(256)) * 20
