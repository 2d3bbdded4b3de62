"""A model's JSON Schema as editors use it: what pydantic emits, made to say exactly what `load` accepts.

Variables: `load` takes a text with `${...}` for whatever its place needs, so wherever something narrower than any
text is asked for, such a text is allowed, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import DEFAULT_REF_TEMPLATE, GenerateJsonSchema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "urn:vidops:stack:v1"
_VARIABLE = "Variable"
_VARIABLE_SCHEMA = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_]",
    "description": "A text with variables: ${NAME}, ${NAME:-default}.",
}
_NARROW = ("pattern", "format", "enum", "minLength", "maxLength")
"""What makes a text less than any text."""

Schema = dict[str, Any]


def publish(model: type[BaseModel], title: str) -> Schema:
    """The schema of `model`, draft 2020-12, in a stable order."""
    raw = model.model_json_schema(by_alias=True, ref_template=DEFAULT_REF_TEMPLATE, schema_generator=GenerateJsonSchema)
    definitions = {name: _object(schema) for name, schema in sorted(raw.pop("$defs", {}).items())}
    definitions[_VARIABLE] = _VARIABLE_SCHEMA
    body = _object(raw)
    body["title"] = title
    return {"$schema": DIALECT, "$id": ID, **body, "$defs": definitions}


def _object(schema: Schema) -> Schema:
    """A definition: its own title stays, those of its fields go (they repeat the keys)."""
    if schema.get("type") != "object" or "properties" not in schema:
        return _value(schema)
    properties = {name: _value(_untitled(inner)) for name, inner in schema["properties"].items()}
    rest = {key: value for key, value in schema.items() if key != "properties"}
    return {**rest, "properties": properties}


def _untitled(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in ("title", "discriminator")}


def _value(schema: Schema) -> Schema:
    """A schema that a value has to fit, with a variable allowed in its place where it would not fit."""
    schema = _untitled(schema)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return {**schema, several: list(_arms(schema[several]))}
    if "const" in schema or not _is_narrow(schema):
        return _collection(schema)
    about = {key: value for key, value in schema.items() if key in ("description", "default", "examples")}
    narrow = {key: value for key, value in schema.items() if key not in ("description", "default")}
    return {**about, "anyOf": [narrow, {"$ref": f"#/$defs/{_VARIABLE}"}]}


def _arms(arms: list[Schema]) -> Iterator[Schema]:
    for arm in arms:
        yield _collection(_untitled(arm))
    texts = [arm for arm in arms if arm.get("type") == "string" and not _is_narrow(arm)]
    if not texts and any(_is_narrow(arm) for arm in arms):
        yield {"$ref": f"#/$defs/{_VARIABLE}"}


def _is_narrow(schema: Schema) -> bool:
    kind = schema.get("type")
    if kind == "string":
        return any(key in schema for key in _NARROW)
    return kind in ("number", "integer", "boolean") or ("enum" in schema and kind is None)


def _collection(schema: Schema) -> Schema:
    """A list or a mapping, its members made ready, too. Names are checked as names, not as patterns for values."""
    schema = dict(schema)
    if isinstance(schema.get("items"), dict):
        schema["items"] = _value(schema["items"])
    if "prefixItems" in schema:
        schema["prefixItems"] = [_value(item) for item in schema["prefixItems"]]
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _value(schema["additionalProperties"])
    if "patternProperties" in schema:
        (pattern, value), *_ = schema.pop("patternProperties").items()
        schema["propertyNames"] = {"pattern": pattern}
        schema["additionalProperties"] = _value(value)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            schema[several] = list(_arms(schema[several]))
    return schema
