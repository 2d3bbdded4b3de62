"""pydantic's kinds of errors in plain words. Pure.

What is not in here keeps the validator's own message, cleaned of pydantic's manner of speaking.
"""

from __future__ import annotations

import re
from typing import Any

from vidops.stack.nodes import shown
from vidops.stack.suggest import nearest

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "not_tagged": "a mapping",
    "path_type": "a path",
    "none_required": "nothing",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}
_EMPTY = "it is empty"
_YES = ("yes", "on", "y", "True", "TRUE")
_NO = ("no", "off", "n", "False", "FALSE")


def expected(kind: str, context: dict[str, Any]) -> str:
    """What a value of the wrong type should be; empty for errors that are not about types."""
    if kind == "one_of":
        return str(context["words"])
    if kind in ("literal_error", "enum"):
        return str(context.get("expected", "")).replace("'", "`")
    if kind == "not_tagged" and context.get("names"):
        return "a name or a mapping"
    return _EXPECTED.get(kind, "")


def worded(kind: str, context: dict[str, Any], message: str, value: Any) -> tuple[str, str]:
    """Message and hint for an error at `value`, the scalar as it was written (or an empty collection)."""
    if words := expected(kind, context):
        return f"should be {words}", _hint(words, value) or _hint_for_tag(context, value)
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return f"must be {words} {_number(context.get(name))}", ""
    return _other(kind, context, message, value)


def _other(kind: str, context: dict[str, Any], message: str, value: Any) -> tuple[str, str]:
    match kind:
        case "value_error" | "assertion_error":
            return _one_line(str(context.get("error", message))), _EMPTY if value is None else ""
        case "plugin_failed":
            return f"its plugin failed: {_one_line(str(context['error']))}", ""
        case "string_too_short" | "too_short" if context.get("min_length") == 1:
            return "must not be empty", ""
        case "string_too_short" | "string_too_long":
            return f"must have {_length(context)} characters", ""
        case "too_short" | "too_long":
            return f"must have {_length(context)} entries", ""
        case "string_pattern_mismatch":
            return "does not have the right form", f"pattern: {shown(str(context.get('pattern', '')), 120)}"
    return _cleaned(message), ""


def _hint(words: str, value: Any) -> str:
    if value is None:
        return _EMPTY
    if isinstance(value, bool | int | float) and "text" in words:
        return f'put it in quotes: "{str(value).lower() if isinstance(value, bool) else value}"'
    if isinstance(value, list | dict):
        return f"it is a {'list' if isinstance(value, list) else 'mapping'}"
    return _hint_for_text(words, value) if isinstance(value, str) else ""


def _hint_for_tag(context: dict[str, Any], value: Any) -> str:
    """For the bare name of a type where an entry of that type belongs."""
    known = isinstance(value, str) and value in context.get("choices", ())
    return f"as in {{{context['key']}: {value}}}" if known else ""


def _hint_for_text(words: str, value: str) -> str:
    if "true or false" in words and value in (*_YES, *_NO):
        return f"write {'true' if value in _YES else 'false'}"
    bare = ("true", "false") if "true" in words else ()
    if value in bare or ("number" in words and re.fullmatch(r"[-+]?[0-9.]+", value)):
        return f"without quotes: {shown(value)}"
    if words == "a list" and value:
        return f"as in [{shown(value)}]"
    options = re.findall(r"`([^`]*)`", words)
    near = nearest(value, options) if len(options) > 1 else ""
    return f"did you mean `{near}`?" if near else ""


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _length(context: dict[str, Any]) -> str:
    if "min_length" in context:
        return f"at least {context['min_length']}"
    return f"at most {context.get('max_length')}"


def _cleaned(message: str) -> str:
    """ "Input should be a valid URL" becomes "should be a URL"."""
    text = re.sub(r"^Input ", "", _one_line(message)).replace("a valid ", "a ").replace(" instance of", "")
    return text[:1].lower() + text[1:] if not text[:2].isupper() else text


def _one_line(text: str) -> str:
    return shown(" ".join(text.split()), 400) or "not right"
