"""`${VAR}` in scalar values, with Compose's meaning. Pure.

${VAR}            its value; an error where it is not set
${VAR:-default}   `default` where it is not set or empty          ${VAR-default}    where it is not set
${VAR:?message}   an error with `message` where not set or empty  ${VAR?message}    where it is not set
$$                one dollar

A default may hold interpolations of its own. What comes in is never read as YAML structure; which type it takes
is decided by its place (see `stack.load`). Source: the Compose specification, "Interpolation".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_DEPTH = 16
"""Of defaults within defaults."""
MAX_LENGTH = 64 * 1024
"""Characters of a result."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes in the environment that are no text."""
_MEANING = re.compile(r"\$")
_MEANING_INSIDE = re.compile(r"[$}]")
_OPERATOR = re.compile(r":-|:\?|-|\?")


class InterpolationError(ValueError):
    """What is wrong with an interpolation; `hint` is what would be right."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def interpolate(text: str, env: Mapping[str, str]) -> str:
    """`text` with every interpolation replaced; raises `InterpolationError`. Values are never looked at again."""
    return _until(text, 0, env, depth=0)[0] if "$" in text else text


def _until(text: str, start: int, env: Mapping[str, str], depth: int) -> tuple[str, int]:
    """The text from `start` to its end, or inside braces (depth > 0) to the `}` that closes them."""
    parts: list[str] = []
    length = 0
    i = start
    while i < len(text):
        if text[i] == "}" and depth:
            break
        if text[i] != "$":
            end = _plain(text, i, inside=depth > 0)
            part, i = text[i:end], end
        elif text.startswith("$$", i):
            part, i = "$", i + 2
        elif text.startswith("${", i):
            part, i = _variable(text, i, env, depth)
        else:
            raise InterpolationError("a `$` that starts nothing", "write `$$` for a dollar, `${NAME}` for a variable")
        length += len(part)
        if length > MAX_LENGTH:
            raise InterpolationError(f"longer than {MAX_LENGTH} characters once its variables are in")
        parts.append(part)
    return "".join(parts), i


def _plain(text: str, start: int, *, inside: bool) -> int:
    """Where the next character with a meaning is."""
    found = (_MEANING_INSIDE if inside else _MEANING).search(text, start)
    return found.start() if found else len(text)


def _variable(text: str, start: int, env: Mapping[str, str], depth: int) -> tuple[str, int]:
    """The value of the `${...}` at `start`, and where it ends."""
    if depth >= MAX_DEPTH:
        raise InterpolationError(f"more than {MAX_DEPTH} defaults within defaults")
    name = _NAME.match(text, start + 2)
    if name is None:
        raise InterpolationError("`${` without a variable's name", "letters, digits and _, as in `${NAME}`")
    value = env.get(name[0])
    if value is not None and _SURROGATE.search(value):
        raise InterpolationError(f"the variable {name[0]} is not UTF-8 text")
    operator = _OPERATOR.match(text, name.end())
    if operator is None:
        if not text.startswith("}", name.end()):
            raise InterpolationError(
                f"`${{{name[0]}` is not closed", f"write `${{{name[0]}}}` or `${{{name[0]}:-default}}`"
            )
        if value is None:
            raise InterpolationError(
                f"the variable {name[0]} is not set", f"set it, or give a default: `${{{name[0]}:-...}}`"
            )
        return value, name.end() + 1
    absent = value is None or (not value and operator[0].startswith(":"))
    # A default that is not used is not looked up: its own variables may be unset.
    rest, end = _until(text, operator.end(), env if absent else _Anything(), depth + 1)
    if end >= len(text):
        raise InterpolationError(f"`${{{name[0]}` is not closed", "a `}` is missing")
    if value is not None and not absent:
        return value, end + 1
    if operator[0].endswith("?"):
        raise InterpolationError(f"the variable {name[0]} is {_state(value)}", rest or "set it")
    return rest, end + 1


def _state(value: str | None) -> str:
    return "not set" if value is None else "empty"


class _Anything(dict[str, str]):
    """Every variable is set, to nothing."""

    def get(self, key: str, default: object = None) -> str:
        return "-"
