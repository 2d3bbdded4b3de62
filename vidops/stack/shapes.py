"""Which models describe a part of a document: types walked along a path, beside the data."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vidops.stack.tagged import Tagged


def models_at(model: type[BaseModel], data: Any, path: Sequence[str | int]) -> list[type[BaseModel]]:
    """The models that the value at `path` may be an instance of; several where a union leaves it open."""
    shapes: list[Any] = [model]
    for step in path:
        shapes = [inner for shape in shapes for inner in _inside(shape, data, step)]
        data = _item(data, step)
    return list(dict.fromkeys(m for shape in shapes for m in _alternatives(shape, data) if _is_model(m)))


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields by the names that a file uses for them."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def annotated(info: FieldInfo) -> Any:
    """A field's annotation with the metadata that pydantic took off it."""
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)


def _alternatives(shape: Any, data: Any) -> Iterator[Any]:
    """What a shape can be, with annotations, unions and tags resolved."""
    origin = get_origin(shape)
    if origin is Annotated:
        inner, *metadata = get_args(shape)
        tagged = next((m for m in metadata if isinstance(m, Tagged)), None)
        if tagged is None:
            yield from _alternatives(inner, data)
        elif chosen := tagged.class_of(data):
            yield chosen
    elif origin in (Union, types.UnionType):
        for arm in get_args(shape):
            yield from _alternatives(arm, data)
    else:
        yield shape


def _inside(shape: Any, data: Any, step: str | int) -> Iterator[Any]:
    """The shapes of what is at `step` in a value of `shape`."""
    for option in _alternatives(shape, data):
        if _is_model(option):
            info = fields_of(option).get(str(step))
            if info is not None:
                yield annotated(info)
            continue
        origin = get_origin(option)
        args = [arg for arg in get_args(option) if arg is not Ellipsis]
        if args and isinstance(origin, type) and issubclass(origin, Mapping):
            yield args[-1]
        elif args and isinstance(origin, type) and issubclass(origin, Sequence | set | frozenset):
            yield args[step] if isinstance(step, int) and origin is tuple and step < len(args) else args[-1]


def _item(data: Any, step: str | int) -> Any:
    try:
        return data[step]
    except (LookupError, TypeError):
        return None
