"""A model's JSON Schema as editors use it: what pydantic emits, made to say exactly what `load` accepts.

Variables: `load` takes a text with `${...}` for whatever its place needs, so wherever something narrower than any
text is asked for, such a text is allowed, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "urn:vidops:stack:v1"
_VARIABLE = "Variable"
_VARIABLE_SCHEMA = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_]",
    "description": "A text with variables: ${NAME}, ${NAME:-default}.",
}
_LIMITS = ("pattern", "format", "enum", "const", "minLength", "maxLength")
_TAGS = ("apiVersion", "source", "type")

Schema = dict[str, Any]


def publish(model: type[BaseModel], title: str) -> Schema:
    """The schema of `model`, draft 2020-12, in a stable order."""
    raw = model.model_json_schema(by_alias=True)
    definitions = {name: _value(schema) for name, schema in sorted(raw.pop("$defs", {}).items())}
    definitions[_VARIABLE] = _VARIABLE_SCHEMA
    return {"$schema": DIALECT, "$id": ID, **_value(raw), "title": title, "$defs": definitions}


def _value(schema: Schema) -> Schema:
    """A schema that a value has to fit, with a variable allowed in its place where it would not fit itself."""
    schema = _inside({key: value for key, value in schema.items() if key != "discriminator"})
    if not _is_narrow(schema):
        return schema
    about: Schema = {key: schema.pop(key) for key in ("description", "default") if key in schema}
    return {**about, "anyOf": [schema, {"$ref": f"#/$defs/{_VARIABLE}"}]}


def _inside(schema: Schema) -> Schema:
    """Members of mappings and lists, and the arms of unions. Names of entries stay names: variables are for values."""
    schema = dict(schema)
    if isinstance(schema.get("default"), dict):
        del schema["default"]  # what its own fields have as defaults says it better
    if "properties" in schema:
        schema["properties"] = {name: _property(name, inner) for name, inner in schema["properties"].items()}
    if "patternProperties" in schema:
        (pattern, value), *_ = schema.pop("patternProperties").items()
        schema |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
    for member in ("items", "additionalProperties"):
        if isinstance(schema.get(member), dict):
            schema[member] = _value(schema[member])
    if "prefixItems" in schema:
        schema["prefixItems"] = [_value(item) for item in schema["prefixItems"]]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            schema[several] = list(_arms(schema[several]))
    return schema


def _property(name: str, schema: Schema) -> Schema:
    schema = {key: value for key, value in schema.items() if key != "title"}
    # What tells an entry's class apart is written out, so that editors know which one it is.
    return _inside(schema) if name in _TAGS and "const" in schema else _value(schema)


def _arms(arms: list[Schema]) -> Iterator[Schema]:
    for arm in arms:
        yield _inside(arm)
    any_text = any(arm.get("type") == "string" and not _is_narrow(arm) for arm in arms)
    if not any_text and any(_is_narrow(arm) for arm in arms):
        yield {"$ref": f"#/$defs/{_VARIABLE}"}


def _is_narrow(schema: Schema) -> bool:
    """Whether it is for scalars, and not for every text."""
    kind = schema.get("type")
    if kind == "string":
        return any(key in schema for key in _LIMITS)
    return kind in ("number", "integer", "boolean") or (kind is None and ("enum" in schema or "const" in schema))
