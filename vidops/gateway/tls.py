"""The server's side of TLS: a context from a certificate and a key, and a mark that tells when they have changed."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from vidops.errors import PermanentError
from vidops.resources.specs import SecretRef, TLSSpec
from vidops.runtime.files import read_bounded


@dataclass(frozen=True, slots=True)
class Certificate:
    """`mark` is a digest of certificate and key: the same files renewed give another one."""

    context: ssl.SSLContext
    mark: str


def load(spec: TLSSpec, secret: Callable[[SecretRef], str]) -> Certificate:
    """Raises `PermanentError`. The key may be the secret's text itself (PEM), wherever it comes from."""
    try:
        chain = read_bounded(spec.certfile)
    except (OSError, ValueError) as error:
        raise PermanentError(f"tls.certfile: cannot read {spec.certfile}: {error}", reason="InvalidTLS") from None
    key = secret(spec.keyfile)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(["h2", "http/1.1"])
    _load_pair(context, spec.certfile, key)
    return Certificate(context, hashlib.sha256(chain + b"\0" + key.encode()).hexdigest())


def _load_pair(context: ssl.SSLContext, certfile: str, key: str) -> None:
    """OpenSSL reads keys from files alone: one that lives in memory and has no name serves."""
    import os

    descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, key.encode())
        context.load_cert_chain(certfile, f"/proc/self/fd/{descriptor}", password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        said = getattr(error, "reason", None) or error
        raise PermanentError(
            f"tls: {certfile} and its key cannot be used ({said}): they must be PEM, belong together, and the key "
            "must have no passphrase",
            reason="InvalidTLS",
        ) from None
    finally:
        os.close(descriptor)
