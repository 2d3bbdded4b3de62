"""OpenAPI 3.1: how handlers say what they answer, and the document that is put together from it.

A handler type describes its operations by what comes after its route's path: `{"": {"get": ...}, "/{name}": {...}}`.
`assembled` puts the routes of a gateway into one document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vidops.api import RouteInfo

JSON = dict[str, Any]
PROBLEM = {"$ref": "#/components/schemas/Problem"}
EVERYWHERE = {
    400: "A path, header or body that could be read in more than one way.",
    404: "There is nothing there, or not for this request.",
    405: "Another method.",
    408: "A head, a body or a reader that is too slow.",
    413: "A larger body than is taken.",
    414: "A longer path than is taken.",
    431: "A larger head than is taken, or more fields.",
    500: "It failed; the gateway's log has the reason under `error_id`.",
    501: "A method or a transfer coding that is not known.",
    503: "Not now; `Retry-After` says when to try again.",
    505: "Another version of HTTP.",
}
"""What the gateway itself answers, whatever the route."""
BY_CHAIN = {
    401: "Say who you are.",
    403: "Not for this request.",
    429: "Too many requests.",
    507: "There is no room to write.",
}
"""What links of a chain may answer besides."""
SCHEMAS: JSON = {
    "Problem": {
        "description": "RFC 9457.",
        "type": "object",
        "required": ["status", "title"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "reason": {"type": "string"},
            "error_id": {"type": "string"},
        },
    },
    "Camera": {
        "description": "A camera's state.",
        "type": "object",
        "required": ["name", "state"],
        "properties": {
            "name": {"type": "string"},
            "state": {"enum": ["Idle", "Starting", "Online", "Stalled", "Missing", "Busy", "Failed"]},
            "reason": {"type": "string"},
            "message": {"type": "string"},
            "held": {"type": "boolean"},
            "viewers": {"type": "integer"},
            "captured_fps": {"type": "number"},
            "codec": {"type": "string"},
            "width": {"type": "integer"},
            "height": {"type": "integer"},
            "frames": {"type": "integer"},
            "drops": {"type": "integer"},
            "description": {"type": "object"},
        },
    },
    "Control": {
        "description": "A control of a device.",
        "type": "object",
        "required": ["name", "type", "minimum", "maximum", "step", "default", "value"],
        "properties": {
            "name": {"type": "string"},
            "title": {"type": "string"},
            "type": {"enum": ["integer", "boolean", "menu", "integer_menu", "bitmask", "button"]},
            "minimum": {"type": "integer"},
            "maximum": {"type": "integer"},
            "step": {"type": "integer"},
            "default": {"type": ["integer", "boolean"]},
            "value": {"type": ["integer", "boolean", "null"]},
            "menu": {"type": "array", "items": {"type": "object"}},
            "read_only": {"type": "boolean"},
            "inactive": {"type": "boolean"},
            "declared": {"type": "boolean"},
        },
    },
}


def ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def fields(**of: JSON) -> JSON:
    """An object that has all of these."""
    return {"type": "object", "required": list(of), "properties": dict(of)}


def listed(items: JSON) -> JSON:
    return {"type": "array", "items": items}


def in_path(name: str, description: str) -> JSON:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


def in_query(name: str, description: str, **schema: Any) -> JSON:
    return {"name": name, "in": "query", "description": description, "schema": schema or {"type": "string"}}


def answer(schema: JSON, description: str = "Done.", kind: str = "application/json") -> JSON:
    return {"description": description, "content": {kind: {"schema": schema}}}


def operation(
    summary: str,
    good: JSON,
    *,
    parameters: Sequence[JSON] = (),
    body: JSON | None = None,
    refused: Mapping[int, str] | None = None,
) -> JSON:
    """`refused`: further answers by status, besides those that every route has."""
    made: JSON = {"summary": summary, "responses": {"200": good}, "parameters": list(parameters)}
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    made["responses"].update({str(status): _refusal(why) for status, why in (refused or {}).items()})
    return made


def assembled(title: str, version: str, routes: Iterable[RouteInfo]) -> JSON:
    """The document of a gateway. The first route of a path goes before others, as it does with requests."""
    paths: dict[str, JSON] = {}
    for route in routes:
        base, parameters = _base(route.path)
        for rest, item in route.operations.items():
            if rest and not route.path.endswith("/**"):
                continue
            path = f"{base}{rest}" or "/"
            for method, described in item.items():
                if route.methods and method.upper() not in route.methods:
                    continue
                paths.setdefault(path, {}).setdefault(method, _placed(described, parameters, route, method, path))
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _base(pattern: str) -> tuple[str, list[JSON]]:
    """A route's path as OpenAPI writes it."""
    segments: list[str] = []
    parameters: list[JSON] = []
    for segment in pattern.removesuffix("/**").split("/"):
        if segment == "*":
            name = f"segment{len(parameters) + 1}"
            parameters.append(in_path(name, "Any one segment."))
            segments.append(f"{{{name}}}")
        else:
            segments.append(segment)
    return "/".join(segments), parameters


def _placed(described: Mapping[str, Any], parameters: list[JSON], route: RouteInfo, method: str, path: str) -> JSON:
    refusals = {**EVERYWHERE, **(BY_CHAIN if route.chain else {})}
    general = {str(status): _refusal(why) for status, why in refusals.items()}
    return {
        **described,
        "operationId": f"{method} {path}",
        "tags": [route.handler],
        "parameters": [*parameters, *described.get("parameters", ())],
        "responses": dict(sorted({**general, **described["responses"]}.items())),
    }


def _refusal(why: str) -> JSON:
    return answer(PROBLEM, why, "application/problem+json")
