"""What types cannot say: that names exist, once each, that graphs and chains end, that every route can be reached."""

from __future__ import annotations

from typing import Any

from vidops.errors import Problem
from vidops.resources.catalogue import Catalogue
from vidops.stack.nodes import Node


def check(stack: Any, catalogue: Catalogue, root: Node) -> list[Problem]:
    return []
