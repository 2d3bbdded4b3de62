"""Authorities that a stack file names in place of the system's, for whatever is asked by `fetch`."""

from __future__ import annotations

import os

from vidops.api import PermanentError


def authorities(cafile: str, base_dir: str, what: str) -> str:
    """Where the file is, seen from the stack file; empty for the system's.

    Raises `PermanentError` where it cannot be used: else each exchange would fail, and only the log would say why.
    """
    import ssl

    if not cafile:
        return ""
    path = os.path.join(base_dir, cafile)
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # which ssl.SSLError is, too
        why = error.strerror if not isinstance(error, ssl.SSLError) else "no certificate in it"
        raise PermanentError(f"{what}: cafile {cafile}: {why}: give a PEM file", reason="BadCertificate") from None
    return path
