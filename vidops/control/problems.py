"""A stack file's problems as JSON. Apart, so that the CLI has them without a server's imports."""

from __future__ import annotations

from typing import Any

from vidops.errors import Problem


def to_json(p: Problem) -> dict[str, Any]:
    """`text` is the whole as a person reads it."""
    return {
        "file": p.mark.file,
        "line": p.mark.line,
        "column": p.mark.column,
        "path": p.path,
        "message": p.message,
        "hint": p.hint,
        "text": str(p),
    }
