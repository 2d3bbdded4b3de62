"""Every place in a typed stack that names an entry of another section, whoever declared the field."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from functools import lru_cache
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


@lru_cache(maxsize=512)
def _fields(model: type[BaseModel]) -> dict[str, tuple[str, Any]]:
    """Name in the file → attribute and annotation, of the fields that a reference can be in."""
    attributes = {info.alias or name: name for name, info in model.model_fields.items()}
    shapes = {name: annotated(info) for name, info in fields_of(model).items()}
    return {name: (attributes[name], shape) for name, shape in shapes.items() if _may_refer(shape)}


def _may_refer(shape: Any) -> bool:
    if get_origin(shape) is Annotated:
        inner, *metadata = get_args(shape)
        return any(isinstance(m, Reference) for m in metadata) or _may_refer(inner)
    if isinstance(shape, type) and get_origin(shape) is None:
        return issubclass(shape, BaseModel) or shape in (Any, dict, list, tuple, object)
    return shape is Any or any(_may_refer(part) for part in get_args(shape))
