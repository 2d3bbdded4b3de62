"""What a secret reference stands for, read at the last moment and never kept.

The exec shim (`runtime.exec`) has a twin of this that needs nothing but the standard library; the same references
give the same secrets and the same refusals in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from vidops.errors import PermanentError
from vidops.resources.specs import SecretRef

SECRET_LIMIT = 64 * 1024
"""Bytes; a larger file is not a secret but a mistake (a device, a log)."""


def read_secret_file(path: str) -> bytes:
    """A file's content, one byte more than a secret may have at most. Raises `OSError`."""
    # Not blocking: the open of a pipe that nobody writes would hang for ever.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read(SECRET_LIMIT + 1) or b""


def resolve_secret(
    ref: SecretRef,
    env: Mapping[str, str],
    read: Callable[[str], bytes] = read_secret_file,
    credentials_dir: str | None = None,
) -> str:
    """The secret behind `ref`; a final newline is not part of it.

    `credentials_dir`: systemd's, by default `$CREDENTIALS_DIRECTORY`. Raises `PermanentError` (reason
    `MissingSecret`) with a text that names the reference and never the value.
    """
    if ref.env:
        if ref.env not in env:
            raise _missing(f"the environment variable {ref.env} is not set where vidops was started: set it there")
        return env[ref.env]
    if ref.credential:
        return _read(_credential(ref.credential, credentials_dir or env.get("CREDENTIALS_DIRECTORY", "")), read)
    if ref.file:
        return _read(ref.file, read)
    raise _missing("the reference is empty: give one of env, file, credential")


def _credential(name: str, directory: str) -> str:
    if not directory:
        raise _missing(
            f"no credentials directory for credential {name}: add LoadCredential={name}:PATH to the systemd unit"
        )
    if "/" in name or name in (".", ".."):
        raise _missing(f"{name!r} is not a credential's name")
    return f"{directory}/{name}"


def _read(path: str, read: Callable[[str], bytes]) -> str:
    try:
        data = read(path)
    except (OSError, ValueError) as error:
        raise _missing(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > SECRET_LIMIT:
        raise _missing(f"{path} is not a small file (at most {SECRET_LIMIT} bytes)")
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _missing(f"{path} is not text (UTF-8)") from None


def _missing(message: str) -> PermanentError:
    return PermanentError(f"secret: {message}", reason="MissingSecret")
