"""YAML as the stack file has it: what scalars mean, where things stand, and that nothing makes it fall over."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidops.errors import Mark, StackError
from vidops.stack import reader
from vidops.stack.nodes import key_mark, mark_of, plain, render_path, without, written_path
from vidops.stack.reader import MAX_BYTES, Budget, read


def data_of(text: str) -> Any:
    root, problems = read(text.encode(), "f")
    assert not problems
    return plain(root)


def errors_of(data: bytes) -> list[str]:
    try:
        return [str(problem) for problem in read(data, "f")[1]]
    except StackError as error:
        return [str(problem) for problem in error.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("false", False), ("True", True),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("nULL", "nULL"),
        ("0", 0), ("-1", -1), ("+1", 1), ("017", "017"), ("0o17", 15), ("0x1F", 31), ("0b11", "0b11"),
        ("1_000", "1_000"), ("12:30:45", "12:30:45"), ("2024-01-02", "2024-01-02"), ("10:00", "10:00"),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1.5E-2", -0.015), (".", "."), ("01.5", "01.5"),
        (".inf", ".inf"), ("-.INF", "-.INF"), (".nan", ".nan"), ("1e999", "1e999"), ("0x", "0x"), ("+0x1", "+0x1"),
        ("1234567890123456789012", "1234567890123456789012"), ('"1"', "1"), ("'true'", "true"), ('"~"', "~"),
        ("!!str 1", "1"), ("! 1", "1"), ("=", "="), ("<<", "<<"), ("|\n  1\n", "1\n"), (">-\n  a\n  b", "a b"),
    ],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    found = data_of(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_places() -> None:
    text = "a: 1\nb:\n  - x\n  - {c: 2,\n     d: [3]}\n'e': &n\n  f: 4\ng: *n\n"
    root, _ = read(text.encode(), "f")
    assert mark_of(root, ()) == Mark("f", 1, 1)
    assert mark_of(root, ("a",)) == Mark("f", 1, 4)  # a scalar: its value
    assert mark_of(root, ("b",)) == Mark("f", 2, 1)  # a collection: its key
    assert mark_of(root, ("b", 0)) == Mark("f", 3, 5)
    assert mark_of(root, ("b", 1, "d")) == Mark("f", 5, 6)
    assert mark_of(root, ("b", 1, "d", 0)) == Mark("f", 5, 10)
    assert mark_of(root, ("b", 1, "nothing", "below")) == Mark("f", 4, 5)  # the nearest above
    assert key_mark(root, ("b", 1, "c")) == Mark("f", 4, 6)
    assert mark_of(root, ("g",)) == Mark("f", 8, 1)
    assert mark_of(root, ("g", "f")) == Mark("f", 7, 6)  # an alias: where it was written
    assert mark_of(root, ("e", "f")) == Mark("f", 7, 6)


def test_columns_count_characters() -> None:
    root, _ = read("\ufeffä: {ö: ü, x: 🎥, b: 1}\n".encode(), "f")
    assert mark_of(root, ("ä", "b")) == Mark("f", 1, 20)


def test_merge_keys() -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], c: 5}\nw: {c: 6, <<: *y}\nq: {'<<': 7}"
    found = data_of(text)
    assert found["z"] == {"a": 1, "b": 2, "c": 5}
    assert found["w"] == {"b": 3, "c": 6}
    assert found["q"] == {"<<": 7}
    assert found["x"] == {"a": 1, "b": 2}


def test_an_alias_as_a_key() -> None:
    assert data_of("&a name: 1\nb: {*a : 2}") == {"name": 1, "b": {"name": 2}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: \xff", "f:1:4: the byte 0xff is not UTF-8 (save the file as UTF-8)"),
        ("ä\nb: ä".encode("latin-1"), "f:1:1: the byte 0xe4 is not UTF-8 (save the file as UTF-8)"),
        ("a: 1\n".encode("utf-16"), "f:1:1: the byte 0xff is not UTF-8 (save the file as UTF-8)"),
        (b"a: 1\nb: x\x00y", "f:2:5: the character U+0000 cannot be used"),
        (b'a: ["\\0"]', "f:1:5: a[0]: the character U+0000 cannot be used"),
        (b"a: \x1b[0m", "f:1:4: the character U+001B cannot be used"),
        ("a: x\ufeff".encode(), "f:1:5: the character U+FEFF cannot be used"),
        (b"a:\n \t b: 1", "f:2:2: a tab cannot indent or start a value (use spaces)"),
        (b"? [a]\n: 1", "f:1:3: a key must be text, not a mapping or a list"),
        (b"{{a: 1}: 2}", "f:1:2: a key must be text, not a mapping or a list"),
        (b"a: &a [1]\nb: {*a : 1}", "f:2:5: a key must be text"),
        (b"a: 1\na: 2", "f:2:1: a: `a` is written twice (first in line 1)"),
        (b"- {1.5: a}", 'f:1:4: the key 1.5 is not text (put it in quotes: "1.5")'),
        (b"x" * (MAX_BYTES + 1), "f:1:1: the file is larger than 1024 KiB"),
        (b"%YAML 3.0\n---\na: 1", "f:1:1: not valid YAML: found incompatible YAML document"),
    ],
)
def test_mistakes(data: bytes, message: str) -> None:
    assert errors_of(data) == [message]


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (97 + i, 97 + i, b",".join([b"*%c" % (96 + i)] * 9)) for i in range(1, 20)
)
WIDE = b"a: &a [" + b"x, " * 60_000 + b"]\nb: [*a, *a]\nc: *a"
MERGES = b"m: &m {%s}\n" % b",".join(b"k%d: 1" % i for i in range(2000)) + b"".join(
    b"n%d: {<<: *m}\n" % i for i in range(3000)
)
CHAIN = b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 5000))


@pytest.mark.parametrize(
    "data",
    [
        *(part * 100_000 for part in (b"[", b"{", b"- ", b"? ", b"{a: ", b"[[],", b"a: [", b"&a ", b"!a ", b"! ")),
        b"\n".join(b" " * i + b"a:" for i in range(1000)),
        BOMB, WIDE, MERGES, CHAIN,
        b"a: &a [*a]", b"&a a: *a", b"&a {<<: *a}", b"a: &a {b: {<<: [*a]}}",
        b"[" * 100_000 + b"]" * 100_000,
        b"'" + b"x" * 1_000_000, b'"' + b"\\x41" * 250_000 + b'"', b"# \n" * 340_000, b"a: |\n" + b" x\n" * 300_000,
        b"x: 1\n" * 200_000, b"1: 1\n" * 200_000, b"!x a: 1\n" * 100_000, b"- *x\n" * 200_000,
        b"9" * 1_000_000, b"1." + b"0" * 1_000_000, b"a: 0x" + b"f" * 1_000_000, b"- a\n" * 262_144,
        b"%TAG ! " + b"x" * 100_000 + b"\n---\na: 1", b"%x\n" * 300_000, b"---\n" * 250_000, b"{,}", b"\xef\xbb\xbf",
    ],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_what_is_meant_to_hurt_does_not(data: bytes) -> None:
    started = time.process_time()  # the work, however busy the machine is
    errors = errors_of(data)
    assert time.process_time() - started < 5
    assert len(errors) <= reader.MAX_PROBLEMS + 1


@pytest.mark.parametrize("data", [BOMB, WIDE, MERGES, CHAIN, b"- [a]\n" * 150_000])
def test_more_than_is_allowed_is_refused(data: bytes) -> None:
    assert [e for e in errors_of(data) if "more than 200000 values" in e or "nested more than 64 deep" in e]


def test_a_variable_cannot_hold_a_nul() -> None:
    _, problems = read(b"a: $x", "f", lambda *_: "1\0")
    assert [str(p) for p in problems] == ["f:1:4: a: the character U+0000 cannot be used"]


def test_what_is_read_counts_for_all_files() -> None:
    budget = Budget(10)
    read(b"[1, 2, 3, 4]", "a", budget=budget)
    with pytest.raises(StackError, match="more than"):
        read(b"[1, 2, 3, 4, 5]", "b", budget=budget)


def test_problems_that_leave_the_rest_readable_come_together() -> None:
    assert len(errors_of(b"a: !x 1\na: 2\n3: 4\nb: {<<: 1}\n")) == 4
    assert errors_of(b"a: 1\n" * 500)[-1] == "f:102:1: too many problems: the rest of the file was not read"


@given(st.binary(max_size=400))
@example(b"\x80")
def test_any_bytes(data: bytes) -> None:
    errors_of(data)


@given(st.text(max_size=400))
def test_any_text(text: str) -> None:
    errors_of(text.encode("utf-8", "surrogatepass"))


YAMLISH = st.lists(
    st.sampled_from(
        ["a", "b: ", "- ", "  ", "\n", "{", "}", "[", "]", ", ", ": ", "&x ", "*x", "<<: ", "? ", "!t ", "'", '"', "|",
         ">", "# ", "---", "...", "%", "\\", "1", "~", "true", "\t", "$", "ä", "\r\n", "@", "`", "=", "!!str "]
    ),
    max_size=60,
).map("".join)  # fmt: skip


@given(YAMLISH)
def test_anything_like_yaml(text: str) -> None:
    errors_of(text.encode())


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=8)
)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text("xyz", min_size=1, max_size=3), trees, max_size=4))
def test_json_is_read_as_json_reads_it(tree: dict[str, Any]) -> None:
    assert data_of(json.dumps(tree, ensure_ascii=True)) == tree


def paths_in(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for step, inner in below for p in paths_in(inner, (*path, step)))]


@given(st.dictionaries(st.text("xyz", min_size=1, max_size=3), trees, max_size=4), st.data())
def test_leaving_parts_out_keeps_places(tree: dict[str, Any], draw: st.DataObject) -> None:
    root, _ = read(json.dumps(tree).encode(), "f")
    gone = draw.draw(st.lists(st.sampled_from(paths_in(tree)), max_size=4))
    rest = without(root, gone)
    assert plain(root) == tree
    for path in paths_in(plain(rest)):
        written = written_path(rest, path)
        assert mark_of(rest, path) == mark_of(root, written)
        assert not any(written[: len(g)] == g for g in gone if g)


def test_paths_as_text() -> None:
    assert render_path(("gateways", "public", "routes", 2, "path")) == "gateways.public.routes[2].path"
    assert render_path(("devices", "front door", "")) == 'devices."front door".""'
    assert render_path(("a\nb",)) == '"a\\nb"'
