"""Variables in scalar values, with Compose's meaning."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.stack.interpolate import MAX_DEPTH, MAX_LENGTH, InterpolationError, interpolate

ENV = {"A": "a", "EMPTY": "", "B_2": "${A}", "_x": "$$", "BYTES": "a\udcff"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain }{", "plain }{"), ("${A}", "a"), ("x${A}y${A}z", "xayaz"), ("$${A}", "${A}"), ("$$", "$"),
        ("$$$$", "$$"),
        ("${EMPTY}", ""), ("${EMPTY:-d}", "d"), ("${EMPTY-d}", ""), ("${NO:-d}", "d"), ("${NO-d}", "d"),
        ("${A:-d}", "a"),
        ("${A-d}", "a"), ("${NO:-}", ""), ("${NO-}", ""), ("${NO:-${A}}", "a"), ("${NO:-${NO:-x${A}}y}z", "xayz"),
        ("${NO:-a:-b?c}", "a:-b?c"), ("${A:-${NO}}", "a"), ("${A:-${NO:?never}}", "a"), ("${A:?no}", "a"),
        ("${EMPTY?no}", ""), ("${B_2}", "${A}"), ("${_x}", "$$"), ("${NO:-$$}", "$"), ("${NO:- a b }", " a b "),
    ],
)  # fmt: skip
def test_results(text: str, result: str) -> None:
    assert interpolate(text, ENV) == result


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("${NO}", "the variable NO is not set", "set it, or give a default: `${NO:-...}`"),
        ("${NO:?give one}", "the variable NO is not set", "give one"),
        ("${NO?}", "the variable NO is not set", "set it"),
        ("${EMPTY:?}", "the variable EMPTY is empty", "set it"),
        ("${NO?${A} b}", "the variable NO is not set", "a b"),
        ("${A", "`${A` is not closed", "write `${A}` or `${A:-default}`"),
        ("${A:-b", "`${A` is not closed", "a `}` is missing"),
        ("${A:+b}", "`${A` is not closed", "write `${A}` or `${A:-default}`"),
        ("${}", "`${` without a variable's name", "letters, digits and _, as in `${NAME}`"),
        ("${1}", "`${` without a variable's name", "letters, digits and _, as in `${NAME}`"),
        ("${BYTES:-x}", "the variable BYTES is not UTF-8 text", ""),
        ("$A", "a `$` that starts nothing", "write `$$` for a dollar, `${NAME}` for a variable"),
        ("a$", "a `$` that starts nothing", "write `$$` for a dollar, `${NAME}` for a variable"),
    ],
)
def test_mistakes(text: str, message: str, hint: str) -> None:
    with pytest.raises(InterpolationError) as caught:
        interpolate(text, ENV)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_bounds() -> None:
    with pytest.raises(InterpolationError, match="defaults within defaults"):
        interpolate("${N:-" * (MAX_DEPTH + 1) + "}" * (MAX_DEPTH + 1), {})
    with pytest.raises(InterpolationError, match="longer than"):
        interpolate("${A}" * 2000, {"A": "x" * (MAX_LENGTH // 1000)})
    assert interpolate("${N:-" * MAX_DEPTH + "x" + "}" * MAX_DEPTH, {}) == "x"


@given(st.text(st.characters(codec="utf-8")), st.dictionaries(st.from_regex(r"[A-Z_]{1,3}", fullmatch=True), st.text()))
def test_what_comes_in_is_not_looked_at(text: str, env: dict[str, str]) -> None:
    escaped = text.replace("$", "$$")
    assert interpolate(escaped, env) == text
    for name, value in env.items():
        assert interpolate(f"<${{{name}}}>", env) == f"<{value}>"


@given(st.lists(st.sampled_from(["$", "{", "}", "A", ":-", "?", ":?", "-", "$$", "${A", "${NO", " "]), max_size=40))
def test_anything_gives_a_text_or_its_error(parts: list[str]) -> None:
    with contextlib.suppress(InterpolationError):
        assert len(interpolate("".join(parts), ENV)) <= MAX_LENGTH
