"""The file that says what a gateway serves: a GatewaySpec in JSON with its fingerprint and the gateway's name."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydantic import ValidationError

from vidops.errors import PermanentError
from vidops.resources.resource import fingerprint
from vidops.resources.specs import GatewaySpec
from vidops.runtime.files import read_bounded

MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """`fingerprint` is what the writer called this spec by, or what we compute where it gave none."""

    spec: GatewaySpec
    fingerprint: str


def parse(data: bytes | str) -> Document:
    """Raises `PermanentError` with every field that is wrong."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PermanentError(f"not JSON: {error}", reason="InvalidSpec") from None
    if not isinstance(raw, dict):
        raise PermanentError("not a JSON object", reason="InvalidSpec")
    mark = raw.pop("fingerprint", "")
    raw.pop("name", None)
    try:
        spec = GatewaySpec.model_validate(raw)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise PermanentError(said, reason="InvalidSpec") from None
    return Document(spec, str(mark) or fingerprint(spec.model_dump(mode="json")))


def load(path: str) -> Document:
    """Read and `parse`; a file that is not there is a `PermanentError`, too."""
    try:
        data = read_bounded(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise PermanentError(f"cannot read {path}: {error}", reason="InvalidSpec") from None
    return parse(data)
