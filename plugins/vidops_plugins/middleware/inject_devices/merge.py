"""This host's cameras put into a document of a backend that has no devices of its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

JSON = Any


class NoPlace(Exception):
    """The document has no such place."""


def facts(state: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of a camera, flat: its description's facts, and how it is."""
    description = state.get("description")
    return {
        **(description if isinstance(description, Mapping) else {}),
        **{k: v for k, v in state.items() if k != "description"},
    }


def tokens(pointer: str) -> list[str]:
    """Of a JSON Pointer (RFC 6901)."""
    return [t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:]]


def injected(
    document: JSON,
    pointer: str,
    cameras: Sequence[Mapping[str, Any]],
    *,
    fields: Mapping[str, str],
    identity: Mapping[str, str],
    keep: bool,
    hidden: Sequence[Mapping[str, Any]] = (),
) -> JSON:
    """The document with the list at `pointer` merged with the cameras. Raises `NoPlace`.

    `fields`: what the document calls a fact; all facts by their own names where empty. `identity`: fields of the
    document by which an entry is a camera of ours, and their facts. `keep`: entries that are none of ours stay.
    `hidden`: cameras of ours that nobody is to see here: what is one of them goes.
    """

    def change(found: JSON) -> list[JSON]:
        left = _without(_list(found), hidden, identity)
        return _merged(left, cameras, fields=fields, identity=identity, keep=keep)

    return _at(document, tokens(pointer), change)


def value_at(document: JSON, pointer: str) -> JSON:
    """Raises `NoPlace`."""
    for token in tokens(pointer):
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list) and token.isdigit() and int(token) < len(document):
            document = document[int(token)]
        else:
            raise NoPlace
    return document


def _at(document: JSON, path: list[str], change: Any) -> JSON:
    if not path:
        return change(document)
    token, rest = path[0], path[1:]
    if isinstance(document, dict):
        if token not in document and rest:
            raise NoPlace
        return {**document, token: _at(document.get(token), rest, change)}
    if isinstance(document, list) and token.isdigit() and int(token) < len(document):
        index = int(token)
        return [*document[:index], _at(document[index], rest, change), *document[index + 1 :]]
    raise NoPlace


def _list(found: JSON) -> list[JSON]:
    """A list stays a list; nothing (`null`, or no such member) becomes one."""
    if found is None:
        return []
    if not isinstance(found, list):
        raise NoPlace
    return found


def _without(found: list[JSON], hidden: Sequence[Mapping[str, Any]], identity: Mapping[str, str]) -> list[JSON]:
    """Before anything is merged: an entry with the serial of a hidden camera and the name of another would be passed
    on with what it has of both."""
    return [e for e in found if not (isinstance(e, dict) and any(same(e, camera, identity) for camera in hidden))]


def _merged(
    found: list[JSON],
    cameras: Sequence[Mapping[str, Any]],
    *,
    fields: Mapping[str, str],
    identity: Mapping[str, str],
    keep: bool,
) -> list[JSON]:
    left = [dict(camera) for camera in cameras]
    result: list[JSON] = []
    for entry in found:
        ours = next((c for c in left if isinstance(entry, dict) and same(entry, c, identity)), None)
        if ours is not None:
            left.remove(ours)
            result.append({**entry, **shown(ours, fields)})
        elif keep:
            result.append(entry)
    return [*result, *(shown(camera, fields) for camera in left)]


def same(entry: Mapping[str, Any], camera: Mapping[str, Any], identity: Mapping[str, str]) -> bool:
    """Whether an entry is this camera, by the first field that both have."""
    for name, fact in identity.items():
        theirs, ours = entry.get(name), camera.get(fact)
        if theirs not in (None, "") and ours not in (None, ""):
            return bool(theirs == ours)
    return False


def shown(camera: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """A camera as the document calls its facts."""
    return {name: camera.get(fact) for name, fact in fields.items()} if fields else dict(camera)
