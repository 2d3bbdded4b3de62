"""A mapping whose class is chosen by one of its keys, from the types that plugins registered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True, eq=False)
class Tagged:
    """Metadata of an `Any` field: `key` names the class in `choices`; `default` is meant where it is left out.

    `names`: plain text is taken too (a link of a chain); `known` are examples of it for editors.
    """

    key: str
    noun: str
    choices: Mapping[str, type[BaseModel]]
    default: str | None = None
    names: bool = False
    known: tuple[str, ...] = ()

    def class_of(self, value: Any) -> type[BaseModel] | None:
        """The class that `value` (plain data) asks for; None where it names none that exists."""
        tag = value.get(self.key, self.default) if isinstance(value, dict) else None
        return self.choices.get(tag) if isinstance(tag, str) else None

    def pick(self, value: Any) -> Any:
        """Validate with the class that the tag names.

        The class sees JSON, strictly: texts are not taken for numbers, while lists still become tuples and
        texts enum members.
        """
        if self.names and isinstance(value, str):
            return value
        if not isinstance(value, dict):
            raise PydanticCustomError("not_tagged", "a mapping", {"names": self.names, **self._context})
        if self.key not in value and self.default is None:
            raise PydanticCustomError("tag_missing", "a mapping", self._context)
        cls = self.class_of(value)
        if cls is None:
            raise PydanticCustomError("tag_unknown", "a mapping", self._context)
        text = json.dumps({self.key: self.default, **value})
        try:
            return cls.__pydantic_validator__.validate_json(text, strict=True)
        except ValidationError:
            raise
        except Exception as error:  # noqa: BLE001 - a plugin's validator: named, and confined to its entry
            raise PydanticCustomError(
                "plugin_failed", "a mapping", {"error": f"{type(error).__name__}: {error}"}
            ) from None

    @property
    def _context(self) -> dict[str, Any]:
        return {"key": self.key, "noun": self.noun, "choices": sorted(self.choices)}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.pick)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        branches = [handler(cls.__pydantic_core_schema__) for cls in self.choices.values()]
        if self.names:
            branches = [{"type": "string", "examples": list(self.known)}, *branches]
        return {"oneOf": branches} if branches else {"not": {}}


class OrEmpty:
    """Metadata of a section: nothing after its colon means that it is empty (all entries commented out)."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_empty_for_none, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), {"type": "null"}]}


def _empty_for_none(value: Any) -> Any:
    return {} if value is None else value
