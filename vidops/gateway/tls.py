"""The server's side of TLS: a context from its files, and a mark that tells when they have changed."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidops.errors import PermanentError
from vidops.resources.specs import SecretRef, TLSSpec
from vidops.runtime.files import read_bounded

if TYPE_CHECKING:
    # An extra that only those have who want it.
    from aioquic.quic.configuration import QuicConfiguration


@dataclass(frozen=True, slots=True)
class Certificate:
    """`mark` is a digest of all that the context was made of: the same files renewed give another one. `clients` is one
    of what clients' certificates are held to, empty where none are asked for. `quic`: the same for HTTP/3, where it is
    wanted."""

    context: ssl.SSLContext
    mark: str
    clients: str = ""
    quic: QuicConfiguration | None = None


def load(spec: TLSSpec, secret: Callable[[SecretRef], str]) -> Certificate:
    """Raises `PermanentError`. The key may be the secret's text itself (PEM), wherever it comes from."""
    chain = _read("certfile", spec.certfile)
    authorities = _read("client_ca", spec.client_ca) if spec.client_ca else b""
    key = secret(spec.keyfile)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(["h2", "http/1.1"])
    _load_pair(context, spec.certfile, key)
    if spec.client_ca:
        _trust(context, spec.client_ca, authorities)
        context.verify_mode = ssl.CERT_REQUIRED if spec.client_auth == "required" else ssl.CERT_OPTIONAL
    clients = _digest(authorities, spec.client_auth.encode()) if spec.client_ca else ""
    quic = _quic(spec, chain, key) if spec.http3 else None
    return Certificate(context, _digest(chain, key.encode(), clients.encode()), clients, quic)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _quic(spec: TLSSpec, chain: bytes, key: str) -> QuicConfiguration:
    if spec.client_ca:
        raise PermanentError("tls: http3 and client_ca exclude each other", reason="InvalidTLS")
    try:
        from vidops.gateway.quic import configuration
    except ImportError as error:
        raise PermanentError(
            f"tls.http3 needs aioquic ({error}): pip install 'vidops[http3]'", reason="NoHTTP3"
        ) from None
    try:
        return configuration(chain, key.encode())
    except (ValueError, TypeError) as error:
        raise PermanentError(f"tls.http3: {spec.certfile} or its key: {error}", reason="InvalidTLS") from None


def _read(field: str, path: str) -> bytes:
    try:
        return read_bounded(path)
    except (OSError, ValueError) as error:
        raise PermanentError(f"tls.{field}: cannot read {path}: {error}", reason="InvalidTLS") from None


def _trust(context: ssl.SSLContext, path: str, authorities: bytes) -> None:
    try:
        context.load_verify_locations(cadata=authorities.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        said = getattr(error, "reason", None) or error
        raise PermanentError(
            f"tls.client_ca: {path} holds no certificates ({said}): it must be PEM, of the authorities that sign "
            "clients' certificates",
            reason="InvalidTLS",
        ) from None


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
