"""The front door as a whole: what comes back, which files were looked at, and that nothing else is ever raised.

Over 400 lines, since each rule of the front door has its case here.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, Field

from tests.stack.support import built_ins, load_text, resources_of
from tests.stack.test_reader import BOMB, MERGES, WIDE, YAMLISH
from vidops.api import (
    CameraName,
    Capture,
    CaptureType,
    Device,
    Duration,
    HandlerType,
    MiddlewareType,
    Node,
    NodeType,
    Options,
    Reference,
    SecretRef,
    Size,
    SourceType,
)
from vidops.errors import Mark, StackError
from vidops.planning.plan import plan
from vidops.resources.catalogue import Catalogue, PluginInfo, PluginType
from vidops.stack.load import MAX_SHOWN, load, read_file


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def explode(*_: Any) -> Any:
    raise KeyError("oops")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Bench(Device):
    source: Literal["bench"]
    serial: str = ""
    lanes: tuple[int, ...] = ()
    colour: Colour = Colour.RED
    either: int | list[str] | None = None
    nested: dict[str, list[CameraName]] = Field(default_factory=dict)
    fragile: Annotated[str, AfterValidator(lambda text: explode() if text == "x" else text)] = ""


class Limit(Options):
    per: Duration = "10s"  # type: ignore[assignment]
    most: Size
    then: Annotated[str, Reference("middleware")] = "plain"
    key: SecretRef | None = None


class Plain(Options):
    pass


class Out(Node):
    type: Literal["out"]
    in_: str | None = None


class NotOptions:
    pass


TYPES: list[PluginType] = [
    SourceType("bench", Bench, explode),
    SourceType("odd", NotOptions, explode),
    CaptureType("segments", Capture, explode),
    NodeType("out", "sink", Out, build=explode, camera=explode),
    MiddlewareType("limit", Limit, explode),
    MiddlewareType("plain", Plain, explode),
    HandlerType("end", Plain, explode),
]
CATALOGUE = Catalogue.of(TYPES, [PluginInfo("ok"), PluginInfo("acme", error="ImportError: no module named acme")])


def errors_of(text: str, **options: Any) -> list[str]:
    with pytest.raises(StackError) as caught:
        load_text(f"apiVersion: vidops/v1\n{text}", catalogue=CATALOGUE, **options)
    return str(caught.value).split("\n")


def stack_of(text: str, **options: Any) -> Any:
    return load_text(f"apiVersion: vidops/v1\n{text}", catalogue=CATALOGUE, **options).stack


def test_the_whole_surface() -> None:
    loaded = load_text(
        """\
apiVersion: vidops/v1
metadata: {name: desk, labels: {site: berlin}}
settings: {data_dir: ./data}
devices:
  door: {source: bench, lanes: [1, 2], colour: blue, mode: {video_size: 640x360, framerate: 15}, start_timeout: 1m}
captures:
  a: {device: door}
middleware:
  edge: [plain, {type: limit, most: 5MB, per: 1m30s}]
gateways:
  public:
    bind: [0.0.0.0:8443, "unix:/run/x.sock"]
    tls: {certfile: /c, keyfile: {credential: k}}
    chain: [edge]
    routes:
      - {path: /a/**, methods: [GET], chain: [plain], handler: {type: end}}
      - {path: /**, handler: {type: end}}
""",
        catalogue=CATALOGUE,
    )
    stack = loaded.stack
    door = stack.devices["door"]
    assert isinstance(door, Bench)
    assert (door.lanes, door.colour, door.start_timeout) == ((1, 2), Colour.BLUE, 60.0)
    assert stack.captures["a"].device == "door"
    assert stack.captures["a"].type == "segments"
    assert stack.middleware["edge"][0] == "plain"
    assert stack.gateways["public"].routes[0].methods == ["GET"]
    assert stack.gateways["public"].tls.keyfile == SecretRef(credential="k")
    assert stack.gateways["public"].drain_timeout == 10.0
    assert stack.settings.data_dir == "./data"
    assert loaded.files == ("stack.yaml",)
    assert loaded.mark(("devices", "door")) == Mark("stack.yaml", 5, 3)
    link = stack.middleware["edge"][1]
    options = link.model_dump(mode="json", by_alias=True, exclude={"type"})
    assert options == {"per": "90s", "most": "5000000B", "then": "plain", "key": None}
    assert Limit.model_validate(options).per == 90.0


def test_sections_may_be_empty_or_left_out() -> None:
    stack = stack_of("devices:\ncaptures: {}\ngateways: ~\n")
    assert stack.devices == stack.captures == stack.gateways == stack.loopbacks == {}


def test_a_variable_takes_the_type_of_its_place() -> None:
    env = {"N": "0815", "F": "30", "T": "true", "L": "7", "E": ""}
    stack = stack_of(
        "devices:\n"
        '  a: {source: bench, serial: "${N}", mode: {framerate: "${F}"}, always_on: "${T}", lanes: ["${L}", 2]}\n'
        "  b:\n    source: bench\n    serial: ${F}\n    mode: {framerate: 30}\n    always_on: ${T}\n"
        '  c: {source: bench, serial: "${T}", either: "${L}"}\n',
        env=env,
    )
    a, b, c = stack.devices["a"], stack.devices["b"], stack.devices["c"]
    assert (a.serial, a.mode.framerate, a.always_on, a.lanes) == ("0815", 30.0, True, (7, 2))
    assert (b.serial, b.always_on) == ("30", True)
    assert (c.serial, c.either) == ("true", 7)
    assert errors_of('devices: {a: {source: bench, mode: {framerate: "${E}"}}}', env=env) == [
        "stack.yaml:2:48: devices.a.mode.framerate: should be a number"
    ]
    assert errors_of('devices: {a: {source: bench, lanes: ["${N}"]}}', env=env) == [
        "stack.yaml:2:38: devices.a.lanes[0]: should be a whole number"
    ]


def test_texts_are_not_taken_for_numbers() -> None:
    assert errors_of("devices: {a: {source: bench, lanes: ['1'], always_on: 1, serial: 5}}") == [
        "stack.yaml:2:38: devices.a.lanes[0]: should be a whole number (without quotes: 1)",
        "stack.yaml:2:55: devices.a.always_on: should be true or false",
        'stack.yaml:2:66: devices.a.serial: should be text (put it in quotes: "5")',
    ]


def test_unions_get_one_message() -> None:
    assert errors_of("devices: {a: {source: bench, either: x}, b: {source: bench, either: [1]}}") == [
        "stack.yaml:2:38: devices.a.either: should be a whole number or a list",
        'stack.yaml:2:70: devices.b.either[0]: should be text (put it in quotes: "1")',
    ]


def test_a_broken_plugin_is_named_where_its_types_are_missed() -> None:
    broken = "plugin acme did not load: ImportError: no module named acme"
    assert errors_of("devices: {a: {source: acme}}") == [
        f"stack.yaml:2:23: devices.a.source: unknown source `acme` (known: bench; {broken})"
    ]
    assert errors_of("middleware: {a: [acme]}") == [
        f"stack.yaml:2:18: middleware.a[0]: no chain or middleware type is called `acme` "
        f"(known: a, limit, plain; {broken})"
    ]


def test_options_that_are_no_options_are_an_error_where_they_are_used() -> None:
    assert errors_of("devices: {a: {source: odd}}")[0].startswith("stack.yaml:2:23: devices.a.source: unknown source")


def test_a_plugin_that_fails_fails_alone() -> None:
    assert errors_of(
        "devices: {a: {source: bench, fragile: x}, b: {source: nothing}}\nloopbacks: {g: {nodes: {o: {type: out}}}}\n"
    ) == [
        "stack.yaml:2:11: devices.a: its plugin failed: KeyError: 'oops'",
        "stack.yaml:2:55: devices.b.source: unknown source `nothing` (known: bench; "
        "plugin acme did not load: ImportError: no module named acme)",
        "stack.yaml:3:25: loopbacks.g.nodes.o: a sink needs `in` (the node that it takes frames from)",
        "stack.yaml:3:25: loopbacks.g.nodes.o: its plugin failed: KeyError: 'oops'",
    ]


def test_links_by_name() -> None:
    text = (
        "middleware: {edge: [plain, limit, {type: limit, most: 1B, then: edg}]}\n"
        "gateways: {g: {bind: 'a:1', chain: [egde], routes: [{path: /, chain: [edge], handler: {type: end}}]}}\n"
    )
    assert errors_of(text) == [
        "stack.yaml:2:28: middleware.edge[1]: `limit` needs options (write {type: limit, most: ...})",
        "stack.yaml:2:65: middleware.edge[2].then: no chain is called `edg` "
        "(did you mean `edge`? known: edge, limit, plain)",
        "stack.yaml:3:37: gateways.g.chain[0]: no chain or middleware type is called `egde` (did you mean `edge`? "
        "known: edge, limit, plain; plugin acme did not load: ImportError: no module named acme)",
    ]


def test_links_beside_others_that_are_left_out_are_looked_up() -> None:
    errors = errors_of("middleware: {edge: [{type: nothing}, nope, {type: limit, most: 5}]}")
    assert [e.split(" ")[1] for e in errors] == [
        "middleware.edge[0].type:", "middleware.edge[1]:", "middleware.edge[2].most:"
    ]  # fmt: skip


def test_references_are_found_wherever_they_are() -> None:
    assert errors_of("devices: {a: {source: bench, nested: {x: [a, b]}}}") == [
        "stack.yaml:2:46: devices.a.nested.x[1]: no camera is called `b` (known: a)"
    ]


def test_chains_that_multiply() -> None:
    chains = "".join(f"  c{i}: [{', '.join([f'c{i - 1}'] * 9)}]\n" for i in range(1, 60))
    errors = errors_of(f"middleware:\n  c0: [plain]\n{chains}")
    assert errors[0] == "stack.yaml:6:3: middleware.c3: 729 links with its named chains spelled out (at most 200)"


def test_long_chains_of_chains_are_no_trouble() -> None:
    chains = "".join(f"  c{i}: [c{i - 1}]\n" for i in range(1, 5000))
    assert len(stack_of(f"middleware:\n  c0: [plain]\n{chains}").middleware) == 5000


def test_an_empty_catalogue_still_explains() -> None:
    with pytest.raises(StackError) as caught:
        load_text("apiVersion: vidops/v1\ndevices: {a: {source: x}, b: {}}", catalogue=Catalogue())
    assert str(caught.value) == (
        "stack.yaml:2:23: devices.a.source: unknown source `x`\nstack.yaml:2:27: devices.b: `source` is missing"
    )


def test_errors_are_in_file_order_and_counted_when_too_many() -> None:
    errors = errors_of("devices:\n" + "".join(f"  c{i}: {{source: nothing}}\n" for i in range(500)))
    assert len(errors) == MAX_SHOWN + 1
    assert errors[-1] == "stack.yaml:202:18: 300 more problems from here on"
    lines = [int(e.split(":")[1]) for e in errors]
    assert lines == sorted(lines)


def test_files_that_were_tried_are_told(tmp_path: Path) -> None:
    stack = tmp_path / "stack.yaml"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("include: [../b.yaml, gone.yaml]\n")
    (tmp_path / "b.yaml").write_text("devices: {a: {source: bench}}\n")
    stack.write_text("apiVersion: vidops/v1\ninclude: [sub/a.yaml]\n")
    with pytest.raises(StackError) as caught:
        load(str(stack), catalogue=CATALOGUE, env={})
    files = [str(tmp_path / name) for name in ("stack.yaml", "sub/a.yaml", "b.yaml", "sub/gone.yaml")]
    assert list(caught.value.files) == files
    (tmp_path / "sub" / "gone.yaml").write_text("include: [a.yaml/../../b.yaml]\n")
    loaded = load(str(stack), catalogue=CATALOGUE, env={})
    assert list(loaded.files) == files
    assert loaded.mark(("devices", "a")) == Mark(files[2], 1, 11)


@pytest.mark.parametrize("name", ["gone", "directory", "pipe", "gone/below", "null\0"])
def test_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StackError, match="the file cannot be read: "):
        load(str(tmp_path / name), catalogue=CATALOGUE, env={})


def test_a_large_file_is_read_as_far_as_it_may_be(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10**9)
    assert len(read_file(str(tmp_path / "large"))) < 2 * 2**20
    with pytest.raises(StackError, match="larger than 1024 KiB"):
        load(str(tmp_path / "large"), catalogue=CATALOGUE, env={})


def outcome(data: bytes, files: dict[str, str] | None = None) -> None:
    """Loads, or fails as it should."""
    with contextlib.suppress(StackError):
        load_text(data, {"A": "1", "B": "x: [1"}, files, catalogue=CATALOGUE)


@pytest.mark.parametrize("data", [BOMB, WIDE, MERGES], ids=["bomb", "wide", "merges"])
def test_bombs(data: bytes) -> None:
    outcome(b"apiVersion: vidops/v1\nmetadata: {labels: {x: 1}}\n" + data)


def test_a_bomb_within_bounds_ends_soon() -> None:
    camera = ", ".join(f"k{i}: 1" for i in range(200))
    text = f"x: &c {{source: bench, {camera}}}\ndevices:\n" + "".join(f"  c{i}: *c\n" for i in range(400))
    errors = errors_of(text)
    assert len(errors) == MAX_SHOWN + 1


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    outcome(data)
    outcome(b"apiVersion: vidops/v1\n" + data)


WORDS = st.sampled_from(
    ["devices", "captures", "loopbacks", "middleware", "gateways", "source", "bench", "type", "segments", "nodes",
     "out", "in", "in_", "camera", "device", "bind", "routes", "path", "/**", "/a/*", "handler", "end", "chain",
     "limit", "plain",
     "most", "5MB", "10s", "a", "b", "${A}", "${B}", "${C:-a}", "$", "mode", "framerate", "include", "stack.yaml",
     "metadata", "labels", "tls", "keyfile", "env", "0.0.0.0:80", "unix:/a", "lanes", "nested", "fragile", "x",
     "either"]
)  # fmt: skip
VALUES = st.recursive(
    WORDS
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4),
    max_leaves=25,
)
SECTIONS = st.dictionaries(
    st.sampled_from(
        ["devices", "captures", "loopbacks", "middleware", "gateways", "metadata", "settings", "include", "apiVersion"]
    ),
    VALUES,
)


@settings(max_examples=150)
@given(SECTIONS, SECTIONS)
def test_anything_like_a_stack(sections: dict[str, Any], other: dict[str, Any]) -> None:
    included = {"a": dump(other)}
    outcome(dump({"apiVersion": "vidops/v1", **sections}).encode(), included)
    outcome(dump({"apiVersion": "vidops/v1", **sections, "include": ["a"]}).encode(), included)


@settings(max_examples=100)
@given(SECTIONS)
def test_what_a_variable_holds_is_not_told(sections: dict[str, Any]) -> None:
    """Somebody may keep a password in it. The names of files are told: they are what is looked for."""
    sections.pop("include", None)
    try:
        load_text(
            dump({"apiVersion": "vidops/v1", **sections}), {"A": "Hunter 2", "B": "hunter-2"}, catalogue=CATALOGUE
        )
    except StackError as error:
        told = str(error).lower()
    else:
        told = ""
    assert "hunter" not in told


NODES = st.dictionaries(
    st.sampled_from("abcd"),
    st.fixed_dictionaries({"type": st.sampled_from(["camera", "filter", "camera_out"])}, optional={
        "in": st.sampled_from("abcde"), "device": st.sampled_from(["door", "g-a", "h-b", "n"]),
        "filter": st.just("hflip"),
        "name": st.sampled_from(["door", "n", "g-a"]),
    }),
    max_size=4,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from("gh"), st.fixed_dictionaries({"nodes": NODES})))
def test_graphs_that_pass_can_be_built(graphs: dict[str, Any]) -> None:
    text = {"apiVersion": "vidops/v1", "devices": {"door": {"source": "testsrc"}}, "loopbacks": graphs}
    try:
        loaded = load_text(dump(text))
    except StackError:
        return
    assert plan(resources_of(loaded), {})


@given(YAMLISH)
def test_anything_like_yaml(text: str) -> None:
    outcome(text.encode())
    outcome(f"apiVersion: vidops/v1\ndevices: {text}".encode())


def test_no_message_speaks_of_pydantic() -> None:
    texts: list[str] = []

    @settings(max_examples=200, database=None)
    @given(SECTIONS)
    def collect(sections: dict[str, Any]) -> None:
        try:
            load_text(dump({"apiVersion": "vidops/v1", **sections}), catalogue=built_ins())
        except StackError as error:
            texts.extend(problem.message for problem in error.problems)

    collect()
    assert texts
    for text in texts:
        assert not [
            w for w in ("pydantic", "Input ", "a valid ", "instance", "http", "dictionary", "Extra ") if w in text
        ], text


def test_the_chains_of_all_routes_have_a_bound() -> None:
    links = ", ".join(["plain"] * 190)
    routes = "".join(f"      - {{path: /r{i}, chain: [c], handler: {{type: end}}}}\n" for i in range(600))
    text = f"middleware: {{c: [{links}]}}\ngateways:\n  g:\n    bind: a:1\n    routes:\n{routes}"
    assert errors_of(text) == ["stack.yaml:3:1: gateways: 114190 links in the chains of all routes (at most 100000)"]
