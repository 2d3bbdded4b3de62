"""Every place in a typed stack that names an entry of another section, whoever declared the field."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from vidops.resources.catalogue import Reference
from vidops.stack.nodes import DocPath
from vidops.stack.shapes import annotated, fields_of


def references(value: Any, shape: Any = Any, path: DocPath = ()) -> Iterator[tuple[DocPath, Reference, str]]:
    """(place, what kind of name, name) for each value of a field that has `Reference` in its annotation."""
    if isinstance(value, BaseModel):
        for name, (attribute, inner) in _fields(type(value)).items():
            yield from references(getattr(value, attribute), inner, (*path, name))
        return
    origin, args = get_origin(shape), get_args(shape)
    if origin is Annotated:
        inner, *metadata = args
        reference = next((m for m in metadata if isinstance(m, Reference)), None)
        if reference is not None and isinstance(value, str):
            yield path, reference, value
            return
        yield from references(value, inner, path)
    elif origin in (Union, types.UnionType):
        # Of the arms, at most one fits a value; a text that is a name in one of them is taken for one.
        for arm in args:
            if found := list(references(value, arm, path)):
                yield from found
                return
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from references(item, args[-1] if args else Any, (*path, key))
    elif isinstance(value, list | tuple):
        each = args if origin is tuple and args and args[-1] is not Ellipsis else None
        for i, item in enumerate(value):
            inner = each[min(i, len(each) - 1)] if each else args[0] if args else Any
            yield from references(item, inner, (*path, i))


def _fields(model: type[BaseModel]) -> dict[str, tuple[str, Any]]:
    """Name in the file → attribute and annotation."""
    attributes = {info.alias or name: name for name, info in model.model_fields.items()}
    return {name: (attributes[name], annotated(info)) for name, info in fields_of(model).items()}
