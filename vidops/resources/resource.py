"""A resource: one thing that vidops makes real, and nothing about how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict

JSON = dict[str, Any]


class Spec(BaseModel):
    """Base of all resource specs: frozen, strict about unknown keys, JSON in and out."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Ref:
    """The name of a resource: `kind/name`, for example `source/door`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    def __lt__(self, other: Ref) -> bool:
        return (self.kind, self.name) < (other.kind, other.name)

    @classmethod
    def parse(cls, text: str) -> Ref:
        kind, _, name = text.partition("/")
        return cls(kind, name)

    @property
    def program(self) -> str:
        """The name of its process, where it has one: `source.door`."""
        return self.kind if self.name == self.kind else f"{self.kind}.{self.name}"


def fingerprint(spec: Mapping[str, Any]) -> str:
    """A canonical hash of a spec's JSON form: 16 hex digits; key order and spacing change nothing."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Resource:
    """`(kind, name, spec, depends_on, fingerprint)`; `spec` is a model, `data` its JSON form."""

    ref: Ref
    spec: Spec
    depends_on: tuple[Ref, ...] = ()
    origin: str = field(default="", compare=False)
    """`file:line:column` of the stack entry that asked for it."""

    @cached_property
    def data(self) -> JSON:
        return self.spec.model_dump(mode="json")

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.data)
