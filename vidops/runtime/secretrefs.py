"""Secrets behind their references, for processes that need them themselves (a gateway's keys)."""

from __future__ import annotations

import os

from vidops.errors import PermanentError
from vidops.resources.specs import SecretRef
from vidops.runtime.exec import Refused, resolve_secret


def file_of(reference: SecretRef) -> str:
    """The file that the secret is read from; empty for one of the environment."""
    if reference.credential:
        return os.path.join(os.environ.get("CREDENTIALS_DIRECTORY", ""), reference.credential)
    return reference.file or ""


def secret(reference: SecretRef) -> str:
    """The secret, read anew at each call. Raises `PermanentError`, which names the reference and never the value."""
    try:
        return resolve_secret(reference.model_dump(), os.environ)
    except Refused as refused:
        raise PermanentError(str(refused), reason="NoSecret") from None
